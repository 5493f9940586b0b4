/* Products of many tokens on the tensor cores against plain C, at every cut of them: fewer tokens
 * and rows than a tile has, several tiles for each multiprocessor, several parts; and those of
 * float32 tiles. Without a GPU that can run it, this says so and ends with 77, which ctest shows as
 * skipped. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "llama/cuda/product.h"
#include "model/half.h"

enum { LAYERS = 2, SKIPPED = 77 };

FATBIN_DECLARE(prefill);
FATBIN_DECLARE(portable);

static const struct {
    uint32_t tokens, rows, columns;
    bool gated;
} cases[] = {
    {1, 192, 128, false},     {9, 96, 64, false},       {77, 320, 1024, false},
    {128, 3072, 2048, false}, {130, 2048, 512, false},  {512, 3072, 2048, false},
    {700, 2048, 576, false},  {128, 1408, 256, true},   {300, 4608, 576, true},
    {2048, 1024, 256, true},  {1500, 2560, 320, false}, {2048, 6144, 128, false},
};

static const struct {
    uint32_t tokens, rows, columns;
} tiled[] = {{9, 1, 4},       {63, 31, 36},      {64, 32, 32},
             {65, 1002, 100}, {128, 3072, 2048}, {130, 33, 2304}};

struct fixture {
    struct card card;
    struct cuda_module *plain;
};

static void must(const struct fixture *f, cuda_result result)
{
    struct error err;
    if (cuda_check(&f->card.cuda, result, &err, "test") != STATUS_OK)
        fail_msg("%s", err.what);
}
static void must_be_ok(enum status status, const struct error *err)
{
    if (status != STATUS_OK)
        fail_msg("%s", err->what);
}

/* count values of 16 bits between -1 and 1, and the same as float32. */
static uint16_t *values(size_t count, enum llama_precision precision, uint32_t seed, float *as)
{
    uint16_t *bits = malloc(count * sizeof *bits);
    assert_non_null(bits);
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        float x = (float)(seed >> 8) / (float)(1 << 23) - 1;
        bits[i] = precision == LLAMA_F16 ? half_from_float(x) : bfloat_from_float(x);
        as[i] = precision == LLAMA_F32   ? x
                : precision == LLAMA_F16 ? half_to_float(bits[i])
                                         : bfloat_to_float(bits[i]);
    }
    return bits;
}

static cuda_pointer sent(const struct fixture *f, const void *data, size_t bytes)
{
    struct error err;
    cuda_pointer at = 0;
    must_be_ok(cuda_memory_get(&f->card.cuda, bytes, &at, &err), &err);
    must(f, f->card.cuda.MemcpyHtoD(at, data, bytes));
    return at;
}

/* What the card made of one product: the sum of its parts, or the gated values. */
static void computed(const struct fixture *f, const struct product_kernels *kernels,
                     const struct product *p, uint32_t tokens, enum llama_precision precision,
                     float *result, uint32_t *parts)
{
    struct error err;
    size_t count = (size_t)tokens * p->rows / (p->gated ? 2 : 1);
    size_t bytes = product_out_bytes(tokens, p->rows, kernels->multiprocessors);
    char *made = malloc(bytes);
    assert_non_null(made);
    memset(made, 0xff, bytes);
    cuda_pointer out = sent(f, made, bytes);
    must_be_ok(product_start(p, kernels, &f->card, LAYERS - 1, tokens, out, parts, &err), &err);
    must_be_ok(card_wait(&f->card, &err), &err);
    must(f, f->card.cuda.MemcpyDtoH(made, out, bytes));
    for (size_t i = 0; i < count; i++) {
        result[i] = 0;
        if (p->gated) {
            uint16_t bits = ((uint16_t *)(void *)made)[i];
            result[i] = precision == LLAMA_F16 ? half_to_float(bits) : bfloat_to_float(bits);
        }
        for (uint32_t n = 0; n < *parts && !p->gated; n++)
            result[i] += ((float *)(void *)made)[n * count + i];
    }
    must(f, f->card.cuda.MemFree(out));
    free(made);
}

