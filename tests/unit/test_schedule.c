/* src/bench/schedule: the design is balanced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bench/schedule.h"

enum { MOST = 12 };

/* Over one cycle every variant stands equally often in each place and after each other one. */
static void is_balanced(void **state)
{
    (void)state;
    for (size_t n = 1; n <= MOST; n++) {
        size_t place[MOST][MOST] = {{0}}, after[MOST][MOST] = {{0}};
        for (size_t block = 0; block < schedule_cycle(n); block++) {
            uint32_t order[MOST];
            schedule_order(n, block, order);
            for (size_t i = 0; i < n; i++) {
                assert_true(order[i] < n);
                place[order[i]][i]++;
                if (i)
                    after[order[i - 1]][order[i]]++;
            }
        }
        for (size_t a = 0; a < n; a++)
            for (size_t b = 0; b < n; b++) {
                assert_int_equal(place[a][b], schedule_cycle(n) / n);
                assert_int_equal(after[a][b], a == b ? 0 : schedule_cycle(n) / n);
            }
    }
}

static void each_block_is_a_permutation(void **state)
{
    (void)state;
    for (size_t n = 1; n <= MOST; n++)
        for (size_t block = 0; block < 100; block++) {
            uint32_t order[MOST];
            unsigned seen = 0;
            schedule_order(n, block, order);
            for (size_t i = 0; i < n; i++)
                seen |= 1u << order[i];
            assert_int_equal(seen, (1u << n) - 1);
        }
}

static void two_alternate(void **state)
{
    (void)state;
    uint32_t order[2];
    for (size_t block = 0; block < 6; block++) {
        schedule_order(2, block, order);
        assert_int_equal(order[0], block % 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_balanced),
        cmocka_unit_test(each_block_is_a_permutation),
        cmocka_unit_test(two_alternate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
