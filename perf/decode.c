/* Decode of a model by the native engine, as a share of the memory's read bandwidth:
 *
 *   build/release/perf/decode MODEL [THREADS...]
 *
 * MODEL is any that opens; `prony model make --size 1b --output FILE` makes one. For each number
 * of threads (1 and all cores when none is given) and each precision, the probe and the engine
 * take turns, since the memory of a shared machine changes its speed within seconds. PRONY_KERNELS
 * names other kernels than the machine's best. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/cores.h"
#include "llama/llama.h"
#include "machine/bandwidth.h"

enum { ROUNDS = 5, STEPS = 8, PROMPT = 16, PROBE_MS = 300 };

static const struct {
    const char *name;
    enum llama_precision precision, quantize;
} types[] = {{"F32", LLAMA_F32, 0},
             {"F16", LLAMA_F16, 0},
             {"BF16", LLAMA_BF16, 0},
             {"int8", LLAMA_F16, LLAMA_INT8},
             {"nf4", LLAMA_F16, LLAMA_NF4}};
enum { TYPES = sizeof types / sizeof types[0] };

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

/* Nanoseconds per token of STEPS greedy steps. */
static enum status decode(struct llama *llama, int32_t *next, double *ns, struct error *err)
{
    int64_t begin = clock_now_ns();
    for (int i = 0; i < STEPS; i++) {
        if (llama_next(llama, next, 1, next, err) != STATUS_OK)
            return err->status;
    }
    *ns = (double)(clock_now_ns() - begin) / STEPS;
    return STATUS_OK;
}

static enum status rounds(struct llama *llama, uint32_t threads, const char *name,
                          struct error *err)
{
    double ratio[ROUNDS], speed[ROUNDS], probe[ROUNDS], ms[ROUNDS];
    int32_t prompt[PROMPT], next;
    for (int i = 0; i < PROMPT; i++)
        prompt[i] = i + 1;
    int64_t begin = clock_now_ns();
    enum status status = llama_next(llama, prompt, PROMPT, &next, err);
    if (status != STATUS_OK)
        return status;
    double prefill = (double)(clock_now_ns() - begin) / PROMPT;
    for (int i = 0; i < ROUNDS; i++) {
        struct bandwidth before, after;
        double ns;
        if (bandwidth_probe(&before, threads, PROBE_MS, err) != STATUS_OK ||
            decode(llama, &next, &ns, err) != STATUS_OK ||
            bandwidth_probe(&after, threads, PROBE_MS, err) != STATUS_OK)
            return err->status;
        uint64_t bytes = llama_bytes_per_token(llama, llama_position(llama));
        probe[i] = (before.bytes_per_second + after.bytes_per_second) / 2e9;
        ms[i] = ns / 1e6;
        speed[i] = (double)bytes / ns;
        ratio[i] = speed[i] / probe[i];
    }
    printf("%-5s %7u  %-7s %8.2f %8.2f %8.2f %7.0f %% %11.2f\n", name, llama_threads(llama),
           llama_kernels(llama), median(ms, ROUNDS), median(speed, ROUNDS), median(probe, ROUNDS),
           100 * median(ratio, ROUNDS), prefill / 1e6);
    return STATUS_OK;
}

static enum status measure(const struct model *model, uint32_t threads, size_t type,
                           struct error *err)
{
    struct llama_options options = {.precision = types[type].precision,
                                    .quantize = types[type].quantize,
                                    .kernels = getenv("PRONY_KERNELS"),
                                    .context = PROMPT + ROUNDS * STEPS,
                                    .threads = threads};
    struct llama *llama;
    if (llama_load(&llama, model, &options, err) != STATUS_OK)
        return err->status;
    enum status status = rounds(llama, threads, types[type].name, err);
    llama_free(llama);
    return status;
}

int main(int argc, char **argv)
{
    struct cores cores;
    struct model model;
    struct error err;
    if (argc < 2) {
        fputs("usage: decode MODEL [THREADS...]\n", stderr);
        return 1;
    }
    cores_read(&cores);
    if (model_open(&model, argv[1], &err) != STATUS_OK) {
        error_print(&err, stderr);
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    int runs = argc > 2 ? argc - 2 : cores.count > 1 ? 2 : 1;
    printf("type  threads  kernels ms/token     GB/s    probe   share   ms/prompt token\n");
    enum status status = STATUS_OK;
    for (int i = 0; i < runs && status == STATUS_OK; i++) {
        uint32_t threads = argc > 2 ? (uint32_t)strtoul(argv[2 + i], NULL, 10)
                           : i == 0 ? 1
                                    : cores.count;
        for (size_t type = 0; type < TYPES && status == STATUS_OK; type++)
            status = measure(&model, threads, type, &err);
    }
    model_close(&model);
    if (status != STATUS_OK)
        error_print(&err, stderr);
    return status == STATUS_OK ? 0 : 1;
}
