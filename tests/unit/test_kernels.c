/* Every kernel table that this processor can run, against plain C. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "llama/cpu/kernels.h"

/* xorshift: the same numbers on every machine. */
static float random_float(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (float)(int32_t)(*state >> 32) * 0x1p-31f;
}

static float *random_array(size_t count, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
    float *array = malloc(count * sizeof *array + 1);
    assert_non_null(array);
    for (size_t i = 0; i < count; i++)
        array[i] = random_float(&state);
    return array;
}

/* The array in another type, by plain C's narrowing; begins at an odd element. */
static void *narrowed(const float *array, size_t count, enum llama_precision type, void **block)
{
    size_t size = llama_precision_bytes(type);
    *block = malloc((count + 1) * size);
    assert_non_null(*block);
    void *data = (unsigned char *)*block + size;
    kernels_plain.narrow[type](data, array, count);
    return data;
}

static void assert_close(float value, float expected, float scale, const char *name,
                         const char *what, size_t at)
{
    if (!(fabsf(value - expected) <= 2e-6f * scale))
        fail_msg("%s: %s[%zu] is %.9g, plain C has %.9g", name, what, at, (double)value,
                 (double)expected);
}

static void matmul_check(const struct kernels *kernels, enum llama_precision type, size_t rows,
                         size_t columns, size_t tokens)
{
    void *block;
    float *source = random_array(rows * columns, rows + columns), *x;
    size_t stride = rows + 3;
    const void *weights = narrowed(source, rows * columns, type, &block);
    x = random_array(tokens * columns, 7);
    float *expected = calloc(tokens * stride, sizeof *expected);
    float *out = calloc(tokens * stride, sizeof *out);
    assert_true(expected && out);
    kernels_plain.matmul[type](expected, stride, weights, rows, columns, x, tokens);
    kernels->matmul[type](out, stride, weights, rows, columns, x, tokens);
    for (size_t i = 0; i < tokens * stride; i++)
        assert_close(out[i], expected[i], sqrtf((float)columns), kernels->name, "matmul", i);
    free(expected);
    free(out);
    free(x);
    free(block);
    free(source);
}

static const size_t widths[] = {1, 2, 7, 8, 15, 16, 17, 31, 64, 80, 127, 128, 576, 1000};
enum { WIDTHS = sizeof widths / sizeof widths[0] };

static void test_matmul(void **state)
{
    (void)state;
    const struct kernels *kernels;
    for (size_t k = 1; (kernels = kernels_at(k)); k++) {
        for (int type = 0; type < KERNEL_TYPES; type++) {
            for (size_t w = 0; w < WIDTHS; w++) {
                for (size_t rows = 1; rows <= 17; rows += rows < 9 ? 1 : 4) {
                    for (size_t tokens = 1; tokens <= 13; tokens++)
                        matmul_check(kernels, type, rows, widths[w], tokens);
                }
            }
        }
    }
}

/* The order of a sum must not depend on what is computed beside it: this is what makes results
 * the same for every number of threads and every block of tokens. */
static void test_matmul_is_the_same_however_it_is_split(void **state)
{
    enum { ROWS = 23, COLUMNS = 579, TOKENS = 11 };
    (void)state;
    const struct kernels *kernels;
    for (size_t k = 0; (kernels = kernels_at(k)); k++) {
        for (int type = 0; type < KERNEL_TYPES; type++) {
            float *source = random_array((size_t)ROWS * COLUMNS, 1);
            float *x = random_array((size_t)TOKENS * COLUMNS, 2);
            float whole[TOKENS * ROWS], one;
            void *block;
            const unsigned char *weights = narrowed(source, (size_t)ROWS * COLUMNS, type, &block);
            size_t row_bytes = COLUMNS * llama_precision_bytes(type);
            kernels->matmul[type](whole, ROWS, weights, ROWS, COLUMNS, x, TOKENS);
            for (size_t t = 0; t < TOKENS; t++) {
                for (size_t r = 0; r < ROWS; r++) {
                    kernels->matmul[type](&one, 1, weights + r * row_bytes, 1, COLUMNS,
                                          x + t * COLUMNS, 1);
                    assert_memory_equal(&one, &whole[t * ROWS + r], sizeof one);
                }
            }
            free(block);
            free(x);
            free(source);
        }
    }
}

