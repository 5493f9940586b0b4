/* Quantised matrices: each kernel table against plain C, plain C against the definition. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/plain_codes.h"
#include "llama/cpu/kernels.h"
#include "llama/quantize.h"
#include "model/half.h"
#include "model/quant.h"

/* xorshift: the same numbers on every machine, some of them large. */
static float *random_array(size_t count, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
    float *array = malloc(count * sizeof *array + 1);
    assert_non_null(array);
    for (size_t i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        array[i] = (float)(int32_t)(state >> 32) * 0x1p-31f * (state % 97 == 0 ? 4 : 1);
    }
    return array;
}

struct codes {
    void *data;
    float *scales;
};

static struct codes int8_make(const float *weights, size_t rows, size_t columns)
{
    struct codes codes = {malloc(rows * columns), calloc(rows, sizeof(float))};
    assert_true(codes.data && codes.scales);
    for (size_t r = 0; r < rows; r++)
        plain_int8((int8_t *)codes.data + r * columns, &codes.scales[r], weights + r * columns,
                   columns);
    return codes;
}

static struct codes nf4_make(const float *weights, size_t rows, size_t columns)
{
    struct codes codes = {malloc(rows * columns / 2),
                          calloc(rows * columns / NF4_BLOCK, sizeof(float))};
    assert_true(codes.data && codes.scales);
    for (size_t r = 0; r < rows; r++)
        kernels_plain.nf4_codes((uint8_t *)codes.data + r * columns / 2,
                                codes.scales + r * columns / NF4_BLOCK, weights + r * columns,
                                columns);
    return codes;
}

static void codes_free(struct codes *codes)
{
    free(codes->data);
    free(codes->scales);
}

static void multiply(const struct kernels *kernels, int nf4, float *out, size_t stride,
                     const struct codes *codes, size_t rows, size_t columns, const float *x,
                     size_t tokens)
{
    if (nf4)
        kernels->matmul_nf4(out, stride, codes->data, codes->scales, rows, columns, x, tokens);
    else
        kernels->matmul_int8(out, stride, codes->data, codes->scales, rows, columns, x, tokens);
}

static void check(const struct kernels *kernels, int nf4, size_t rows, size_t columns,
                  size_t tokens)
{
    size_t stride = rows + 3;
    float *source = random_array(rows * columns, rows + columns);
    float *x = random_array(tokens * columns, 7);
    struct codes codes = nf4 ? nf4_make(source, rows, columns) : int8_make(source, rows, columns);
    float *expected = calloc(tokens * stride, sizeof *expected);
    float *out = calloc(tokens * stride, sizeof *out);
    assert_true(expected && out);
    multiply(&kernels_plain, nf4, expected, stride, &codes, rows, columns, x, tokens);
    multiply(kernels, nf4, out, stride, &codes, rows, columns, x, tokens);
    for (size_t i = 0; i < tokens * stride; i++)
        if (!(fabsf(out[i] - expected[i]) <= 8e-6f * sqrtf((float)columns)))
            fail_msg("%s: %zu x %zu, %zu tokens: [%zu] is %.9g, plain C has %.9g", kernels->name,
                     rows, columns, tokens, i, (double)out[i], (double)expected[i]);
    codes_free(&codes);
    free(expected);
    free(out);
    free(x);
    free(source);
}

/* All kernels, at these widths and several numbers of rows and tokens. */
static void check_widths(int nf4, const size_t *widths, size_t count)
{
    const struct kernels *kernels;
    for (size_t k = 1; (kernels = kernels_at(k)); k++)
        for (size_t w = 0; w < count; w++)
            for (size_t rows = 1; rows <= 9; rows++)
                for (size_t tokens = 1; tokens <= 13; tokens += tokens < 7 ? 1 : 3)
                    check(kernels, nf4, rows, widths[w], tokens);
}

static void test_int8(void **state)
{
    static const size_t widths[] = {1, 2, 7, 8, 15, 16, 17, 31, 64, 127, 576};
    (void)state;
    check_widths(0, widths, sizeof widths / sizeof widths[0]);
}