static double dot(const float *a, const float *b, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* ||result - reference|| / ||reference||, of every token's first, last and some other rows. */
static double distance(const float *result, const float *x, const float *weights,
                       const struct product *p, uint32_t tokens)
{
    double above = 0, below = 0;
    uint32_t columns = p->columns, width = p->gated ? p->rows / 2 : p->rows;
    for (uint32_t t = 0; t < tokens; t++) {
        for (uint32_t r = (t * 7) % 5; r < width;
             r = r + 5 < width || r == width - 1 ? r + 5 : width - 1) {
            const float *in = x + (size_t)t * columns;
            double expected;
            if (p->gated) {
                double gate = dot(in, weights + (size_t)2 * r * columns, columns);
                double up = dot(in, weights + (size_t)(2 * r + 1) * columns, columns);
                expected = gate / (1 + exp(-gate)) * up;
            } else {
                expected = dot(in, weights + (size_t)r * columns, columns);
            }
            double d = (double)result[(size_t)t * width + r] - expected;
            above += d * d;
            below += expected * expected;
        }
    }
    return sqrt(above / below);
}

static void check(const struct fixture *f, const struct product_kernels *kernels, size_t i,
                  enum llama_precision precision)
{
    struct error err;
    uint32_t tokens = cases[i].tokens, rows = cases[i].rows, columns = cases[i].columns, parts = 0;
    size_t matrix = (size_t)rows * columns, count = (size_t)tokens * rows;
    float *x = calloc((size_t)tokens * columns, sizeof *x), *w = calloc(LAYERS * matrix, sizeof *w);
    float *result = malloc(count * sizeof *result), *again = malloc(count * sizeof *again);
    assert_true(x && w && result && again);
    uint16_t *x_bits = values((size_t)tokens * columns, precision, 1 + (uint32_t)i, x);
    uint16_t *w_bits = values(LAYERS * matrix, precision, 1000 + (uint32_t)i, w);
    struct product p = {.rows = rows,
                        .columns = columns,
                        .gated = cases[i].gated,
                        .layer_bytes = matrix * sizeof *w_bits,
                        .x = sent(f, x_bits, (size_t)tokens * columns * sizeof *x_bits)};
    cuda_pointer weights = sent(f, w_bits, LAYERS * matrix * sizeof *w_bits);
    p.weights = (const char *)(uintptr_t)weights;
    must_be_ok(product_describe(&p, kernels, &f->card, tokens, LAYERS, &err), &err);
    computed(f, kernels, &p, tokens, precision, result, &parts);
    computed(f, kernels, &p, tokens, precision, again, &parts);
    count /= p.gated ? 2 : 1;
    double d = distance(result, x, w + (LAYERS - 1) * matrix, &p, tokens);
    struct product_plan plan = product_plan(tokens, rows, columns, p.gated,
                                            kernels->wide[0] ? 256 : 128, kernels->multiprocessors);
    printf("%-4s %4u tokens, %4u x %4u%s: tiles of %u, %u parts: relative L2 %.1e\n",
           precision == LLAMA_F16 ? "F16" : "BF16", tokens, rows, columns, p.gated ? ", gated" : "",
           plan.width, parts, d);
    fflush(stdout);
    /* sums of float32, which the tensor cores cut off instead of rounding; what is gated is rounded
     * to 11 or 8 bits */
    assert_true(d < (!p.gated ? 1e-5 : precision == LLAMA_F16 ? 3e-4 : 2.5e-3));
    assert_memory_equal(result, again, count * sizeof *result);
    must(f, f->card.cuda.MemFree(p.x));
    must(f, f->card.cuda.MemFree(weights));
    free(x);
    free(w);
    free(result);
    free(again);
    free(x_bits);
    free(w_bits);
}

static void test_products(void **state)
{
    static const enum llama_precision precisions[] = {LLAMA_F16, LLAMA_BF16};
    struct fixture *f = *state;
    struct error err;
    for (size_t n = 0; n < 2; n++) {
        struct product_kernels kernels;
        must_be_ok(product_open(&kernels, &f->card, f->plain, precisions[n], &err), &err);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            check(f, &kernels, i, precisions[n]);
        if (!kernels.wide[0])
            continue;
        /* and the kernels that other cards take */
        memset(kernels.wide, 0, sizeof kernels.wide);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i += 3)
            check(f, &kernels, i, precisions[n]);
    }
}

