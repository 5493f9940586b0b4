/* src/bench/gate: which interval passes, and how many blocks are missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bench/gate.h"

static struct gate judge(double value, double low, double high, size_t blocks)
{
    struct estimate ratio = {true, value, low, high, blocks, NULL, NULL};
    return gate_judge(&ratio, 0.03);
}

static void outcomes(void **state)
{
    (void)state;
    assert_int_equal(judge(1, 0.98, 1.02, 6).outcome, GATE_PASS);
    assert_int_equal(judge(2, 1.9, 2.1, 6).outcome, GATE_PASS);
    assert_int_equal(judge(0.9, 0.88, 0.92, 6).outcome, GATE_REGRESSION);
    assert_int_equal(judge(0.98, 0.95, 1.01, 6).outcome, GATE_UNDECIDED);
    assert_int_equal(judge(0.5, 0.5, 0.5, 5).outcome, GATE_UNDECIDED);
}

static void missing_blocks(void **state)
{
    (void)state;
    assert_int_equal(judge(1, 1, 1, 1).more_blocks, 5);
    assert_int_equal(judge(1, 0.999, 1.001, 3).more_blocks, 3);
    assert_int_equal(judge(1 / 1.03, 0.9, 1.05, 6).more_blocks, 0);
    size_t near = judge(0.98, 0.94, 1.0217, 6).more_blocks;
    size_t far = judge(1, 0.96, 1.0417, 6).more_blocks;
    assert_true(far > 0 && near > far);
    assert_int_equal(judge(1, 0.98, 1.02, 6).more_blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes),
        cmocka_unit_test(missing_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
