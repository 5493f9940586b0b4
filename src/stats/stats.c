#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void stats_sort(double *values, size_t count)
{
    if (count > 1)
        qsort(values, count, sizeof values[0], compare);
}

double stats_mean(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return count ? sum / (double)count : NAN;
}

double stats_deviation(const double *values, size_t count)
{
    if (count < 2)
        return NAN;
    double mean = stats_mean(values, count), squares = 0;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return sqrt(squares / (double)(count - 1));
}

double stats_median(const double *sorted, size_t count)
{
    return stats_quantile(sorted, count, 0.5);
}

double stats_quantile(const double *sorted, size_t count, double fraction)
{
    if (count == 0 || !(fraction >= 0 && fraction <= 1))
        return NAN;
    double place = fraction * (double)(count - 1);
    size_t below = (size_t)place;
    if (below + 1 >= count)
        return sorted[count - 1];
    double part = place - (double)below;
    return sorted[below] + part * (sorted[below + 1] - sorted[below]);
}

bool stats_percentile_allowed(size_t count, unsigned percent)
{
    if (percent >= 99)
        return count >= 662;
    if (percent >= 95)
        return count >= 130;
    return count >= 64;
}

double stats_best_rate(const int64_t *stamps_ns, size_t count, size_t window)
{
    if (count < 2 || window == 0)
        return NAN;
    if (window > count - 1)
        window = count - 1;
    int64_t shortest = INT64_MAX;
    for (size_t i = window; i < count; i++) {
        int64_t took = stamps_ns[i] - stamps_ns[i - window];
        if (took < shortest)
            shortest = took;
    }
    return shortest > 0 ? (double)window / ((double)shortest * 1e-9) : NAN;
}

struct stats_interval stats_mean_interval(const double *values, size_t count, double confidence)
{
    double mean = stats_mean(values, count), half = 0;
    if (count > 1)
        half = student_t_quantile(0.5 + confidence / 2, (double)(count - 1)) *
               stats_deviation(values, count) / sqrt((double)count);
    return (struct stats_interval){mean, mean - half, mean + half};
}

double stats_zone_p(const double *values, size_t count, double zone)
{
    if (count < 2)
        return 1;
    double beyond = fabs(stats_mean(values, count)) - zone;
    double error = stats_deviation(values, count) / sqrt((double)count);
    if (!(beyond > 0))
        return 1;
    if (!(error > 0))
        return 0; /* no spread at all, and outside the zone */
    return 2 * student_t_cdf(-beyond / error, (double)(count - 1));
}

struct stats_difference stats_welch(const double *a, size_t a_count, const double *b,
                                    size_t b_count)
{
    struct stats_difference difference = {stats_mean(a, a_count) - stats_mean(b, b_count), NAN,
                                          NAN};
    if (a_count < 2 || b_count < 2)
        return difference;
    double u = pow(stats_deviation(a, a_count), 2) / (double)a_count;
    double v = pow(stats_deviation(b, b_count), 2) / (double)b_count;
    difference.error = sqrt(u + v);
    difference.freedom =
        u + v > 0
            ? (u + v) * (u + v) / (u * u / (double)(a_count - 1) + v * v / (double)(b_count - 1))
            : INFINITY;
    return difference;
}

struct stats_interval stats_difference_interval(const struct stats_difference *difference,
                                                double confidence)
{
    double half =
        difference->error > 0
            ? student_t_quantile(0.5 + confidence / 2, difference->freedom) * difference->error
            : 0;
    return (struct stats_interval){difference->value, difference->value - half,
                                   difference->value + half};
}

double stats_difference_zone_p(const struct stats_difference *difference, double zone)
{
    double beyond = fabs(difference->value) - zone;
    if (!isfinite(difference->error) || !(beyond > 0))
        return 1;
    if (!(difference->error > 0))
        return 0;
    return 2 * student_t_cdf(-beyond / difference->error, difference->freedom);
}

void stats_holm(const double *p, size_t count, double *adjusted)
{
    for (size_t i = 0; i < count; i++)
        adjusted[i] = -1;
    double highest = 0;
    for (size_t rank = 0; rank < count; rank++) {
        size_t least = count;
        for (size_t i = 0; i < count; i++)
            if (adjusted[i] < 0 && (least == count || p[i] < p[least]))
                least = i;
        double value = p[least] * (double)(count - rank);
        highest = fmax(highest, fmin(value, 1));
        adjusted[least] = highest;
    }
}
