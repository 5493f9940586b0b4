/* Each kernel on one thread: products of one token in GB/s of weights read, as a share of the
 * probe, and products of a block of tokens in GFLOP/s:
 *
 *   build/release/perf/kernels
 *
 * The weights are passed piece by piece, each piece timed; what is shown is the best quarter's
 * edge, which other work on the machine disturbs least. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cores.h"
#include "base/pages.h"
#include "llama/cpu/kernels.h"
#include "machine/bandwidth.h"

enum {
    WEIGHT_BYTES = 512 << 20, /* far beyond the caches */
    PIECE_BYTES = 4 << 20,
    PIECES = WEIGHT_BYTES / PIECE_BYTES,
    TOKENS = 64,
    PROBE_MS = 300
};

static const char *const type_names[] = {"F32", "F16", "BF16"};

struct bench {
    const unsigned char *weights;
    float *x, *out; /* [TOKENS, columns], [TOKENS, rows of a piece] */
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Nanoseconds per piece. */
static double pass(const struct bench *bench, const struct kernels *kernels,
                   enum llama_precision type, size_t columns, size_t tokens, size_t pieces)
{
    double ns[PIECES] = {0};
    size_t rows = PIECE_BYTES / (columns * llama_precision_bytes(type));
    for (size_t i = 0; i < pieces; i++) {
        int64_t begin = clock_now_ns();
        kernels->matmul[type](bench->out, rows, bench->weights + i * PIECE_BYTES, rows, columns,
                              bench->x, tokens);
        ns[i] = (double)(clock_now_ns() - begin);
    }
    qsort(ns, pieces, sizeof *ns, compare);
    return ns[pieces / 4];
}

static void measure(const struct bench *bench, const struct kernels *kernels,
                    enum llama_precision type, size_t columns)
{
    struct bandwidth probe;
    struct error err;
    if (bandwidth_probe(&probe, 1, PROBE_MS, &err) != STATUS_OK) {
        error_print(&err, stderr);
        exit(1);
    }
    double ns = pass(bench, kernels, type, columns, 1, PIECES);
    double speed = PIECE_BYTES / ns, limit = probe.bytes_per_second / 1e9;
    double block_ns = pass(bench, kernels, type, columns, TOKENS, 8);
    double products = (double)PIECE_BYTES / (double)llama_precision_bytes(type) * TOKENS;
    printf("%-7s %-5s %7zu %8.2f %8.2f %6.0f %% %10.1f\n", kernels->name, type_names[type], columns,
           speed, limit, 100 * speed / limit, 2 * products / block_ns);
    fflush(stdout);
}

int main(void)
{
    static const size_t widths[] = {2048, 8192, 576};
    struct pages pages;
    struct error err;
    struct cores cores;
    int status = 1;
    if (pages_map(&pages, WEIGHT_BYTES, &err) != STATUS_OK) {
        error_print(&err, stderr);
        return 1;
    }
    memset(pages.data, 0, pages.bytes);
    struct bench bench = {.weights = pages.data,
                          .x = calloc((size_t)TOKENS * 8192, sizeof(float)),
                          .out = calloc((size_t)TOKENS * PIECE_BYTES / 576, sizeof(float))};
    if (!bench.x || !bench.out) {
        error_print(&(struct error){.what = "out of memory"}, stderr);
        goto cleanup;
    }
    cores_read(&cores);
    cores_pin(&cores, 0);
    printf("kernels type  columns     GB/s    probe    share   GFLOP/s of %d tokens\n", TOKENS);
    const struct kernels *kernels;
    for (size_t k = 1; (kernels = kernels_at(k)); k++) {
        for (int type = LLAMA_F32; type <= LLAMA_BF16; type++) {
            for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
                measure(&bench, kernels, (enum llama_precision)type, widths[i]);
        }
    }
    status = 0;

cleanup:
    free(bench.x);
    free(bench.out);
    pages_free(&pages);
    return status;
}
