/* Runs the native engine on token ids, for the tests that compare it with others:
 *
 *   llama_run logits MODEL PRECISION KERNELS THREADS STEP OUT ID...
 *       writes [ids, vocabulary] float32 to OUT; STEP ids at a time, 0 for all at once
 *   llama_run greedy MODEL PRECISION KERNELS THREADS COUNT ID...
 *       prints COUNT greedy ids that follow
 *
 * PRECISION is f32, f16 or bf16; KERNELS a table's name, or "best". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "llama/llama.h"

struct run {
    struct model model;
    struct llama *llama;
    int32_t *ids;
    uint32_t count;
};

static enum status precision_parse(const char *name, enum llama_precision *precision,
                                   struct error *err)
{
    static const char *const names[] = {
        [LLAMA_F32] = "f32", [LLAMA_F16] = "f16", [LLAMA_BF16] = "bf16"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            *precision = (enum llama_precision)i;
            return STATUS_OK;
        }
    }
    return error_set(err, STATUS_USAGE, "there is no precision \"%s\"", name);
}

/* argument: MODEL PRECISION KERNELS THREADS; context: positions to make room for. */
static enum status run_open(struct run *run, char **argument, uint32_t context, struct error *err)
{
    struct llama_options options = {.context = context,
                                    .threads = (uint32_t)strtoul(argument[3], NULL, 10)};
    if (strcmp(argument[2], "best") != 0)
        options.kernels = argument[2];
    enum status status = precision_parse(argument[1], &options.precision, err);
    if (status != STATUS_OK)
        return status;
    status = model_open(&run->model, argument[0], err);
    if (status != STATUS_OK)
        return status;
    status = llama_load(&run->llama, &run->model, &options, err);
    if (status != STATUS_OK)
        model_close(&run->model);
    return status;
}

static void run_close(struct run *run)
{
    llama_free(run->llama);
    model_close(&run->model);
}

static enum status run_logits(struct run *run, uint32_t step, const char *path, struct error *err)
{
    struct file_writer writer = {0};
    size_t vocabulary = run->model.config.vocabulary;
    enum status status;
    step = step ? step : run->count;
    float *logits = calloc((size_t)step * vocabulary, sizeof *logits);
    if (!logits)
        return error_no_memory(err, (size_t)step * vocabulary * sizeof *logits);
    status = file_writer_open(&writer, path, err);
    for (uint32_t done = 0; status == STATUS_OK && done < run->count; done += step) {
        uint32_t now = run->count - done < step ? run->count - done : step;
        status = llama_forward(run->llama, run->ids + done, now, logits, 1, err);
        if (status == STATUS_OK)
            fwrite(logits, sizeof *logits, now * vocabulary, writer.stream);
    }
    if (status == STATUS_OK)
        status = file_writer_commit(&writer, err);
    file_writer_abort(&writer);
    free(logits);
    return status;
}

static enum status run_greedy(struct run *run, uint32_t count, struct error *err)
{
    int32_t next;
    enum status status = llama_next(run->llama, run->ids, run->count, &next, err);
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        printf("%d\n", next);
        if (i + 1 < count)
            status = llama_next(run->llama, &next, 1, &next, err);
    }
    return status;
}

int main(int argc, char **argv)
{
    int is_logits = argc > 1 && strcmp(argv[1], "logits") == 0;
    int fixed = is_logits ? 8 : 7;
    if (argc <= fixed) {
        fputs("usage: see the head of tests/tools/llama_run.c\n", stderr);
        return 1;
    }
    struct error err;
    struct run run = {.count = (uint32_t)(argc - fixed)};
    uint32_t number = (uint32_t)strtoul(argv[6], NULL, 10);
    run.ids = calloc(run.count, sizeof *run.ids);
    if (!run.ids)
        return 1;
    for (uint32_t i = 0; i < run.count; i++)
        run.ids[i] = (int32_t)strtol(argv[fixed + (int)i], NULL, 10);
    enum status status = run_open(&run, argv + 2, run.count + number, &err);
    if (status == STATUS_OK) {
        status =
            is_logits ? run_logits(&run, number, argv[7], &err) : run_greedy(&run, number, &err);
        run_close(&run);
    }
    free(run.ids);
    if (status != STATUS_OK)
        error_print(&err, stderr);
    return status == STATUS_OK ? 0 : 1;
}
