/* Quantised matrices times one vector on a GPU, by the kernel that tokens by steps have, one launch
 * after the other:
 *
 *   build/release/perf/codes_gpu
 *
 * For matrices of Llama 1B, 8B and 70B, and of a quarter of 405B, in int8 and nf4: microseconds of
 * one product among many, of matrices that follow each other in memory; the codes' bytes over that
 * time, and their share of what the card reads now; and how many times as long the kernel for any
 * number of vectors takes. All codes are alike, so the card draws less power than for a model's. */
#include <stdio.h>

#include "base/clock.h"
#include "llama/cuda/codes.h"
#include "probe/stream.h"

enum { BUDGET_MS = 300, RUNS = 3 };
static const uint64_t BUFFER = 2000000000; /* bytes: many times the second-level cache */

static const struct shape {
    const char *name;
    uint32_t rows, columns;
    bool gated;
} shapes[] = {
    {"1B output", 2048, 2048, false},      {"1B gate, up", 16384, 2048, true},
    {"8B q, k, v", 6144, 4096, false},     {"8B down", 4096, 14336, false},
    {"70B q, k, v", 10240, 8192, false},   {"70B output", 8192, 8192, false},
    {"70B gate, up", 57344, 8192, true},   {"70B down", 8192, 28672, false},
    {"405B/4 output", 16384, 4096, false}, {"405B/4 gate, up", 26624, 16384, true},
    {"405B/4 down", 16384, 13312, false},
};

struct bench {
    struct card card;
    struct codes_kernels kernels;
    struct codes_vector_kernels vector;
    cuda_pointer matrices, x, out;
    double limit; /* bytes per second */
};

static enum status product(const struct bench *b, enum codes_kind kind, const struct shape *s,
                           bool plain, const void *matrix, struct error *err)
{
    if (plain)
        return codes_multiply(&b->kernels, &b->card, kind, false, b->out, b->x, matrix, s->rows,
                              s->columns, 1, err);
    return codes_vector(&b->vector, &b->card, kind, s->gated, b->out, b->x, matrix, s->rows,
                        s->columns, err);
}

/* The least seconds of one product, the matrices of the whole buffer one after the other. */
static enum status measure(const struct bench *b, enum codes_kind kind, const struct shape *s,
                           bool plain, double *seconds, struct error *err)
{
    uint64_t bytes = codes_bytes(kind, s->rows, s->columns);
    uint32_t count = (uint32_t)(BUFFER / bytes);
    enum status status = STATUS_OK;
    *seconds = 1e9;
    for (int run = 0; run <= RUNS && status == STATUS_OK; run++) {
        int64_t begin = clock_now_ns();
        for (uint32_t i = 0; i < count && status == STATUS_OK; i++)
            status =
                product(b, kind, s, plain, (const char *)(uintptr_t)b->matrices + i * bytes, err);
        if (status == STATUS_OK)
            status = card_wait(&b->card, err);
        double each = (double)(clock_now_ns() - begin) / 1e9 / count;
        *seconds = run > 0 && each < *seconds ? each : *seconds;
    }
    return status;
}

static enum status compare(const struct bench *b, enum codes_kind kind, const struct shape *s,
                           struct error *err)
{
    double vector, plain;
    if (!codes_vector_fits(&b->card, kind, s->columns)) {
        printf("%-16s does not fit this card\n", s->name);
        return STATUS_OK;
    }
    enum status status = measure(b, kind, s, false, &vector, err);
    if (status == STATUS_OK)
        status = measure(b, kind, s, true, &plain, err);
    if (status != STATUS_OK)
        return status;
    double rate = (double)codes_bytes(kind, s->rows, s->columns) / vector;
    printf("%s %-16s %6u x %5u %9.2f us %7.0f GB/s %4.0f %% of the limit; the other kernel %5.2f "
           "times as long\n",
           kind == CODES_INT8 ? "int8" : "nf4 ", s->name, s->rows, s->columns, vector * 1e6,
           rate / 1e9, 100 * rate / b->limit, plain / vector);
    fflush(stdout);
    return STATUS_OK;
}

static enum status bench_open(struct bench *b, struct error *err)
{
    enum { ROOM = 1 << 20 };
    struct stream_result result;
    enum status status = card_open(&b->card, "cuda", err);
    if (status == STATUS_OK)
        status = stream_probe(&b->card.cuda, &b->card.device, BUDGET_MS, &result, err);
    if (status == STATUS_OK)
        status = codes_open(&b->kernels, &b->card, err);
    if (status == STATUS_OK)
        status = codes_vector_open(&b->vector, &b->card, err);
    if (status == STATUS_OK)
        status = cuda_memory_get(&b->card.cuda, BUFFER, &b->matrices, err);
    if (status == STATUS_OK)
        status = cuda_memory_get(&b->card.cuda, ROOM, &b->x, err);
    if (status == STATUS_OK)
        status = cuda_memory_get(&b->card.cuda, ROOM, &b->out, err);
    if (status != STATUS_OK)
        return status;
    b->limit = result.bytes_per_second;
    cuda_result cleared = b->card.cuda.MemsetD8(b->matrices, 1, BUFFER);
    return cuda_check(&b->card.cuda, cleared ? cleared : b->card.cuda.MemsetD8(b->x, 0, ROOM), err,
                      "clear memory on %s", b->card.device.name);
}

int main(void)
{
    struct bench b = {.limit = 0};
    struct error err;
    enum status status = bench_open(&b, &err);
    for (int kind = CODES_INT8; kind <= CODES_NF4; kind++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0] && status == STATUS_OK; i++)
            status = compare(&b, (enum codes_kind)kind, &shapes[i], &err);
    if (status != STATUS_OK)
        error_print(&err, stderr);
    card_close(&b.card);
    return status == STATUS_OK ? 0 : 1;
}
