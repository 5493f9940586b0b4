/* Whether a series still moves: Kendall's rank correlation with time, and Theil and Sen's slope.
 * Both look at pairs of values, so a spike weighs no more than any other value. */
#include <math.h>
#include <stdlib.h>

#include "stats/stats.h"

/* Mann 1945, Kendall 1975; ties as Kendall's variance has them. */
struct stats_trend stats_trend_of(const double *values, size_t count)
{
    struct stats_trend trend = {0};
    double n = (double)count;
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            trend.score += (values[j] > values[i]) - (values[j] < values[i]);
    double variance = n * (n - 1) * (2 * n + 5);
    for (size_t i = 0; i < count; i++) {
        /* Each group of t equal values takes t (t - 1)(2 t + 5), a share of it from each. */
        double equal = 0;
        for (size_t j = 0; j < count; j++)
            equal += values[j] == values[i];
        variance -= (equal - 1) * (2 * equal + 5);
    }
    trend.variance = variance > 0 ? variance / 18 : 0;
    return trend;
}

double stats_trend_falling_p(struct stats_trend trend)
{
    if (!(trend.variance > 0))
        return 1;
    /* The score moves in steps of two: half of one is the correction for continuity. */
    double z = (trend.score + 1) / sqrt(trend.variance);
    return trend.score < 0 ? 0.5 * erfc(-z / sqrt(2)) : 1;
}

double stats_slope(const double *values, size_t count)
{
    size_t pairs = count * (count - (count > 0)) / 2, next = 0;
    double *slopes = pairs ? malloc(pairs * sizeof *slopes) : NULL;
    if (!slopes)
        return NAN;
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            slopes[next++] = (values[j] - values[i]) / (double)(j - i);
    stats_sort(slopes, pairs);
    double slope = stats_median(slopes, pairs);
    free(slopes);
    return slope;
}