static void test_nf4(void **state)
{
    static const size_t widths[] = {64, 128, 192, 576};
    (void)state;
    check_widths(1, widths, sizeof widths / sizeof widths[0]);
}

static void test_products_are_the_same_however_they_are_split(void **state)
{
    enum { ROWS = 23, COLUMNS = 576, TOKENS = 11 };
    float *source = random_array((size_t)ROWS * COLUMNS, 1);
    float *x = random_array((size_t)TOKENS * COLUMNS, 2);
    const struct kernels *kernels;
    (void)state;
    for (size_t k = 0; (kernels = kernels_at(k)); k++)
        for (int nf4 = 0; nf4 < 2; nf4++) {
            float whole[TOKENS * ROWS], one;
            struct codes all =
                nf4 ? nf4_make(source, ROWS, COLUMNS) : int8_make(source, ROWS, COLUMNS);
            multiply(kernels, nf4, whole, ROWS, &all, ROWS, COLUMNS, x, TOKENS);
            for (size_t i = 0; i < (size_t)TOKENS * ROWS; i++) {
                size_t t = i / ROWS, r = i % ROWS;
                struct codes row = {(char *)all.data + r * COLUMNS / (nf4 ? 2 : 1),
                                    all.scales + r * (nf4 ? COLUMNS / NF4_BLOCK : 1)};
                multiply(kernels, nf4, &one, 1, &row, 1, COLUMNS, x + t * COLUMNS, 1);
                assert_memory_equal(&one, &whole[i], sizeof one);
            }
            codes_free(&all);
        }
    free(source);
    free(x);
}

static void test_int8_is_as_defined(void **state)
{
    static const float row[] = {0.5f, -1.27f, 1.27f, 0.005f, -0.015f, 0.025f, 0, 1e-9f};
    static const int8_t expected[] = {50, -127, 127, 0, -2, 2, 0, 0};
    const float zeros[3] = {0, -0.0f, 0};
    int8_t codes[8];
    float scale;
    (void)state;
    plain_int8(codes, &scale, row, 8);
    assert_true(scale == 1.27f / 127);
    for (size_t i = 0; i < 8; i++)
        if (i != 3 && i != 4 && i != 5) /* halves, as their float32 quotients fall */
            assert_int_equal(codes[i], expected[i]);
        else
            assert_int_equal(codes[i], (int)rintf(row[i] / scale));
    memset(codes, 1, sizeof codes);
    plain_int8(codes, &scale, zeros, 3);
    assert_true(scale == 0 && codes[0] == 0 && codes[1] == 0 && codes[2] == 0);
}

/* Each value of the code times a scale comes back as itself, in every place of a block. */
static void test_nf4_is_as_defined(void **state)
{
    float row[NF4_BLOCK * 2], scales[2];
    uint8_t codes[NF4_BYTES * 2];
    (void)state;
    for (size_t i = 0; i < NF4_BLOCK; i++) {
        row[i] = nf4_code[(i * 7 + i / 16) % NF4_CODES] * 0.75f;
        row[NF4_BLOCK + i] = 0;
    }
    kernels_plain.nf4_codes(codes, scales, row, sizeof row / sizeof row[0]);
    assert_true(scales[0] == 0.75f && scales[1] == 0);
    for (size_t i = 0; i < NF4_BLOCK; i++) {
        assert_int_equal(nf4_at(codes, i), (i * 7 + i / 16) % NF4_CODES);
        assert_int_equal(nf4_at(codes, NF4_BLOCK + i), 7);
    }
}

/* Just below and above each midpoint; at it, the lower. */
static void test_nf4_takes_the_nearest(void **state)
{
    (void)state;
    for (unsigned c = 0; c + 1 < NF4_CODES; c++) {
        float row[NF4_BLOCK] = {1}, scale, middle = (nf4_code[c] + nf4_code[c + 1]) / 2;
        uint8_t codes[NF4_BYTES];
        row[1] = middle;
        row[17] = nextafterf(middle, -2);
        row[63] = nextafterf(middle, 2);
        kernels_plain.nf4_codes(codes, &scale, row, NF4_BLOCK);
        assert_int_equal(nf4_at(codes, 1), c);
        assert_int_equal(nf4_at(codes, 17), c);
        assert_int_equal(nf4_at(codes, 63), c + 1);
    }
}

