/* How products of many tokens are cut for the tensor cores: every tile of the result gets every
 * step of the columns once, and what is made fits where it goes. It runs without a GPU, since the
 * kernels and this test share the functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "llama/cuda/product.h"

static const struct {
    uint32_t rows, columns;
    bool gated;
} matrices[] = {
    {3072, 2048, false}, {2048, 2048, false}, {16384, 2048, true},  {2048, 8192, false},
    {6144, 4096, false}, {28672, 4096, true}, {4096, 14336, false}, {960, 576, false},
    {3072, 576, true},   {64, 64, false},     {192, 192, true},
};
static const uint32_t tokens[] = {1, 9, 64, 128, 129, 512, 1000, 2048};
static const uint32_t multiprocessors[] = {132, 108, 16};
static const uint32_t widest[] = {128, 256};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void check_plan(struct product_plan plan, uint32_t count, size_t m)
{
    uint32_t rows = matrices[m].rows, columns = matrices[m].columns,
             steps = columns / PRODUCT_DEPTH;
    uint32_t down = (count + PRODUCT_TOKENS - 1) / PRODUCT_TOKENS;
    uint32_t across = (rows + plan.width - 1) / plan.width;
    uint32_t tiles = product_tiles(plan.width, count, rows);
    assert_int_equal(tiles, down * across);
    unsigned char *done = calloc((size_t)tiles, steps);
    assert_non_null(done);
    for (uint32_t i = 0; i < tiles * plan.parts; i++) {
        struct product_tile t = product_tile(i, plan.width, count, rows, columns, plan.parts);
        assert_true(t.token < count && t.token % PRODUCT_TOKENS == 0);
        assert_true(t.row < rows && t.row % plan.width == 0);
        assert_true(t.part < plan.parts && t.begin < t.end && t.end <= steps);
        size_t at = (size_t)(t.token / PRODUCT_TOKENS) * across + t.row / plan.width;
        for (uint32_t step = t.begin; step < t.end; step++)
            done[at * steps + step]++;
    }
    for (size_t i = 0; i < (size_t)tiles * steps; i++)
        assert_int_equal(done[i], 1);
    free(done);
}

static void test_every_step_once(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT(matrices); m++)
        for (size_t t = 0; t < COUNT(tokens); t++)
            for (size_t s = 0; s < COUNT(multiprocessors); s++)
                for (size_t w = 0; w < COUNT(widest); w++) {
                    struct product_plan plan =
                        product_plan(tokens[t], matrices[m].rows, matrices[m].columns,
                                     matrices[m].gated, widest[w], multiprocessors[s]);
                    assert_true(plan.width <= widest[w]);
                    assert_true(plan.parts >= 1 && plan.parts <= PRODUCT_MOST_PARTS);
                    assert_true(plan.parts == 1 || !matrices[m].gated);
                    uint64_t bytes = (uint64_t)plan.parts * tokens[t] * matrices[m].rows * 4;
                    assert_true(bytes <=
                                product_out_bytes(tokens[t], matrices[m].rows, multiprocessors[s]));
                    check_plan(plan, tokens[t], m);
                }
}

/* A card is filled where the columns can be cut, and not cut where tiles fill it. */
static void test_plans(void **state)
{
    (void)state;
    struct product_plan few = product_plan(128, 2048, 8192, false, 256, 132);
    assert_true(product_tiles(few.width, 128, 2048) * few.parts >= 64);
    assert_true(few.parts > 1);
    assert_int_equal(product_plan(2048, 2048, 8192, false, 256, 132).parts, 1);
    assert_int_equal(product_plan(2048, 16384, 2048, true, 256, 132).width, 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_step_once),
                                       cmocka_unit_test(test_plans)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
