#include "native.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "job.h"

static const struct {
    const char *variant, *name;
    enum llama_precision precision;
    bool rounded; /* activations as well: for the equivalence gate, not for speed */
} precisions[] = {
    {"native-f32", "float32", LLAMA_F32, false},
    {"native-f16", "float16", LLAMA_F16, false},
    {"native-bf16", "bfloat16", LLAMA_BF16, false},
    {"native-rounded", "bfloat16", LLAMA_BF16, true},
};

void native_unload(void *state)
{
    struct native *native = state;
    struct prony_traced ended;
    struct error err;
    if (trace_end(&native->trace, native->llama, &ended, &err)) /* "Error: " would end a job */
        fprintf(stderr, "The trace is not whole: %s\n", err.what);
    llama_free(native->llama);
    model_close(&native->model);
    free(native->logits);
    free(native);
}

/* What load is to quantise to; 0 is nothing. */
static enum llama_precision quantised(const struct prony_load *request)
{
    return strcmp(request->quantize, "int8") == 0  ? LLAMA_INT8
           : strcmp(request->quantize, "nf4") == 0 ? LLAMA_NF4
                                                   : 0;
}

/* The equivalence gate asks for what Q8_0 does to a model; nobody else is offered that. */
static bool is_q8_0(const struct prony_load *request)
{
    return strcmp(request->quantize, "q8_0") == 0 && strcmp(request->device, "cpu") == 0;
}

/* Which precision load is to hold; -1 with *error set when it is none that this engine has. */
static int precision_choose(const struct prony_load *request, struct prony_error *error)
{
    const size_t count = sizeof precisions / sizeof precisions[0];
    if (*request->quantize && !quantised(request) && !is_q8_0(request))
        return prony_fail(error, "unsupported", "There are int8 and nf4.",
                          "the native engine cannot quantise to \"%s\"", request->quantize);
    for (size_t i = 0; i < count; i++)
        if (strcmp(*request->precision ? request->precision : request->variant,
                   *request->precision ? precisions[i].name : precisions[i].variant) == 0)
            return (int)i;
    return prony_fail(error, "unsupported", "There are float32, float16 and bfloat16.",
                      "the native engine has no variant \"%s\" with precision \"%s\"",
                      request->variant, request->precision);
}

/* Opens the model, whose parts' ranks agree that it is the same. */
static enum status model_load(struct native *native, const struct prony_load *request,
                              struct prony_loaded *result, struct error *err)
{
    int64_t start_ns = prony_now_ns();
    enum status status = model_open(&native->model, request->model, err);
    if (!status)
        prony_phase_add(result, "open", start_ns, prony_now_ns());
    if (!native->team)
        return status;
    start_ns = prony_now_ns();
    status = team_agree(native->team, status, &native->model, request, err);
    prony_phase_add(result, "agree", start_ns, prony_now_ns());
    return status;
}

/* Holds the weights, of a split model this rank's part. */
static enum status weights_load(struct native *native, const struct prony_load *request, int choice,
                                struct prony_loaded *result, struct error *err)
{
    struct team *team = native->team;
    int64_t start_ns = prony_now_ns();
    size_t vocabulary = native->model.config.vocabulary;
    struct llama_options options = {.precision = precisions[choice].precision,
                                    .quantize = quantised(request),
                                    .context = request->context,
                                    .threads = team ? team_threads(team, request->threads)
                                                    : request->threads,
                                    .ranks = team ? team->ranks : NULL,
                                    .cards = team ? 1 : request->shard,
                                    .rounded = precisions[choice].rounded,
                                    .q8_0 = is_q8_0(request),
                                    .device = request->device};
    native->logits = malloc(LOGITS_AT_ONCE * vocabulary * sizeof *native->logits);
    if (!native->logits)
        return error_no_memory(err, LOGITS_AT_ONCE * vocabulary * sizeof *native->logits);
    enum status status = llama_load(&native->llama, &native->model, &options, err);
    prony_phase_add(result, "read", start_ns, prony_now_ns());
    return status;
}