static void mix_check(const struct kernels *kernels, enum llama_precision type, size_t heads,
                      size_t positions, size_t columns)
{
    void *block;
    size_t stride = positions + 5;
    float *source = random_array(positions * columns, 3);
    float *share = random_array(heads * stride, 4);
    const void *values = narrowed(source, positions * columns, type, &block);
    float *expected = calloc(heads * columns, sizeof *expected);
    float *out = calloc(heads * columns, sizeof *out);
    assert_true(expected && out);
    kernels_plain.mix[type](expected, share, stride, heads, values, positions, columns);
    kernels->mix[type](out, share, stride, heads, values, positions, columns);
    for (size_t i = 0; i < heads * columns; i++)
        assert_close(out[i], expected[i], sqrtf((float)positions), kernels->name, "mix", i);
    free(expected);
    free(out);
    free(share);
    free(block);
    free(source);
}

static void test_mix(void **state)
{
    (void)state;
    const struct kernels *kernels;
    for (size_t k = 1; (kernels = kernels_at(k)); k++) {
        for (int type = 0; type < KERNEL_TYPES; type++) {
            for (size_t w = 0; w < WIDTHS; w++) {
                for (size_t heads = 1; heads <= 9; heads++)
                    mix_check(kernels, type, heads, 1 + w * heads, widths[w]);
            }
        }
    }
}

/* All F16 and BF16 values go through float32 and back unchanged, on every table alike. */
static void test_halves_survive(void **state)
{
    enum { ALL = 1 << 16 };
    (void)state;
    const struct kernels *kernels;
    uint16_t *halves = malloc(ALL * sizeof *halves), *again = malloc(ALL * sizeof *again);
    float *wide = malloc(ALL * sizeof *wide), *plain = malloc(ALL * sizeof *plain);
    assert_true(halves && again && wide && plain);
    for (size_t i = 0; i < ALL; i++)
        halves[i] = (uint16_t)i;
    for (size_t k = 0; (kernels = kernels_at(k)); k++) {
        for (int type = LLAMA_F16; type <= LLAMA_BF16; type++) {
            kernels->widen[type](wide, halves, ALL);
            kernels->narrow[type](again, wide, ALL);
            kernels_plain.widen[type](plain, halves, ALL);
            for (size_t i = 0; i < ALL; i++) {
                if (isnan(plain[i])) {
                    assert_true(isnan(wide[i]));
                    kernels_plain.widen[type](plain + i, again + i, 1);
                    assert_true(isnan(plain[i]));
                } else {
                    assert_memory_equal(&wide[i], &plain[i], sizeof wide[i]);
                    assert_int_equal(again[i], halves[i]);
                }
            }
        }
    }
    free(halves);
    free(again);
    free(wide);
    free(plain);
}

