/* The checks of each variant, with the model loaded. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/conformance_checks.h"

/* Two best logits closer than this share of the row's range are a tie between kernels that round
 * differently. */
static const float tie_share = 0.01f;

static enum status wrong(const struct conformance *test, struct error *err, const char *what)
{
    return error_set(err, STATUS_PROTOCOL, "%s: %s", test->engine->name, what);
}

static enum status generate(struct conformance *test, const int32_t *prompt, size_t prompt_count,
                            size_t tokens, int32_t *ids, struct error *err)
{
    int64_t stamps_ns[CONFORMANCE_CONTEXT];
    struct worker_generated generated = {.stamps_ns = stamps_ns};
    generated.ids = ids;
    return worker_generate(test->worker, prompt, prompt_count, tokens, &generated, err);
}

static enum status same_again(struct conformance *test, const char *when, struct error *err)
{
    int32_t ids[CONFORMANCE_TOKENS];
    enum status status =
        generate(test, test->prompt, CONFORMANCE_PROMPT, CONFORMANCE_TOKENS, ids, err);
    if (!status && memcmp(ids, test->greedy, sizeof ids) != 0)
        status = error_set(err, STATUS_PROTOCOL, "%s: the same prompt gave other tokens %s",
                           test->engine->name, when);
    return status;
}

static enum status loads(struct conformance *test, struct error *err)
{
    /* It was loaded for this check; whatever comes later is compared with these tokens. */
    return generate(test, test->prompt, CONFORMANCE_PROMPT, CONFORMANCE_TOKENS, test->greedy, err);
}

static enum status repeats(struct conformance *test, struct error *err)
{
    return same_again(test, "the second time", err);
}

static enum status forgets(struct conformance *test, struct error *err)
{
    int32_t ids[CONFORMANCE_TOKENS];
    enum status status =
        generate(test, test->other, CONFORMANCE_PROMPT, CONFORMANCE_TOKENS, ids, err);
    return status ? status : same_again(test, "after another prompt", err);
}

/* The first id of a text may be one that says only where it begins. */
static enum status takes_one(struct conformance *test, struct error *err)
{
    int32_t ids[1];
    return generate(test, test->prompt, test->variant->text ? 2 : 1, 1, ids, err);
}

static enum status fills_context(struct conformance *test, struct error *err)
{
    int32_t ids[CONFORMANCE_CONTEXT];
    size_t prompt = CONFORMANCE_CONTEXT - CONFORMANCE_TOKENS;
    enum status status = generate(test, test->prompt, prompt, CONFORMANCE_TOKENS, ids, err);
    return status ? status
                  : generate(test, test->prompt, CONFORMANCE_PROMPT,
                             CONFORMANCE_CONTEXT - CONFORMANCE_PROMPT, ids, err);
}

static json_t *generate_request(const int32_t *prompt, size_t count, size_t tokens)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(ids, json_integer(prompt[i]));
    return json_pack("{s:s, s:o, s:I}", "op", "generate", "prompt", ids, "tokens",
                     (json_int_t)tokens);
}

static enum status refuses_overflow(struct conformance *test, struct error *err)
{
    return conformance_refuses(test, "more tokens than the context that load asked for",
                               generate_request(test->prompt, CONFORMANCE_CONTEXT, 1), err);
}

static enum status refuses_bad_ids(struct conformance *test, struct error *err)
{
    const int32_t beyond[] = {0, (int32_t)test->vocabulary}, negative[] = {0, -1};
    enum status status = conformance_refuses(test, "a prompt with an id beyond the vocabulary",
                                             generate_request(beyond, 2, 1), err);
    return status ? status
                  : conformance_refuses(test, "a prompt with a negative id",
                                        generate_request(negative, 2, 1), err);
}

static enum status refuses_nothing(struct conformance *test, struct error *err)
{
    enum status status =
        conformance_refuses(test, "an empty prompt", generate_request(test->prompt, 0, 1), err);
    return status ? status
                  : conformance_refuses(test, "a request for 0 tokens",
                                        generate_request(test->prompt, 1, 0), err);
}

