/* The kernels of quantised matrices that any card has, on shapes that fill neither groups nor
 * units, against plain C; the weights that they unpack are those of the CPU to the bit, and those
 * that multiply one vector are given nf4's values as they take them, the nearest float16s. Without
 * a GPU that can run it, this says so and ends with 77, which ctest shows as skipped. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/plain_codes.h"
#include "llama/cuda/codes.h"
#include "llama/quantize.h"
#include "model/half.h"

enum { SKIPPED = 77 };

static const struct {
    enum codes_kind kind;
    uint32_t rows, columns, tokens;
} cases[] = {
    {CODES_INT8, 8, 64, 1},    {CODES_INT8, 13, 100, 3},   {CODES_INT8, 1000, 2048, 8},
    {CODES_INT8, 21, 1536, 9}, {CODES_INT8, 64, 8192, 11}, {CODES_NF4, 8, 64, 1},
    {CODES_NF4, 13, 192, 3},   {CODES_NF4, 1000, 2048, 8}, {CODES_NF4, 21, 8192, 11},
};

/* Of one vector: few and odd groups, several pairs of them for a block, rows of many units, and
 * both. */
static const struct {
    enum codes_kind kind;
    uint32_t rows, columns;
} vectors[] = {
    {CODES_INT8, 8, 64},     {CODES_INT8, 13, 100},   {CODES_INT8, 40, 1536},
    {CODES_INT8, 9000, 320}, {CODES_INT8, 64, 4096},  {CODES_INT8, 48, 28672},
    {CODES_NF4, 8, 64},      {CODES_NF4, 40, 1472},   {CODES_NF4, 9000, 320},
    {CODES_NF4, 64, 4096},   {CODES_NF4, 48, 28672},  {CODES_INT8, 4500, 1472},
    {CODES_NF4, 4500, 1472}, {CODES_NF4, 4500, 3072},
};

struct fixture {
    struct card card;
    struct codes_kernels kernels;
    struct codes_vector_kernels vector;
};

/* A matrix as the card has it, and the same as float32. */
struct matrix_made {
    unsigned char *packed;
    float *weights;
};

static void must(const struct fixture *f, cuda_result result)
{
    struct error err;
    if (cuda_check(&f->card.cuda, result, &err, "test") != STATUS_OK)
        fail_msg("%s", err.what);
}

static void *room(size_t bytes)
{
    void *at = calloc(1, bytes);
    assert_non_null(at);
    return at;
}

static float number(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / (float)(1 << 23) - 1;
}

/* rounded: nf4's values are the nearest float16s. */
static struct matrix_made made(enum codes_kind kind, uint32_t rows, uint32_t columns, bool rounded)
{
    struct matrix_made m = {room(codes_bytes(kind, rows, columns)),
                            room((size_t)rows * columns * sizeof(float))};
    unsigned char *codes = room(columns);
    float *scales = room(columns * sizeof *scales), values[16];
    uint32_t seed = rows + columns;
    for (size_t i = 0; i < 16; i++)
        values[i] = rounded ? half_to_float(half_from_float(nf4_code[i])) : nf4_code[i];
    for (uint32_t r = 0; r < rows; r++) {
        float *row = m.weights + (size_t)r * columns;
        for (uint32_t c = 0; c < columns; c++)
            row[c] = number(&seed) * (float)(1 + r % 3);
        if (kind == CODES_INT8)
            plain_int8((int8_t *)codes, scales, row, columns);
        else
            kernels_plain.nf4_codes(codes, scales, row, columns);
        codes_put(kind, m.packed, r, columns, codes, scales);
        for (uint32_t c = 0; c < columns; c++)
            row[c] = kind == CODES_INT8 ? (float)(int8_t)codes[c] * scales[0]
                                        : values[nf4_at(codes, c)] * scales[c / NF4_BLOCK];
    }
    free(codes);
    free(scales);
    return m;
}

