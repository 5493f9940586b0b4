#include <prony/worker.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sdk.h"

enum { MAX_TOKENS = 1 << 20 };

struct worker {
    const struct prony_engine *engine;
    struct channel channel;
    void *state; /* the engine's */
    void *given; /* to prony_worker_resume */
    bool loaded;
    uint32_t context, vocabulary;
};

/* The ids of a request's member, checked against the vocabulary; malloc'd. NULL: *error is set. */
static int32_t *ids_of(const struct worker *worker, const json_t *request, const char *key,
                       size_t *count, struct prony_error *error)
{
    const json_t *array = json_object_get(request, key);
    *count = json_array_size(array);
    if (array && !json_is_array(array)) {
        prony_fail(error, "bad_request", "", "\"%s\" is not a list", key);
        return NULL;
    }
    if (*count > MAX_TOKENS) {
        prony_fail(error, "bad_request", "", "\"%s\" has more than %d ids", key, MAX_TOKENS);
        return NULL;
    }
    int32_t *ids = malloc((*count + 1) * sizeof *ids);
    if (!ids)
        prony_fail(error, "no_memory", "", "no memory for %zu ids", *count);
    for (size_t i = 0; ids && i < *count; i++) {
        const json_t *member = json_array_get(array, i);
        json_int_t id = json_integer_value(member);
        if (!json_is_integer(member) || id < 0 || id >= (json_int_t)worker->vocabulary) {
            prony_fail(error, "bad_request", "",
                       "\"%s\" has an entry that is no id of the vocabulary of %u", key,
                       worker->vocabulary);
            free(ids);
            return NULL;
        }
        ids[i] = (int32_t)id;
    }
    return ids;
}

/* Each of the following returns the reply without its id, or NULL with *error filled. */

static json_t *hello(struct worker *worker)
{
    static const char *const cpu[] = {"cpu", NULL};
    const struct prony_engine *engine = worker->engine;
    const char *const *device = engine->devices ? engine->devices() : cpu;
    json_t *devices = json_array();
    for (; *device; device++)
        json_array_append_new(devices, json_string(*device));
    return json_pack("{s:i, s:s, s:s, s:s, s:o}", "protocol", PRONY_PROTOCOL, "engine",
                     engine->name, "version", engine->version, "stands_on",
                     engine->stands_on ? engine->stands_on : "", "devices", devices);
}

static json_t *unload(struct worker *worker)
{
    if (worker->loaded && worker->engine->unload)
        worker->engine->unload(worker->state);
    worker->loaded = false;
    worker->state = NULL;
    worker->vocabulary = worker->context = 0;
    return json_object();
}

static json_t *loaded_reply(const struct prony_loaded *loaded)
{
    json_t *phases = json_array();
    for (size_t i = 0; i < loaded->phases && i < PRONY_MAX_PHASES; i++)
        json_array_append_new(phases, json_pack("{s:s, s:I, s:I}", "name", loaded->phase[i].name,
                                                "start_ns", (json_int_t)loaded->phase[i].start_ns,
                                                "end_ns", (json_int_t)loaded->phase[i].end_ns));
    json_t *reply = json_pack(
        "{s:o, s:I, s:I, s:I, s:I, s:s, s:s}", "phases", phases, "weight_bytes",
        (json_int_t)loaded->weight_bytes, "kv_token_bytes", (json_int_t)loaded->kv_token_bytes,
        "vocabulary", (json_int_t)loaded->vocabulary, "threads", (json_int_t)loaded->threads,
        "precision", loaded->precision ? loaded->precision : "", "detail",
        loaded->detail ? loaded->detail : "");
    if (reply && loaded->embedding_bytes)
        json_object_set_new(reply, "embedding_bytes",
                            json_integer((json_int_t)loaded->embedding_bytes));
    return reply;
}