static enum status ignores_unknown(struct conformance *test, struct error *err)
{
    json_t *reply;
    json_t *request = generate_request(test->prompt, CONFORMANCE_PROMPT, CONFORMANCE_TOKENS);
    json_object_set_new(request, "x_from_the_future", json_pack("{s:[i,n]}", "a", 1));
    enum status status = conformance_ask(test, "generate", request, &reply, err);
    if (status)
        return status;
    const json_t *ids = json_object_get(reply, "ids");
    for (size_t i = 0; i < CONFORMANCE_TOKENS && !status; i++)
        if (json_integer_value(json_array_get(ids, i)) != test->greedy[i])
            status = wrong(test, err, "an unknown member of the request changed the tokens");
    json_decref(reply);
    return status;
}

static enum status tells_memory(struct conformance *test, struct error *err)
{
    struct worker_memory memory;
    enum status status = worker_memory(test->worker, &memory, err);
    if (status)
        return status;
    if (memory.host_bytes == 0 || (memory.host_bytes > 0 && !memory.method[0]))
        return wrong(test, err, "its host memory is 0, or it does not say how it was measured");
    return STATUS_OK;
}

/* What a row tells must rate the token that generate gave at that place as the best. */
static enum status row_check(const struct conformance *test, const float *row, bool partial,
                             int32_t id, size_t place, struct error *err)
{
    float low = INFINITY, high = -INFINITY;
    for (uint32_t i = 0; i < test->vocabulary; i++) {
        if (!isfinite(row[i]) && !(partial && isnan(row[i])))
            return error_set(err, STATUS_PROTOCOL, "%s: the logits have a value that is not finite",
                             test->engine->name);
        low = fminf(low, row[i]);
        high = fmaxf(high, row[i]);
    }
    if (partial && low > high)
        return STATUS_OK;
    if (!(high - row[id] <= tie_share * (high - low)) || high == low) /* or it is not told */
        return error_set(err, STATUS_PROTOCOL,
                         "%s: by its own logits, the token %d that it generated at place %zu is "
                         "not the best (%g, the best has %g)",
                         test->engine->name, id, place, (double)row[id], (double)high);
    return STATUS_OK;
}

static enum status gives_logits(struct conformance *test, struct error *err)
{
    enum { COUNT = CONFORMANCE_PROMPT + CONFORMANCE_TOKENS - 1 };
    int32_t ids[COUNT];
    float *logits;
    bool partial = false, *some = test->variant->text ? &partial : NULL;
    memcpy(ids, test->prompt, CONFORMANCE_PROMPT * sizeof *ids);
    memcpy(ids + CONFORMANCE_PROMPT, test->greedy, (CONFORMANCE_TOKENS - 1) * sizeof *ids);
    enum status status = worker_logits(test->worker, ids, COUNT, &logits, some, err);
    if (some ? status == STATUS_UNSUPPORTED : !test->variant->logits) {
        free(logits);
        if (!status)
            return wrong(test, err, "it gives logits, and its engine.json says that it does not");
        return worker_alive(test->worker) ? STATUS_OK : status;
    }
    for (size_t i = 0; i < CONFORMANCE_TOKENS && !status; i++)
        status = row_check(test, logits + (CONFORMANCE_PROMPT - 1 + i) * test->vocabulary, partial,
                           test->greedy[i], i, err);
    free(logits);
    return status;
}

static bool accept(void *context, int32_t id)
{
    (void)context, (void)id;
    return true;
}

static enum status stream(struct conformance *test, const struct worker_sampling *sampling,
                          int32_t *ids, size_t *count, struct error *err)
{
    int64_t stamps_ns[CONFORMANCE_TOKENS];
    struct worker_generated generated = {.stamps_ns = stamps_ns};
    generated.ids = ids;
    enum status status = worker_stream(test->worker, test->prompt, CONFORMANCE_PROMPT,
                                       CONFORMANCE_TOKENS, sampling, accept, NULL, &generated, err);
    *count = generated.count;
    return status;
}

