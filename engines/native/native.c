/* The native engine's worker: src/llama behind the protocol. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <prony/worker.h>

#include "llama/llama.h"
#include "llama/sample.h"
#include "model/model.h"
#include "trace.h"

enum {
    LOGITS_AT_ONCE = 32, /* rows computed before they are written */
    PROMPT_AT_ONCE = 64  /* ids computed before the host is asked whether it still wants them */
};

struct native {
    struct model model;
    struct llama *llama;
    float *logits;                      /* [LOGITS_AT_ONCE, vocabulary] */
    struct llama_candidate *candidates; /* [vocabulary] */
    struct trace trace;
    char detail[128];
};

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

/* A struct error of the model layer as one of the protocol. */
static int fail(struct prony_error *error, const struct error *err)
{
    static const char *const codes[] = {
        [STATUS_USAGE] = "bad_request",       [STATUS_NOT_FOUND] = "not_found",
        [STATUS_FORMAT] = "bad_model",        [STATUS_UNSUPPORTED] = "unsupported",
        [STATUS_NO_MEMORY] = "no_memory",     [STATUS_IO] = "io",
        [STATUS_INTERRUPTED] = "interrupted",
    };
    const char *code = (size_t)err->status < sizeof codes / sizeof codes[0] && codes[err->status]
                           ? codes[err->status]
                           : "failed";
    if (err->where[0])
        return prony_fail(error, code, err->remedy, "%s (%s)", err->what, err->where);
    return prony_fail(error, code, err->remedy, "%s", err->what);
}

static void native_unload(void *state)
{
    struct native *native = state;
    struct prony_traced ended;
    struct error err;
    if (trace_end(&native->trace, native->llama, &ended, &err))
        error_print(&err, stderr);
    llama_free(native->llama);
    model_close(&native->model);
    free(native->logits);
    free(native->candidates);
    free(native);
}

/* Which precision load is to hold; -1 with *error set when it is none that this engine has. */
static int precision_choose(const struct prony_load *request, struct prony_error *error)
{
    const size_t count = sizeof precisions / sizeof precisions[0];
    if (*request->quantize || request->shard > 1)
        return prony_fail(error, "unsupported", "",
                          "the native engine can neither quantise nor shard");
    for (size_t i = 0; i < count; i++)
        if (strcmp(*request->precision ? request->precision : request->variant,
                   *request->precision ? precisions[i].name : precisions[i].variant) == 0)
            return (int)i;
    return prony_fail(error, "unsupported", "There are float32, float16 and bfloat16.",
                      "the native engine has no variant \"%s\" with precision \"%s\"",
                      request->variant, request->precision);
}

static void phase_add(struct prony_loaded *result, const char *name, int64_t start_ns)
{
    result->phase[result->phases].name = name;
    result->phase[result->phases].start_ns = start_ns;
    result->phase[result->phases++].end_ns = prony_now_ns();
}

/* Opens the model and holds its weights; both are phases of the load. */
static enum status weights_load(struct native *native, const struct prony_load *request, int choice,
                                struct prony_loaded *result, struct error *err)
{
    int64_t start_ns = prony_now_ns();
    enum status status = model_open(&native->model, request->model, err);
    if (status)
        return status;
    phase_add(result, "open", start_ns);
    start_ns = prony_now_ns();
    size_t vocabulary = native->model.config.vocabulary;
    struct llama_options options = {.precision = precisions[choice].precision,
                                    .context = request->context,
                                    .threads = request->threads,
                                    .rounded = precisions[choice].rounded,
                                    .device = request->device};
    native->logits = malloc(LOGITS_AT_ONCE * vocabulary * sizeof *native->logits);
    native->candidates = malloc(vocabulary * sizeof *native->candidates);
    if (!native->logits || !native->candidates)
        return error_no_memory(err, LOGITS_AT_ONCE * vocabulary * sizeof *native->logits);
    status = llama_load(&native->llama, &native->model, &options, err);
    phase_add(result, "read", start_ns);
    return status;
}

static int native_load(void **state, const struct prony_load *request, struct prony_loaded *result,
                       struct prony_error *error)
{
    struct error err;
    int choice = precision_choose(request, error);
    if (choice < 0)
        return -1;
    struct native *native = calloc(1, sizeof *native);
    if (!native)
        return prony_fail(error, "no_memory", "", "no memory for the engine itself");
    if (weights_load(native, request, choice, result, &err)) {
        native_unload(native);
        return fail(error, &err);
    }
    const char *card = llama_device(native->llama);
    if (card)
        snprintf(native->detail, sizeof native->detail, "%s kernels, %s",
                 llama_kernels(native->llama), card);
    else
        snprintf(native->detail, sizeof native->detail, "%s kernels, %u threads",
                 llama_kernels(native->llama), llama_threads(native->llama));
    result->weight_bytes = llama_weight_bytes(native->llama);
    result->kv_token_bytes = llama_cache_bytes(native->llama) / request->context;
    result->vocabulary = native->model.config.vocabulary;
    result->threads = llama_threads(native->llama);
    result->precision = precisions[choice].name;
    result->detail = native->detail;
    *state = native;
    return 0;
}