static cuda_pointer sent(const struct fixture *f, const void *data, size_t bytes)
{
    struct error err;
    cuda_pointer at = 0;
    if (cuda_memory_get(&f->card.cuda, bytes, &at, &err) != STATUS_OK)
        fail_msg("%s", err.what);
    must(f, f->card.cuda.MemcpyHtoD(at, data, bytes));
    must(f, f->card.cuda.CtxSynchronize()); /* the kernels' stream does not wait for the copy */
    return at;
}

static void check_unpacked(const struct fixture *f, size_t i, const struct matrix_made *m,
                           cuda_pointer packed)
{
    struct error err;
    uint32_t rows = cases[i].rows, columns = cases[i].columns;
    size_t bytes = (size_t)rows * columns * sizeof(uint16_t);
    uint16_t *halves = room(bytes);
    cuda_pointer out = sent(f, halves, bytes);
    if (codes_unpack(&f->kernels, &f->card, cases[i].kind, out, (const void *)(uintptr_t)packed,
                     rows, columns, &err) ||
        card_wait(&f->card, &err))
        fail_msg("%s", err.what);
    must(f, f->card.cuda.MemcpyDtoH(halves, out, bytes));
    for (size_t n = 0; n < (size_t)rows * columns; n++)
        if (halves[n] != half_from_float(m->weights[n]))
            fail_msg("weight %zu of %u x %u", n, rows, columns);
    must(f, f->card.cuda.MemFree(out));
    free(halves);
}

/* ||card - host|| / ||host|| of a product. */
static double product_distance(const struct fixture *f, size_t i, const struct matrix_made *m,
                               cuda_pointer packed, bool half)
{
    struct error err;
    uint32_t rows = cases[i].rows, columns = cases[i].columns, tokens = cases[i].tokens, seed = 7;
    size_t inputs = (size_t)tokens * columns, outputs = (size_t)tokens * rows;
    float *x = room(inputs * sizeof *x), *out = room(outputs * sizeof *out);
    uint16_t *x16 = room(inputs * sizeof *x16);
    for (size_t n = 0; n < inputs; n++) {
        x16[n] = half_from_float(number(&seed));
        x[n] = half_to_float(x16[n]);
    }
    cuda_pointer in = half ? sent(f, x16, inputs * sizeof *x16) : sent(f, x, inputs * sizeof *x);
    cuda_pointer to = sent(f, out, outputs * sizeof *out);
    if (codes_multiply(&f->kernels, &f->card, cases[i].kind, half, to, in,
                       (const void *)(uintptr_t)packed, rows, columns, tokens, &err) ||
        card_wait(&f->card, &err))
        fail_msg("%s", err.what);
    must(f, f->card.cuda.MemcpyDtoH(out, to, outputs * sizeof *out));
    double above = 0, below = 0;
    for (size_t n = 0; n < outputs; n++) {
        double expected = 0;
        for (uint32_t c = 0; c < columns; c++)
            expected +=
                (double)m->weights[n % rows * columns + c] * (double)x[n / rows * columns + c];
        above += ((double)out[n] - expected) * ((double)out[n] - expected);
        below += expected * expected;
    }
    must(f, f->card.cuda.MemFree(in));
    must(f, f->card.cuda.MemFree(to));
    free(x);
    free(x16);
    free(out);
    return sqrt(above / below);
}

static void test_codes(void **state)
{
    const struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t rows = cases[i].rows, columns = cases[i].columns;
        struct matrix_made m = made(cases[i].kind, rows, columns, false);
        cuda_pointer packed = sent(f, m.packed, codes_bytes(cases[i].kind, rows, columns));
        if (columns % CODES_COLUMNS == 0)
            check_unpacked(f, i, &m, packed);
        for (int half = 0; half < 2; half++) {
            double d = product_distance(f, i, &m, packed, half);
            printf("%s %4u x %4u, %2u tokens of %s: relative L2 %.1e\n",
                   cases[i].kind == CODES_INT8 ? "int8" : "nf4 ", rows, columns, cases[i].tokens,
                   half ? "float16" : "float32", d);
            fflush(stdout);
            assert_true(d < 1e-6);
        }
        must(f, f->card.cuda.MemFree(packed));
        free(m.packed);
        free(m.weights);
    }
}

