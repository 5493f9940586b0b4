/* What test_kernels.c uses of cmocka, for a machine that Debian has no cross-built cmocka for. A
 * failed check ends the program. */
#ifndef PRONY_TESTS_AARCH64_CMOCKA_H
#define PRONY_TESTS_AARCH64_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};

#define cmocka_unit_test(function)                                                                 \
    {                                                                                              \
#function, function                                                                        \
    }
#define fail_msg(...) (printf(__VA_ARGS__), printf("\n"), exit(1))
#define assert_true(value) ((value) ? (void)0 : fail_msg("%s:%d: %s", __FILE__, __LINE__, #value))
#define assert_non_null(value) assert_true((value) != NULL)
#define assert_int_equal(a, b) assert_true((a) == (b))
#define assert_ptr_equal(a, b) assert_true((a) == (b))
#define assert_memory_equal(a, b, size) assert_true(memcmp(a, b, size) == 0)

#define cmocka_run_group_tests(tests, setup, teardown)                                             \
    tests_run(tests, sizeof(tests) / sizeof(tests)[0])

static int tests_run(const struct CMUnitTest *tests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tests[i].run(NULL);
        printf("%s: passed\n", tests[i].name);
    }
    return 0;
}

#endif