/* Where tokens go, through the trace. */
struct delivery {
    struct native *native;
    const struct prony_generate *request;
};

static int deliver(void *context, int32_t id)
{
    const struct delivery *delivery = context;
    struct profile *profile = delivery->native->trace.profile;
    profile_token(profile);
    int ended = delivery->request->on_token(delivery->request->on_token_context, id);
    profile_mark(profile, 0, OPERATION_HAND_OVER, -1);
    return ended;
}

/* Computes all but the end of a long prompt, unless the host does not want it any more. A card does
 * it faster whole. */
static enum status prompt_begin(struct native *native, const struct prony_generate *request,
                                const int32_t **ids, uint32_t *count, bool *cancelled,
                                struct error *err)
{
    enum status status = STATUS_OK;
    *ids = request->prompt;
    *count = (uint32_t)request->prompt_count;
    *cancelled = false;
    while (!status && *count > PROMPT_AT_ONCE && !llama_device(native->llama)) {
        status = llama_forward(native->llama, *ids, PROMPT_AT_ONCE, NULL, 0, err);
        *cancelled = request->cancelled(request->on_token_context);
        if (*cancelled)
            break;
        *ids += PROMPT_AT_ONCE;
        *count -= PROMPT_AT_ONCE;
    }
    return status;
}

static enum status generate_sampled(struct delivery *delivery, const int32_t *ids, uint32_t count,
                                    struct error *err)
{
    struct native *native = delivery->native;
    const struct prony_generate *request = delivery->request;
    struct llama_sampler sampler = {.temperature = request->temperature,
                                    .top_p = request->top_p,
                                    .min_p = request->min_p,
                                    .top_k = request->top_k,
                                    .random = request->seed};
    int32_t next;
    do {
        if (llama_forward(native->llama, ids, count, native->logits, 0, err))
            return err->status;
        next = llama_sample(&sampler, native->logits, native->model.config.vocabulary,
                            native->candidates);
        ids = &next;
        count = 1;
    } while (!deliver(delivery, next));
    return STATUS_OK;
}

static int native_generate(void *state, const struct prony_generate *request,
                           struct prony_error *error)
{
    struct native *native = state;
    struct delivery delivery = {native, request};
    struct error err;
    const int32_t *ids;
    uint32_t count;
    bool cancelled;
    llama_reset(native->llama);
    profile_answer(native->trace.profile);
    enum status status = prompt_begin(native, request, &ids, &count, &cancelled, &err);
    if (!status && !cancelled)
        status = request->temperature > 0
                     ? generate_sampled(&delivery, ids, count, &err)
                     : llama_generate(native->llama, ids, count, (uint32_t)request->tokens, deliver,
                                      &delivery, &err);
    return status ? fail(error, &err) : 0;
}

static int native_logits(void *state, const int32_t *ids, size_t count, const char *path,
                         struct prony_error *error)
{
    struct native *native = state;
    struct error err;
    size_t vocabulary = native->model.config.vocabulary;
    FILE *stream = fopen(path, "wbe");
    enum status status = stream ? STATUS_OK : error_errno(&err, "write the logits to %s", path);
    llama_reset(native->llama);
    profile_answer(native->trace.profile);
    for (size_t done = 0; done < count && !status;) {
        size_t rows = count - done < LOGITS_AT_ONCE ? count - done : LOGITS_AT_ONCE;
        status = llama_forward(native->llama, ids + done, (uint32_t)rows, native->logits, 1, &err);
        if (!status && fwrite(native->logits, sizeof(float) * vocabulary, rows, stream) != rows)
            status = error_errno(&err, "write the logits to %s", path);
        done += rows;
    }
    if (stream && fclose(stream) != 0 && !status)
        status = error_errno(&err, "write the logits to %s", path);
    return status ? fail(error, &err) : 0;
}

static int native_trace(void *state, const char *path, struct prony_traced *ended,
                        struct prony_error *error)
{
    struct native *native = state;
    struct error err;
    enum status status = trace_end(&native->trace, native->llama, ended, &err);
    if (!status && *path)
        status = trace_begin(&native->trace, native->llama, path, &err);
    return status ? fail(error, &err) : 0;
}

/* Whether there is a card is seen from its device file: waking the driver takes time and memory,
 * and this is a part of every process's start. load asks the driver. */
static const char *const *native_devices(void)
{
    static const char *const cpu[] = {"cpu", NULL}, *const both[] = {"cpu", "cuda", NULL};
    return access("/dev/nvidiactl", F_OK) == 0 ? both : cpu;
}

int main(void)
{
    static const struct prony_engine engine = {
        .name = "native",
        .version = PRONY_VERSION,
        .devices = native_devices,
        .load = native_load,
        .generate = native_generate,
        .logits = native_logits,
        .trace = native_trace,
        .unload = native_unload,
    };
    return prony_worker_main(&engine);
}