/* float32 tokens by a matrix of any type. */
static void check_tiles(const struct fixture *f, struct cuda_function *kernel, size_t i,
                        enum llama_precision precision)
{
    enum { TOKENS = 64, ROWS = 32, THREADS = 256 }; /* as tiles.cuh has them */
    struct error err;
    uint32_t tokens = tiled[i].tokens, rows = tiled[i].rows, columns = tiled[i].columns;
    size_t matrix = (size_t)rows * columns, count = (size_t)tokens * rows;
    float *x = calloc((size_t)tokens * columns, sizeof *x), *w = calloc(matrix, sizeof *w);
    float *result = malloc(count * sizeof *result);
    assert_true(x && w && result);
    free(values((size_t)tokens * columns, LLAMA_F16, 1 + (uint32_t)i, x));
    uint16_t *bits = values(matrix, precision, 1000 + (uint32_t)i, w);
    memset(result, 0xff, count * sizeof *result);
    cuda_pointer in = sent(f, x, (size_t)tokens * columns * sizeof *x);
    cuda_pointer weights = precision == LLAMA_F32 ? sent(f, w, matrix * sizeof *w)
                                                  : sent(f, bits, matrix * sizeof *bits);
    cuda_pointer out = sent(f, result, count * sizeof *result);
    void *arguments[] = {&out, &weights, &in, &rows, &columns, &tokens};
    must_be_ok(card_launch(&f->card, kernel, (tokens + TOKENS - 1) / TOKENS,
                           (rows + ROWS - 1) / ROWS, THREADS, 0, arguments, &err),
               &err);
    must_be_ok(card_wait(&f->card, &err), &err);
    must(f, f->card.cuda.MemcpyDtoH(result, out, count * sizeof *result));
    struct product p = {.rows = rows, .columns = columns};
    double d = distance(result, x, w, &p, tokens);
    printf("type %d, %4u tokens, %4u x %4u in float32: relative L2 %.1e\n", (int)precision, tokens,
           rows, columns, d);
    fflush(stdout);
    assert_true(d < 2e-6);
    must(f, f->card.cuda.MemFree(in));
    must(f, f->card.cuda.MemFree(weights));
    must(f, f->card.cuda.MemFree(out));
    free(x);
    free(w);
    free(bits);
    free(result);
}

static void test_tiles(void **state)
{
    struct fixture *f = *state;
    struct fatbin fatbin = FATBIN(portable);
    struct cuda_module *module;
    struct error err;
    must_be_ok(card_load(&f->card, &fatbin, &module, &err), &err);
    for (int precision = LLAMA_F32; precision <= LLAMA_BF16; precision++) {
        struct cuda_function *kernel;
        must_be_ok(card_kernel(&f->card, module, "matmul_tiles", precision, &kernel, &err), &err);
        for (size_t i = 0; i < sizeof tiled / sizeof tiled[0]; i++)
            check_tiles(f, kernel, i, (enum llama_precision)precision);
    }
}

int main(void)
{
    struct fixture f;
    struct error err;
    struct fatbin fatbin = FATBIN(prefill);
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(test_products, &f),
                                       cmocka_unit_test_prestate(test_tiles, &f)};
    if (card_open(&f.card, "cuda", &err) != STATUS_OK) {
        fputs("The tests on a GPU did not run. ", stderr);
        error_print(&err, stderr);
        return SKIPPED;
    }
    int failed = 1;
    if (card_load(&f.card, &fatbin, &f.plain, &err) == STATUS_OK)
        failed = cmocka_run_group_tests(tests, NULL, NULL);
    else
        error_print(&err, stderr);
    card_close(&f.card);
    return failed;
}