static json_t *load(struct worker *worker, const json_t *request, struct prony_error *error)
{
    struct prony_loaded loaded = {0};
    const json_t *own = json_object_get(request, "options");
    json_decref(unload(worker));
    char *options = json_dumps(json_is_object(own) ? own : NULL, JSON_COMPACT);
    char *whole = json_dumps(request, JSON_COMPACT);
    struct prony_load task = {.model = string_of(request, "model"),
                              .variant = string_of(request, "variant"),
                              .device = string_of(request, "device"),
                              .precision = string_of(request, "precision"),
                              .quantize = string_of(request, "quantize"),
                              .keep_at = string_of(request, "keep_at"),
                              .shard = count_of(request, "shard"),
                              .threads = count_of(request, "threads"),
                              .context = count_of(request, "context"),
                              .options = options ? options : "{}",
                              .request = whole ? whole : "{}",
                              .given = worker->given};
    int failed;
    if (task.context == 0)
        failed = prony_fail(error, "bad_request", "", "\"context\" is not a positive number");
    else
        failed = worker->engine->load(&worker->state, &task, &loaded, error);
    free(options);
    free(whole);
    if (failed)
        return NULL;
    worker->loaded = true;
    worker->context = task.context;
    worker->vocabulary = loaded.vocabulary;
    return loaded_reply(&loaded);
}

/* One generate as it goes: the stamps, in memory that was touched before. */
struct generation {
    struct worker *worker;
    json_int_t id;
    bool stream;
    bool cancelled;
    size_t tokens, count;
    int32_t *ids;
    int64_t *stamps_ns;
    const int32_t *stop;
    size_t stop_count;
    struct exchanged {
        uint64_t bytes;
        int64_t ns;
    } before, first, last; /* exchanged by then: before the prompt, and as those ids were there */
};

static struct exchanged exchanged(const struct worker *worker)
{
    struct exchanged now = {0};
    if (worker->engine->exchanged)
        worker->engine->exchanged(worker->state, &now.bytes, &now.ns);
    return now;
}

/* Whether the host has ended a stream. What is timed is never interrupted, nor asks. */
static int is_cancelled(void *context)
{
    struct generation *g = context;
    if (g->stream && !g->cancelled)
        g->cancelled = channel_cancelled(&g->worker->channel, g->id);
    return g->cancelled;
}

static int on_token(void *context, int32_t id)
{
    struct generation *g = context;
    if (g->count == g->tokens)
        return 1;
    g->stamps_ns[g->count] = prony_now_ns();
    g->ids[g->count++] = id;
    g->last = exchanged(g->worker);
    if (g->count == 1)
        g->first = g->last;
    if (g->stream) {
        char line[96];
        int length = snprintf(line, sizeof line, "{\"id\":%lld,\"event\":\"token\",\"token\":%d}\n",
                              (long long)g->id, id);
        channel_write(&g->worker->channel, line, (size_t)length);
        if (is_cancelled(g))
            return 1;
    }
    for (size_t i = 0; i < g->stop_count; i++)
        if (g->stop[i] == id)
            return 1;
    return g->count == g->tokens;
}

static json_t *generated_reply(const struct generation *g, int64_t prompt_ns)
{
    json_t *ids = json_array(), *stamps = json_array();
    for (size_t i = 0; i < g->count; i++) {
        json_array_append_new(ids, json_integer(g->ids[i]));
        json_array_append_new(stamps, json_integer((json_int_t)g->stamps_ns[i]));
    }
    json_t *reply = json_pack("{s:I, s:o, s:o}", "prompt_ns", (json_int_t)prompt_ns, "ids", ids,
                              "stamps_ns", stamps);
    if (g->last.bytes > 0)
        json_object_set_new(reply, "exchanged",
                            json_pack("{s:I, s:I, s:I, s:I}", "prompt_bytes",
                                      (json_int_t)(g->first.bytes - g->before.bytes), "prompt_ns",
                                      (json_int_t)(g->first.ns - g->before.ns), "token_bytes",
                                      (json_int_t)(g->last.bytes - g->first.bytes), "token_ns",
                                      (json_int_t)(g->last.ns - g->first.ns)));
    return reply;
}

