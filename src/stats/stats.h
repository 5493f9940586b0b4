/* Estimators: pure functions of numbers, no samples trimmed, nothing random.
 *
 * Functions of "sorted" values want them ascending (stats_sort). Of no values, each gives NaN. */
#ifndef PRONY_STATS_STATS_H
#define PRONY_STATS_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void stats_sort(double *values, size_t count);
double stats_mean(const double *values, size_t count);
/* Sample standard deviation (n - 1); NaN of fewer than two. */
double stats_deviation(const double *values, size_t count);
double stats_median(const double *sorted, size_t count);
/* Type 7 of Hyndman and Fan 1996: linear between order statistics, as R, numpy and scipy do.
 * fraction in [0, 1]. */
double stats_quantile(const double *sorted, size_t count, double fraction);
/* Whether so many samples carry that percentile: p90 takes 64, p95 130, p99 662. */
bool stats_percentile_allowed(size_t count, unsigned percent);

/* Highest rate in events per second over any `window` consecutive intervals between stamps (ns,
 * ascending); over all of them when there are fewer. NaN of fewer than two stamps, or when the
 * best window took no time. */
double stats_best_rate(const int64_t *stamps_ns, size_t count, size_t window);

/* A mean with its two-sided confidence interval; low = high = value of a single sample. */
struct stats_interval {
    double value, low, high;
};

/* Student's t interval of the mean. confidence in (0, 1): 0.95. */
struct stats_interval stats_mean_interval(const double *values, size_t count, double confidence);
/* Two-sided p value of the hypothesis that the mean lies within [-zone, zone]: the t test shifted
 * to the zone's near edge. 1 of fewer than two values. */
double stats_zone_p(const double *values, size_t count, double zone);
/* The difference of two independent means, a's less b's, by Welch's t test: spreads may differ, and
 * so may counts (Welch, Biometrika 34, 1947). error and freedom are NaN when a side has fewer than
 * two values; freedom is infinite when neither has any spread. */
struct stats_difference {
    double value, error, freedom;
};
struct stats_difference stats_welch(const double *a, size_t a_count, const double *b,
                                    size_t b_count);
/* Its two-sided interval; low = high = value where there is none. */
struct stats_interval stats_difference_interval(const struct stats_difference *difference,
                                                double confidence);
/* stats_zone_p of a difference. */
double stats_difference_zone_p(const struct stats_difference *difference, double zone);
/* Holm's step-down: p values adjusted for being a family. adjusted may not alias p. */
void stats_holm(const double *p, size_t count, double *adjusted);

/* Kendall's score of a series: pairs that rise with time less pairs that fall, and its variance
 * were there no trend. Scores and variances of several series add up to those of all. */
struct stats_trend {
    double score, variance;
};
struct stats_trend stats_trend_of(const double *values, size_t count);
/* One-sided p value of the hypothesis that nothing falls (normal approximation, corrected for
 * continuity); 1 where nothing can be told. */
double stats_trend_falling_p(struct stats_trend trend);
/* Theil and Sen's slope: the median over all pairs of values, per place in the series. NaN of fewer
 * than two, or without memory for the pairs. */
double stats_slope(const double *values, size_t count);

/* Student's t distribution with `freedom` degrees (> 0). */
double student_t_cdf(double t, double freedom);
double student_t_quantile(double probability, double freedom);

#endif
