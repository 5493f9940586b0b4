/* src/stats: against constants computed by scipy 1.17 (tests/oracle/test_stats.py compares widely)
 * and at the edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "stats/stats.h"

static void close_to(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-9 * fabs(expected) + 1e-15))
        fail_msg("%.17g is not %.17g", value, expected);
}

static void student_quantiles(void **state)
{
    (void)state;
    close_to(student_t_quantile(0.975, 1), 12.706204736174694);
    close_to(student_t_quantile(0.975, 5), 2.5705818356363146);
    close_to(student_t_quantile(0.025, 9), -2.262157162798205);
    close_to(student_t_quantile(0.995, 5), 4.032142983555228);
    close_to(student_t_cdf(2.0, 5), 0.9490302605850708);
    close_to(student_t_cdf(-8.5, 3), 0.001709845708172238);
    assert_true(fabs(student_t_quantile(0.5, 7)) < 1e-12);
    assert_true(isnan(student_t_quantile(1, 7)));
    assert_true(isnan(student_t_cdf(0, 0)));
}

static void moments(void **state)
{
    (void)state;
    double values[] = {4, 1, 3, 2};
    close_to(stats_mean(values, 4), 2.5);
    close_to(stats_deviation(values, 4), 1.2909944487358056);
    stats_sort(values, 4);
    close_to(stats_median(values, 4), 2.5);
    close_to(stats_quantile(values, 4, 0.9), 3.7);
    close_to(stats_quantile(values, 4, 0), 1);
    close_to(stats_quantile(values, 4, 1), 4);
    assert_true(isnan(stats_mean(values, 0)));
    assert_true(isnan(stats_median(values, 0)));
    assert_true(isnan(stats_deviation(values, 1)));
    assert_true(isnan(stats_quantile(values, 4, 1.5)));
}

static void percentiles_need_samples(void **state)
{
    (void)state;
    assert_false(stats_percentile_allowed(63, 90));
    assert_true(stats_percentile_allowed(64, 90));
    assert_false(stats_percentile_allowed(129, 95));
    assert_true(stats_percentile_allowed(130, 95));
    assert_false(stats_percentile_allowed(661, 99));
    assert_true(stats_percentile_allowed(662, 99));
}

static void best_window(void **state)
{
    (void)state;
    /* Steps of 10, 5, 5, 20 ns. */
    const int64_t stamps[] = {100, 110, 115, 120, 140};
    close_to(stats_best_rate(stamps, 5, 2), 2 / 10e-9);
    close_to(stats_best_rate(stamps, 5, 32), 4 / 40e-9);
    assert_true(isnan(stats_best_rate(stamps, 1, 32)));
    const int64_t still[] = {7, 7};
    assert_true(isnan(stats_best_rate(still, 2, 1)));
}

static void intervals(void **state)
{
    (void)state;
    const double values[] = {0.61, 0.58, 0.66, 0.6, 0.63, 0.59};
    struct stats_interval interval = stats_mean_interval(values, 6, 0.95);
    close_to(interval.value, 0.6116666666666667);
    close_to(interval.low, 0.5809508728624492);
    close_to(interval.high, 0.6423824604708842);
    interval = stats_mean_interval(values, 1, 0.95);
    assert_true(interval.low == 0.61 && interval.high == 0.61);
}

static void zone(void **state)
{
    (void)state;
    const double inside[] = {0.01, -0.01, 0.005}, equal[] = {0.3, 0.3, 0.3};
    assert_true(stats_zone_p(inside, 3, 0.02) == 1);
    assert_true(stats_zone_p(equal, 3, 0.02) == 0);
    assert_true(stats_zone_p(equal, 1, 0.02) == 1);
    const double beyond[] = {-0.61, -0.58, -0.66, -0.6, -0.63, -0.59};
    close_to(stats_zone_p(beyond, 6, 0.02), 6.348541308463173e-08);
}

static void holm(void **state)
{
    (void)state;
    const double p[] = {0.04, 0.01, 0.03, 0.9};
    double adjusted[4];
    stats_holm(p, 4, adjusted);
    close_to(adjusted[0], 0.09);
    close_to(adjusted[1], 0.04);
    close_to(adjusted[2], 0.09);
    close_to(adjusted[3], 0.9);
    const double ones[] = {1, 1};
    stats_holm(ones, 2, adjusted);
    assert_true(adjusted[0] == 1 && adjusted[1] == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(student_quantiles),
        cmocka_unit_test(moments),
        cmocka_unit_test(percentiles_need_samples),
        cmocka_unit_test(best_window),
        cmocka_unit_test(intervals),
        cmocka_unit_test(zone),
        cmocka_unit_test(holm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