/* What vector i gives, of a plain matrix or of gated rows: ||card - host|| / ||host||. */
static double vector_distance(const struct fixture *f, size_t i, const struct matrix_made *m,
                              cuda_pointer packed, bool gated)
{
    struct error err;
    uint32_t rows = vectors[i].rows, columns = vectors[i].columns, seed = 7;
    uint32_t count = gated ? rows / 2 : rows;
    float *x = room(columns * sizeof *x), *out = room(rows * sizeof *out);
    double *sums = room(rows * sizeof *sums), above = 0, below = 0;
    for (uint32_t c = 0; c < columns; c++)
        x[c] = number(&seed);
    cuda_pointer in = sent(f, x, columns * sizeof *x), to = sent(f, out, rows * sizeof *out);
    if (codes_vector(&f->vector, &f->card, vectors[i].kind, gated, to, in,
                     (const void *)(uintptr_t)packed, rows, columns, &err) ||
        card_wait(&f->card, &err))
        fail_msg("%s", err.what);
    must(f, f->card.cuda.MemcpyDtoH(out, to, count * sizeof *out));
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < columns; c++)
            sums[r] += (double)m->weights[(size_t)r * columns + c] * (double)x[c];
    for (uint32_t n = 0; n < count; n++) {
        double expected = gated ? sums[2 * n] / (1 + exp(-sums[2 * n])) * sums[2 * n + 1] : sums[n];
        above += ((double)out[n] - expected) * ((double)out[n] - expected);
        below += expected * expected;
    }
    must(f, f->card.cuda.MemFree(in));
    must(f, f->card.cuda.MemFree(to));
    free(x);
    free(out);
    free(sums);
    return sqrt(above / below);
}

static void test_vectors(void **state)
{
    const struct fixture *f = *state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint32_t rows = vectors[i].rows, columns = vectors[i].columns;
        struct matrix_made m = made(vectors[i].kind, rows, columns, true);
        cuda_pointer packed = sent(f, m.packed, codes_bytes(vectors[i].kind, rows, columns));
        int forms = rows % 2 == 0 ? 2 : 1; /* gated rows are pairs */
        if (!codes_vector_fits(&f->card, vectors[i].kind, columns)) {
            printf("%u columns do not fit this card\n", columns);
            forms = 0;
        }
        for (int gated = 0; gated < forms; gated++) {
            double d = vector_distance(f, i, &m, packed, gated);
            printf("%s %4u x %5u, one vector%s: relative L2 %.1e\n",
                   vectors[i].kind == CODES_INT8 ? "int8" : "nf4 ", rows, columns,
                   gated ? ", gated" : "", d);
            fflush(stdout);
            assert_true(d < 1e-5);
        }
        must(f, f->card.cuda.MemFree(packed));
        free(m.packed);
        free(m.weights);
    }
}

int main(void)
{
    struct fixture f;
    struct error err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_codes, &f),
        cmocka_unit_test_prestate(test_vectors, &f),
    };
    if (card_open(&f.card, "cuda", &err) != STATUS_OK) {
        fputs("The tests on a GPU did not run. ", stderr);
        error_print(&err, stderr);
        return SKIPPED;
    }
    int failed = 1;
    if (codes_open(&f.kernels, &f.card, &err) == STATUS_OK &&
        codes_vector_open(&f.vector, &f.card, &err) == STATUS_OK)
        failed = cmocka_run_group_tests(tests, NULL, NULL);
    else
        error_print(&err, stderr);
    card_close(&f.card);
    return failed;
}