static int generate_check(const struct worker *worker, size_t prompt, size_t tokens,
                          struct prony_error *error)
{
    if (prompt == 0 || tokens == 0)
        return prony_fail(error, "bad_request", "",
                          "the prompt is empty, or no token is asked for");
    if (prompt > worker->context || tokens > worker->context - prompt)
        return prony_fail(error, "bad_request", "Load the model with a larger context.",
                          "a prompt of %zu and %zu tokens do not fit the context of %u", prompt,
                          tokens, worker->context);
    return 0;
}

static json_t *generate(struct worker *worker, json_int_t id, const json_t *request,
                        struct prony_error *error)
{
    struct generation g = {.worker = worker, .id = id};
    json_t *reply = NULL;
    size_t prompt_count;
    int32_t *stop = NULL;
    int32_t *prompt = ids_of(worker, request, "prompt", &prompt_count, error);
    g.tokens = count_of(request, "tokens");
    if (!prompt || generate_check(worker, prompt_count, g.tokens, error))
        goto cleanup;
    g.stop = stop = ids_of(worker, request, "stop", &g.stop_count, error);
    if (!stop)
        goto cleanup;
    g.stream = json_is_true(json_object_get(request, "stream"));
    g.ids = malloc(g.tokens * sizeof *g.ids);
    g.stamps_ns = malloc(g.tokens * sizeof *g.stamps_ns);
    if (!g.ids || !g.stamps_ns) {
        prony_fail(error, "no_memory", "", "no memory for %zu stamps", g.tokens);
        goto cleanup;
    }
    memset(g.ids, 0xff, g.tokens * sizeof *g.ids); /* no page fault between two tokens */
    memset(g.stamps_ns, 0xff, g.tokens * sizeof *g.stamps_ns);
    struct prony_generate task = {
        .prompt = prompt,
        .prompt_count = prompt_count,
        .tokens = g.tokens,
        .temperature = number_of(request, "temperature", 0),
        .top_p = number_of(request, "top_p", 1),
        .min_p = number_of(request, "min_p", 0),
        .top_k = count_of(request, "top_k"),
        .seed = (uint64_t)json_integer_value(json_object_get(request, "seed")),
        .on_token = on_token,
        .cancelled = is_cancelled,
        .on_token_context = &g};
    g.before = exchanged(worker);
    int64_t prompt_ns = prony_now_ns();
    if (worker->engine->generate(worker->state, &task, error) == 0)
        reply = generated_reply(&g, prompt_ns);
cleanup:
    free(g.stamps_ns);
    free(g.ids);
    free(stop);
    free(prompt);
    return reply;
}

static json_t *logits(struct worker *worker, const json_t *request, struct prony_error *error)
{
    size_t count;
    json_t *reply = NULL;
    const char *path = string_of(request, "path");
    int32_t *ids = ids_of(worker, request, "ids", &count, error);
    if (!ids)
        return NULL;
    if (count == 0 || count > worker->context || !*path)
        prony_fail(error, "bad_request", "",
                   "logits need a path and 1 to %u ids (the context); there are %zu",
                   worker->context, count);
    else if (worker->engine->logits(worker->state, ids, count, path, error) == 0)
        reply = json_pack("{s:I, s:I}", "rows", (json_int_t)count, "columns",
                          (json_int_t)worker->vocabulary);
    free(ids);
    return reply;
}

static json_t *memory(struct worker *worker, struct prony_error *error)
{
    struct prony_memory memory;
    memory_of_process(&memory);
    if (worker->loaded && worker->engine->memory &&
        worker->engine->memory(worker->state, &memory, error))
        return NULL;
    return json_pack("{s:I, s:I, s:I, s:I, s:s}", "host_bytes", (json_int_t)memory.host_bytes,
                     "host_peak_bytes", (json_int_t)memory.host_peak_bytes, "device_bytes",
                     (json_int_t)memory.device_bytes, "device_peak_bytes",
                     (json_int_t)memory.device_peak_bytes, "method", memory.method);
}