/* What is held, by all ranks together. */
static void held_fill(struct native *native, const struct prony_load *request,
                      struct prony_loaded *result)
{
    struct team_held held = {.weight_bytes = llama_weight_bytes(native->llama),
                             .embedding_bytes = llama_embedding_bytes(native->llama),
                             .cache_bytes = llama_cache_bytes(native->llama),
                             .threads = llama_threads(native->llama)};
    if (native->team)
        team_ready(native->team, &held);
    result->weight_bytes = held.weight_bytes;
    result->embedding_bytes = held.embedding_bytes;
    result->kv_token_bytes = held.cache_bytes / request->context;
    result->threads = held.threads;
    const char *card = llama_device(native->llama);
    char last[80] = "";
    if (native->team)
        snprintf(last, sizeof last, ", %u ranks by MPI", native->team->ranks->count);
    native->cards = card ? request->shard : 0;
    if (native->cards > 1)
        snprintf(last, sizeof last, ", %u cards by NCCL", native->cards);
    if (card)
        snprintf(native->detail, sizeof native->detail, "%s kernels, %s%s",
                 llama_kernels(native->llama), card, last);
    else
        snprintf(native->detail, sizeof native->detail, "%s kernels, %u threads%s",
                 llama_kernels(native->llama), held.threads, last);
}

/* Loads what is asked for, on whatever rank. A rank that cannot hold its part ends all. */
static enum status parts_load(struct native *native, const struct prony_load *request, int choice,
                              struct prony_loaded *result, struct error *err)
{
    enum status status = model_load(native, request, result, err);
    if (status)
        return status;
    status = weights_load(native, request, choice, result, err);
    if (status && native->team)
        team_fail(native->team, err);
    if (status)
        return status;
    held_fill(native, request, result);
    return STATUS_OK;
}

/* On the CPU the parts are processes, which are there for good. */
static int team_check(const struct prony_load *request, const struct team *team,
                      struct prony_error *error)
{
    if (!team || (request->shard == team->ranks->count && strcmp(request->device, "cpu") == 0))
        return 0;
    return prony_fail(error, "unsupported", "Start the worker anew.",
                      "this worker has been split into %u ranks, and stays so", team->ranks->count);
}

int native_load(void **state, const struct prony_load *request, struct prony_loaded *result,
                struct prony_error *error)
{
    struct error err;
    struct team *team = request->given;
    int choice = precision_choose(request, error);
    if (choice < 0 || team_check(request, team, error))
        return -1;
    if (request->shard > 1 && !team && strcmp(request->device, "cpu") == 0)
        return job_run(request, error);
    struct native *native = calloc(1, sizeof *native);
    if (!native)
        return prony_fail(error, "no_memory", "", "no memory for the engine itself");
    native->team = team;
    if (team)
        team_begin(team, request);
    if (parts_load(native, request, choice, result, &err)) {
        native_unload(native);
        return failure_answer(error, &err);
    }
    result->vocabulary = native->model.config.vocabulary;
    result->precision = *request->quantize ? request->quantize : precisions[choice].name;
    result->detail = native->detail;
    *state = native;
    return 0;
}

void native_follow(struct team *team, const struct team_task *task)
{
    struct prony_load request = {.model = task->model,
                                 .variant = task->variant,
                                 .device = "cpu",
                                 .precision = task->precision,
                                 .quantize = task->quantize,
                                 .shard = team->ranks->count,
                                 .threads = task->threads,
                                 .context = task->context};
    struct prony_error refused; /* rank 0 has accepted the same */
    struct prony_loaded result = {0};
    struct error err;
    struct native *native = calloc(1, sizeof *native);
    if (native) {
        native->team = team;
        if (!parts_load(native, &request, precision_choose(&request, &refused), &result, &err))
            llama_follow(native->llama);
        native_unload(native);
    } else {
        error_no_memory(&err, sizeof *native);
        team_fail(team, &err);
    }
}
