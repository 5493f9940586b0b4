/* The null engine: no model, ids by a hash of what came before, at a chosen speed. The example to
 * copy for an engine in C. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <prony/worker.h>

#include "pace.h"

struct null {
    struct pace pace;
    uint32_t vocabulary;
    char *weights; /* memory_mb, touched */
};

static void null_unload(void *state)
{
    struct null *null = state;
    free(null->weights);
    free(null);
}

/* The share of float32's bytes, and of the time, that the form has: as if both were nothing but
 * reading. 0: there is no such form. */
static double form_share(const struct prony_load *request)
{
    double quantised = !*request->quantize                         ? 1
                       : strcmp(request->quantize, "float16") == 0 ? 0.5
                       : strcmp(request->quantize, "int8") == 0    ? 0.25
                       : strcmp(request->quantize, "nf4") == 0     ? 0.125
                                                                   : 0;
    return quantised / (request->shard ? request->shard : 1);
}

static int null_load(void **state, const struct prony_load *request, struct prony_loaded *result,
                     struct prony_error *error)
{
    struct pace_options options;
    int64_t start_ns = prony_now_ns();
    if (access(request->model, R_OK) != 0)
        return prony_fail(error, "not_found", "", "there is no model at %s", request->model);
    double share = form_share(request);
    if (share == 0)
        return prony_fail(error, "unsupported", "", "the null engine cannot quantise to %s",
                          request->quantize);
    if (pace_options_parse(&options, request->options, error))
        return -1;
    options.token_us *= share;
    size_t bytes = (size_t)(options.memory_mb * share * 1e6);
    struct null *null = calloc(1, sizeof *null);
    if (null && bytes)
        null->weights = malloc(bytes);
    if (!null || (bytes && !null->weights)) {
        free(null);
        return prony_fail(error, "no_memory", "", "no memory for %zu bytes of weights", bytes);
    }
    if (bytes)
        memset(null->weights, 1, bytes);
    null->vocabulary = (uint32_t)options.vocabulary;
    pace_init(&null->pace, &options);
    pace_wait_ms(options.load_ms);
    *result = (struct prony_loaded){
        .phase[0] = {.name = "wait", .start_ns = start_ns, .end_ns = prony_now_ns()},
        .phases = 1,
        .weight_bytes = bytes,
        .vocabulary = null->vocabulary,
        .threads = 1,
        .precision = *request->quantize ? request->quantize : "float32",
        .detail = "no model"};
    *state = null;
    return 0;
}

/* The next id is a function of all that came before, so a leaked prefix shows. */
static uint64_t history_add(uint64_t history, int32_t id)
{
    return pace_mix(history ^ (uint64_t)id);
}

static int32_t next_id(const struct null *null, uint64_t history)
{
    return (int32_t)(history % null->vocabulary);
}

static int null_generate(void *state, const struct prony_generate *request,
                         struct prony_error *error)
{
    struct null *null = state;
    uint64_t history = 0;
    (void)error;
    pace_start(&null->pace);
    pace_prefill(&null->pace, request->prompt_count);
    for (size_t i = 0; i < request->prompt_count; i++)
        history = history_add(history, request->prompt[i]);
    for (;;) {
        uint64_t choice = request->temperature > 0 ? pace_mix(history ^ request->seed) : history;
        int32_t id = next_id(null, choice);
        pace_token(&null->pace);
        if (request->on_token(request->on_token_context, id))
            return 0;
        history = history_add(history, id);
    }
}

static int null_logits(void *state, const int32_t *ids, size_t count, const char *path,
                       struct prony_error *error)
{
    const struct null *null = state;
    uint64_t history = 0;
    float *row = malloc(null->vocabulary * sizeof *row);
    FILE *stream = row ? fopen(path, "wbe") : NULL;
    bool bad = !stream;
    for (size_t i = 0; i < count && !bad; i++) {
        history = history_add(history, ids[i]);
        for (uint32_t j = 0; j < null->vocabulary; j++)
            row[j] = (float)(pace_mix(history + j) >> 40) / (1 << 24);
        row[next_id(null, history)] = 8;
        bad = fwrite(row, sizeof *row, null->vocabulary, stream) != null->vocabulary;
    }
    if (stream && fclose(stream) != 0)
        bad = true;
    free(row);
    return bad ? prony_fail(error, "io", "", "cannot write the logits to %s", path) : 0;
}

int main(void)
{
    static const struct prony_engine engine = {
        .name = "null",
        .version = PRONY_VERSION,
        .load = null_load,
        .generate = null_generate,
        .logits = null_logits,
        .unload = null_unload,
    };
    return prony_worker_main(&engine);
}