static enum status streams(struct conformance *test, struct error *err)
{
    int32_t ids[CONFORMANCE_TOKENS];
    size_t count;
    struct worker_sampling greedy = {.top_p = 1};
    enum status status = stream(test, &greedy, ids, &count, err);
    if (!status && (count != CONFORMANCE_TOKENS || memcmp(ids, test->greedy, sizeof ids) != 0))
        status = wrong(test, err, "a stream at temperature 0 has other tokens than generate");
    return status;
}

static enum status stops(struct conformance *test, struct error *err)
{
    int32_t ids[CONFORMANCE_TOKENS];
    size_t count, expected = 0;
    const int32_t *stop = &test->greedy[2];
    struct worker_sampling greedy = {.top_p = 1, .stop = stop, .stop_count = 1};
    while (test->greedy[expected++] != *stop)
        ;
    enum status status = stream(test, &greedy, ids, &count, err);
    if (!status && count != expected)
        status = error_set(err, STATUS_PROTOCOL,
                           "%s: a stream whose token %zu is a stop id has %zu tokens",
                           test->engine->name, expected, count);
    return status;
}

static enum status samples(struct conformance *test, struct error *err)
{
    int32_t ids[2][CONFORMANCE_TOKENS] = {0};
    size_t count;
    struct worker_sampling warm = {.temperature = 1, .top_p = 0.9, .top_k = 40, .seed = 7};
    enum status status = stream(test, &warm, ids[0], &count, err);
    if (!test->variant->sampling) {
        if (!status)
            return wrong(test, err, "it samples, and its engine.json says that it does not");
        return worker_alive(test->worker) ? STATUS_OK : status;
    }
    if (!status)
        status = stream(test, &warm, ids[1], &count, err);
    if (!status && memcmp(ids[0], ids[1], sizeof ids[0]) != 0)
        status = wrong(test, err, "the same seed gave other tokens");
    return status;
}

static enum status ignore_event(void *context, const json_t *event, struct error *err)
{
    (void)context, (void)event, (void)err;
    return STATUS_OK;
}

/* The cancellation is in the pipe before the first token is made, so that even a fast engine has
 * to see it. */
static enum status cancels(struct conformance *test, struct error *err)
{
    size_t asked = CONFORMANCE_CONTEXT - CONFORMANCE_PROMPT;
    json_t *reply, *request = generate_request(test->prompt, CONFORMANCE_PROMPT, asked);
    struct link_call call = {.doing = "end a stream that was cancelled",
                             .limit_ms = test->options->limit_ms,
                             .on_event = ignore_event,
                             .cancel_at_once = true};
    json_object_set_new(request, "stream", json_true());
    enum status status = link_ask(worker_link(test->worker), &call, request, &reply, err);
    if (status)
        return status;
    size_t count = json_array_size(json_object_get(reply, "ids"));
    json_decref(reply);
    if (count >= asked)
        return wrong(test, err, "it does not heed a cancellation");
    return same_again(test, "after a cancellation", err);
}

static enum status traces(struct conformance *test, struct error *err)
{
    char path[] = "/tmp/prony-trace-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0)
        return error_errno(err, "create a temporary file for a trace");
    close(fd);
    enum status status = worker_trace(test->worker, path, NULL, err);
    if (!test->variant->trace) {
        if (!status)
            status = wrong(test, err, "it takes trace, and its engine.json says it does not");
        else if (worker_alive(test->worker))
            status = STATUS_OK;
    } else if (!status) {
        status = same_again(test, "while it is traced", err);
        if (!status)
            status = worker_trace(test->worker, "", NULL, err);
        json_t *trace = status ? NULL : json_load_file(path, 0, NULL);
        if (!status && !json_is_array(trace) &&
            !json_is_array(json_object_get(trace, "traceEvents")))
            status = wrong(test, err, "what it wrote is no Chrome trace: JSON with traceEvents");
        json_decref(trace);
    }
    unlink(path);
    return status;
}

