/* src/report/html/axis: round ticks that cover whatever is to be shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "report/html/svg.h"

/* 1, 2 or 5 times a power of ten. */
static bool is_round(double step)
{
    double part = step / pow(10, floor(log10(step) + 1e-9));
    return fabs(part - 1) < 1e-6 || fabs(part - 2) < 1e-6 || fabs(part - 5) < 1e-6;
}

static void check(double low, double high, bool logarithmic)
{
    struct axis axis = axis_make(low, high, 5, logarithmic);
    assert_in_range(axis.tick_count, 2, AXIS_TICKS);
    assert_true(axis.low <= low * (1 + 1e-6) && axis.high >= high * (1 - 1e-6));
    for (size_t i = 1; i < axis.tick_count; i++) {
        assert_true(axis.ticks[i] > axis.ticks[i - 1]);
        assert_true(is_round(logarithmic ? axis.ticks[i] : axis.ticks[i] - axis.ticks[i - 1]));
    }
    assert_true(axis_place(&axis, low) >= 0 && axis_place(&axis, high) <= 1);
    assert_true(axis_place(&axis, low) < axis_place(&axis, high));
}

static void they_cover_and_are_round(void **state)
{
    (void)state;
    for (int i = 0; i < 25; i++)
        for (int j = 0; j < 20; j++) {
            double low = 1e-7 * pow(3.7, i), high = low * 1.001 * pow(2.9, j);
            check(low, high, false);
            check(low, high, true);
        }
    check(0, 0.827, false);
    check(0, 1e12, false);
}

static void places_are_never_outside(void **state)
{
    (void)state;
    struct axis axis = axis_make(10, 100, 5, true), point = axis_make(3, 3, 5, false);
    assert_true(axis_place(&axis, 0) == 0 && axis_place(&axis, 1e9) == 1);
    assert_true(axis_place(&axis, NAN) == 0);
    assert_true(point.high > point.low);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_cover_and_are_round),
        cmocka_unit_test(places_are_never_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