/* Values around every rounding boundary, the largest numbers and the smallest. */
static void test_narrowing_rounds_alike(void **state)
{
    static const float special[] = {0.0f,       -0.0f,     1.0f,       65504.0f,   65519.99f,
                                    65520.0f,   1e30f,     -1e38f,     INFINITY,   -INFINITY,
                                    0x1p-14f,   0x1p-15f,  0x1p-24f,   0x1p-25f,   0x1.8p-25f,
                                    0x1p-126f,  0x1p-140f, 3.3895e38f, 1.00049f,   0x1.ffep-15f,
                                    0x1.fffp0f, 0x1.01p0f, 0x1.03p0f,  0x1.002p0f, 0x1.006p0f};
    enum { SPECIALS = sizeof special / sizeof special[0], COUNT = 4099 };
    (void)state;
    const struct kernels *kernels;
    uint64_t random = 99;
    float x[COUNT];
    uint16_t expected[COUNT], out[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        x[i] = i < SPECIALS ? special[i] : ldexpf(random_float(&random), (int)(i % 60) - 40);
    /* Known answers first: the oracle itself. */
    kernels_plain.narrow[LLAMA_F16](out, (const float[]){1.0f, 65520.0f, 0x1.002p0f, 0x1.006p0f},
                                    4);
    assert_int_equal(out[0], 0x3c00);
    assert_int_equal(out[1], 0x7c00);
    assert_int_equal(out[2], 0x3c00);
    assert_int_equal(out[3], 0x3c02);
    kernels_plain.narrow[LLAMA_BF16](out, (const float[]){1.0f, 0x1.01p0f, 0x1.03p0f}, 3);
    assert_int_equal(out[0], 0x3f80);
    assert_int_equal(out[1], 0x3f80);
    assert_int_equal(out[2], 0x3f82);
    for (size_t k = 1; (kernels = kernels_at(k)); k++) {
        for (int type = LLAMA_F16; type <= LLAMA_BF16; type++) {
            kernels_plain.narrow[type](expected, x, COUNT);
            kernels->narrow[type](out, x, COUNT);
            for (size_t i = 0; i < COUNT; i++) {
                if (out[i] != expected[i])
                    fail_msg("%s: %a becomes %04x, plain C has %04x", kernels->name, (double)x[i],
                             out[i], expected[i]);
            }
        }
    }
}

static void test_elementwise(void **state)
{
    (void)state;
    const struct kernels *kernels;
    for (size_t k = 1; (kernels = kernels_at(k)); k++) {
        for (size_t w = 0; w < WIDTHS; w++) {
            size_t n = widths[w];
            float *x = random_array(n, 5), *y = random_array(n, 6);
            float *a = calloc(n, sizeof *a), *b = calloc(n, sizeof *b);
            assert_true(a && b);

            kernels_plain.rmsnorm(a, x, y, n, 1e-5f);
            kernels->rmsnorm(b, x, y, n, 1e-5f);
            for (size_t i = 0; i < n; i++)
                assert_close(b[i], a[i], 1 + fabsf(a[i]), kernels->name, "rmsnorm", i);

            for (size_t i = 0; i < n; i++)
                a[i] = b[i] = x[i] * 120;
            kernels_plain.softmax(a, n, 0.7f);
            kernels->softmax(b, n, 0.7f);
            for (size_t i = 0; i < n; i++)
                assert_close(b[i], a[i], 0.1f + 10 * a[i], kernels->name, "softmax", i);

            for (size_t i = 0; i < n; i++)
                a[i] = b[i] = x[i] * (i % 3 ? 10 : 200);
            kernels_plain.silu_mul(a, y, n);
            kernels->silu_mul(b, y, n);
            for (size_t i = 0; i < n; i++)
                assert_close(b[i], a[i], 0.1f + fabsf(a[i]), kernels->name, "silu_mul", i);

            kernels_plain.add(a, y, n);
            memcpy(b, a, n * sizeof *b);
            kernels_plain.add(a, y, n);
            kernels->add(b, y, n);
            assert_memory_equal(a, b, n * sizeof *a);
            free(a);
            free(b);
            free(x);
            free(y);
        }
    }
}

static void test_find(void **state)
{
    (void)state;
    const struct kernels *kernels = NULL;
    struct error err;
    assert_int_equal(kernels_find(&kernels, NULL, &err), STATUS_OK);
    size_t last = 0;
    while (kernels_at(last + 1))
        last++;
    assert_ptr_equal(kernels, kernels_at(last));
    assert_int_equal(kernels_find(&kernels, "c", &err), STATUS_OK);
    assert_ptr_equal(kernels, &kernels_plain);
    assert_int_equal(kernels_find(&kernels, "mmx", &err), STATUS_USAGE);
    assert_non_null(strstr(err.what, "mmx"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_matmul_is_the_same_however_it_is_split),
        cmocka_unit_test(test_mix),
        cmocka_unit_test(test_halves_survive),
        cmocka_unit_test(test_narrowing_rounds_alike),
        cmocka_unit_test(test_elementwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