static enum status unloads(struct conformance *test, struct error *err)
{
    enum status status = worker_unload(test->worker, err);
    if (!status)
        status = conformance_refuses(test, "generate after unload",
                                     generate_request(test->prompt, 1, 1), err);
    if (!status)
        status = conformance_load(test, err);
    return status ? status : same_again(test, "after it was loaded again", err);
}

static enum status reloads(struct conformance *test, struct error *err)
{
    enum status status = conformance_load(test, err);
    return status ? status : same_again(test, "after load without unload", err);
}

/* Weights may be of 16 bits as they are. */
static enum status holds_less(struct conformance *test, struct error *err)
{
    const char *quantize = test->form.quantize;
    uint64_t bytes = test->loaded.weight_bytes, plain = test->plain_bytes;
    bool same = bytes == plain && quantize && strcmp(quantize, "float16") == 0;
    if (!quantize || test->form.shard > 1 || bytes < plain || same)
        return STATUS_OK;
    return error_set(err, STATUS_PROTOCOL,
                     "%s: its weights are %llu bytes when quantised to %s, and %llu without",
                     test->engine->name, (unsigned long long)bytes, quantize,
                     (unsigned long long)plain);
}

static enum status computes_alike(struct conformance *test, struct error *err)
{
    const struct conformance_options *options = test->options;
    const char *precision =
        *test->loaded.precision ? test->loaded.precision : test->variant->precision;
    float *logits;
    enum status status =
        worker_logits(test->worker, test->prompt, CONFORMANCE_CONTEXT, &logits, NULL, err);
    if (!status)
        status = options->judge(options->context, &test->form, precision, test->prompt,
                                test->vocabulary, logits, err);
    free(logits);
    return status;
}

static enum status keeps_its_file(struct conformance *test, struct error *err)
{
    if (!form_is_kept(&test->form) || access(test->options->keep_at, F_OK) == 0)
        return STATUS_OK;
    return wrong(test, err, "there is no file at keep_at, where it was to keep what it quantised");
}

static enum status keeps_its_form(struct conformance *test, struct error *err)
{
    enum status status = holds_less(test, err);
    if (!status)
        status = keeps_its_file(test, err);
    return status || !test->variant->logits ? status : computes_alike(test, err);
}

static enum status ends_by_bye(struct conformance *test, struct error *err)
{
    return conformance_ends(test, true, err);
}

static enum status ends_by_hang_up(struct conformance *test, struct error *err)
{
    return conformance_ends(test, false, err);
}

const struct conformance_check conformance_variant_checks[] = {
    {"loads a model and generates, stamps in order", loads},
    {"gives the same tokens again", repeats},
    {"starts every prompt afresh", forgets},
    {"takes one id and gives one token", takes_one},
    {"fills its context", fills_context},
    {"answers more than its context with an error", refuses_overflow},
    {"answers ids outside the vocabulary with an error", refuses_bad_ids},
    {"answers an empty request with an error", refuses_nothing},
    {"ignores unknown members of a request", ignores_unknown},
    {"tells its memory", tells_memory},
    {"gives logits as its engine.json says, and they agree", gives_logits},
    {"streams the same tokens", streams},
    {"ends a stream at a stop id", stops},
    {"ends a stream that is cancelled", cancels},
    {"samples as its engine.json says, by the seed", samples},
    {"traces as its engine.json says", traces},
    {"unloads and loads again", unloads},
    {"replaces its model by another load", reloads},
    {"ends by bye with a model, status 0, nothing left", ends_by_bye},
    {"ends with a model when the host hangs up", ends_by_hang_up},
    {0},
};

const struct conformance_check conformance_form_checks[] = {
    {"loads a model and generates, stamps in order", loads},
    {"gives the same tokens again", repeats},
    {"gives logits as its engine.json says, and they agree", gives_logits},
    {"holds and computes what the form says", keeps_its_form},
    {"ends by bye with a model, status 0, nothing left", ends_by_bye},
    {0},
};