/* What blocks of a file stand for is what comes of it again. */
static void test_q8_0_is_as_files_have_it(void **state)
{
    unsigned char blocks[2][34] = {{0}};
    float row[2 * Q8_0_BLOCK], again[2 * Q8_0_BLOCK];
    uint16_t scale = half_from_float(0.0123f);
    (void)state;
    memcpy(blocks[0], &scale, sizeof scale);
    for (int i = 0; i < Q8_0_BLOCK; i++)
        blocks[0][2 + i] = (unsigned char)(int8_t)(127 - 8 * i);
    quant_to_f32(TENSOR_Q8_0, blocks, 2 * Q8_0_BLOCK, row);
    memcpy(again, row, sizeof row);
    quantize_q8_0(again, 2 * Q8_0_BLOCK);
    assert_memory_equal(again, row, sizeof row);
    assert_true(again[1] == 119 * half_to_float(scale) && again[Q8_0_BLOCK] == 0);
}

/* Weights of every kind, and some that no model should have. */
static float *hostile_array(size_t count)
{
    static const float rare[] = {0, -0.0f, 1e-45f, -1e-39f, 3e38f, INFINITY, -INFINITY, NAN};
    float *array = random_array(count, 11);
    for (size_t i = 0; i < count; i++)
        if (i / NF4_BLOCK % 5 == 1)
            array[i] = 0;
        else if (i / NF4_BLOCK % 5 == 2)
            array[i] *= 1e-43f;
        else if (i / NF4_BLOCK % 5 == 3 && i % 7 == 0)
            array[i] = rare[i / 7 % (sizeof rare / sizeof rare[0])];
    return array;
}

static void test_all_kernels_quantise_the_same(void **state)
{
    enum { COUNT = 40 * NF4_BLOCK, BLOCKS = COUNT / NF4_BLOCK };
    const struct kernels *kernels;
    float *weights = hostile_array(COUNT), scales[BLOCKS], expected_scales[BLOCKS];
    uint8_t codes[COUNT], expected[COUNT];
    (void)state;
    for (size_t k = 0; (kernels = kernels_at(k)); k++) {
        kernels_plain.nf4_codes(expected, expected_scales, weights, COUNT);
        kernels->nf4_codes(codes, scales, weights, COUNT);
        assert_memory_equal(codes, expected, COUNT / 2);
        assert_memory_equal(scales, expected_scales, sizeof scales);
        for (size_t begin = 0; begin < COUNT; begin += 37)
            for (size_t count = 1; count <= COUNT - begin; count += 1 + count / 2) {
                const float *row = weights + begin;
                plain_int8((int8_t *)expected, expected_scales, row, count);
                scales[0] = kernels->int8_scale(row, count);
                assert_memory_equal(scales, expected_scales, sizeof scales[0]);
                kernels->int8_codes((int8_t *)codes, scales[0], row, count);
                assert_memory_equal(codes, expected, count);
            }
    }
    free(weights);
}

static void test_widen_int8(void **state)
{
    const struct kernels *kernels;
    int8_t codes[131];
    float out[131];
    (void)state;
    for (size_t i = 0; i < 131; i++)
        codes[i] = (int8_t)(i * 2 - 127);
    for (size_t k = 0; (kernels = kernels_at(k)); k++)
        for (size_t count = 0; count <= 131; count += 1 + count / 9) {
            kernels->widen_int8(out, codes, 0.3f, count);
            for (size_t i = 0; i < count; i++)
                assert_true(out[i] == (float)codes[i] * 0.3f);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_int8),
        cmocka_unit_test(test_nf4),
        cmocka_unit_test(test_all_kernels_quantise_the_same),
        cmocka_unit_test(test_products_are_the_same_however_they_are_split),
        cmocka_unit_test(test_int8_is_as_defined),
        cmocka_unit_test(test_nf4_is_as_defined),
        cmocka_unit_test(test_nf4_takes_the_nearest),
        cmocka_unit_test(test_q8_0_is_as_files_have_it),
        cmocka_unit_test(test_widen_int8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