static json_t *trace(struct worker *worker, const json_t *request, struct prony_error *error)
{
    struct prony_traced ended = {0};
    if (worker->engine->trace(worker->state, string_of(request, "path"), &ended, error))
        return NULL;
    json_t *operations = json_array();
    for (size_t i = 0; i < ended.operations && i < PRONY_MAX_OPERATIONS; i++)
        json_array_append_new(operations,
                              json_pack("{s:s, s:I, s:I}", "name", ended.operation[i].name,
                                        "prompt_ns", (json_int_t)ended.operation[i].prompt_ns,
                                        "token_ns", (json_int_t)ended.operation[i].token_ns));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "prompts", (json_int_t)ended.prompts,
                     "tokens", (json_int_t)ended.tokens, "prompt_ns", (json_int_t)ended.prompt_ns,
                     "token_ns", (json_int_t)ended.token_ns, "dropped", (json_int_t)ended.dropped,
                     "operations", operations);
}

static json_t *serve(struct worker *worker, const char *op, json_int_t id, const json_t *request,
                     struct prony_error *error)
{
    const struct prony_engine *engine = worker->engine;
    bool needs_model =
        strcmp(op, "generate") == 0 || strcmp(op, "logits") == 0 || strcmp(op, "trace") == 0;
    if (strcmp(op, "hello") == 0)
        return hello(worker);
    if (strcmp(op, "load") == 0)
        return load(worker, request, error);
    if (strcmp(op, "memory") == 0)
        return memory(worker, error);
    if (strcmp(op, "unload") == 0 || strcmp(op, "bye") == 0)
        return unload(worker);
    if ((strcmp(op, "logits") == 0 && !engine->logits) ||
        (strcmp(op, "trace") == 0 && !engine->trace))
        prony_fail(error, "unsupported", "", "%s has no %s", engine->name, op);
    else if (!needs_model)
        prony_fail(error, "unknown_op", "", "there is no request \"%.40s\"", op);
    else if (!worker->loaded)
        prony_fail(error, "bad_request", "Send load first.", "no model is loaded");
    else if (strcmp(op, "generate") == 0)
        return generate(worker, id, request, error);
    else if (strcmp(op, "logits") == 0)
        return logits(worker, request, error);
    else
        return trace(worker, request, error);
    return NULL;
}

static json_t *error_reply(const struct prony_error *error)
{
    json_t *reply = json_pack("{s:{s:s, s:s, s:s}}", "error", "code", error->code, "message",
                              error->message, "hint", error->hint);
    /* Text that is not UTF-8 cannot travel as JSON. */
    return reply ? reply
                 : json_pack("{s:{s:s, s:s}}", "error", "code", "failed", "message",
                             "the reply or its error has text that is not UTF-8");
}

/* Answers a request, and lets go of it. Whether it said bye. */
static bool answer(struct worker *worker, json_t *request)
{
    struct prony_error error = {.code = "failed", .message = "no reason was given"};
    json_int_t id = json_integer_value(json_object_get(request, "id"));
    const char *op = string_of(request, "op");
    bool bye = strcmp(op, "bye") == 0;
    json_t *reply = serve(worker, op, id, request, &error);
    if (!reply)
        reply = error_reply(&error);
    json_object_set_new(reply, "id", json_integer(id));
    channel_send(&worker->channel, reply);
    json_decref(request);
    return bye;
}

/* first: a request that somebody else has read; NULL: none. */
static int run(struct worker *worker, json_t *first)
{
    bool bye = false;
    if (!channel_open(&worker->channel))
        return 2;
    for (json_t *request = first; !bye; request = NULL) {
        if (!request && !(request = channel_receive(&worker->channel)))
            break;
        bye = answer(worker, request);
    }
    json_decref(unload(worker));
    channel_close(&worker->channel);
    return 0;
}

int prony_worker_main(const struct prony_engine *engine)
{
    return run(&(struct worker){.engine = engine}, NULL);
}

int prony_worker_resume(const struct prony_engine *engine, const char *request, void *given)
{
    return run(&(struct worker){.engine = engine, .given = given}, json_loads(request, 0, NULL));
}
