#include "engine/worker.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "engine/link.h"
#include "engine/protocol.h"
#include "engine/protocol_requests.h"

enum {
    HELLO_MS = 300000,   /* a framework's cold imports from a slow disk */
    LOAD_MS = 3600000,   /* hundreds of gigabytes, or an engine that builds ahead of use */
    REQUEST_MS = 1800000 /* the first generate may compile */
};

enum { LONG_TEXT = 1024 }; /* positions, for the logits of which there is a request's time again */

struct worker {
    struct link link;
    int64_t load_ms, request_ms;
    void (*on_loading)(void *context, pid_t worker); /* struct worker_options */
    void *on_loading_context;
    uint32_t vocabulary; /* of the loaded model; 0: none */
};

static enum status ask(struct worker *worker, struct link_call *call, json_t *request,
                       json_t **reply, struct error *err)
{
    *reply = NULL;
    if (!request)
        return error_no_memory(err, sizeof(json_t));
    if (call->limit_ms == 0)
        call->limit_ms = worker->request_ms;
    return link_ask(&worker->link, call, request, reply, err);
}

/* After a reply was held against the protocol: a lie ends the worker. */
static enum status judge(struct worker *worker, enum status status, json_t *reply,
                         struct error *err)
{
    json_decref(reply);
    return status ? link_fail(&worker->link, err) : STATUS_OK;
}

static int64_t limit_or(int64_t limit_ms, int64_t otherwise_ms)
{
    return limit_ms > 0 ? limit_ms : otherwise_ms;
}

enum status worker_start(struct worker **started, const struct engine *engine,
                         const struct worker_options *options, struct worker_hello *hello,
                         struct error *err)
{
    struct link_call call = {.doing = "say hello",
                             .limit_ms = limit_or(options->hello_ms, HELLO_MS)};
    json_t *reply;
    *started = NULL;
    *hello = (struct worker_hello){0};
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return error_no_memory(err, sizeof *worker);
    worker->load_ms = limit_or(options->load_ms, LOAD_MS);
    worker->request_ms = limit_or(options->request_ms, REQUEST_MS);
    worker->on_loading = options->on_loading;
    worker->on_loading_context = options->on_loading_context;
    hello->spawned_ns = clock_now_ns();
    enum status status =
        link_open(&worker->link, engine, options->log_path, options->cancel_fd, err);
    worker->link.on_cancel = options->on_cancel;
    worker->link.on_cancel_context = options->on_cancel_context;
    if (status) {
        free(worker);
        return status;
    }
    status = ask(worker, &call,
                 json_pack("{s:s, s:i}", "op", "hello", "protocol", PROTOCOL_VERSION), &reply, err);
    if (!status)
        status = judge(worker, protocol_hello(reply, hello, err), reply, err);
    hello->ready_ns = call.received_ns;
    if (status) {
        worker_stop(worker);
        return status;
    }
    *started = worker;
    return STATUS_OK;
}

static const struct engine_variant *variant_find(const struct engine *engine, const char *name)
{
    for (size_t i = 0; i < engine->variant_count; i++)
        if (strcmp(engine->variants[i].name, name) == 0)
            return &engine->variants[i];
    return NULL;
}

static void loading_tick(void *context)
{
    const struct worker *worker = context;
    worker->on_loading(worker->on_loading_context, worker_pid(worker));
}

enum status worker_load(struct worker *worker, const struct worker_load *request,
                        struct worker_loaded *loaded, struct error *err)
{
    struct link_call call = {.doing = "load the model",
                             .limit_ms = worker->load_ms,
                             .on_tick = worker->on_loading ? loading_tick : NULL,
                             .tick_context = worker};
    char model[PATH_MAX]; /* the worker runs in another folder */
    json_t *reply;
    *loaded = (struct worker_loaded){0};
    worker->vocabulary = 0;
    const struct engine_variant *variant = variant_find(worker->link.engine, request->variant);
    const char *path = path_resolve(request->model, model) ? model : request->model;
    enum status status =
        ask(worker, &call, protocol_load_request(request, path, variant), &reply, err);
    if (status)
        return status;
    loaded->asked_ns = call.asked_ns;
    loaded->ready_ns = call.received_ns;
    struct protocol_window window = {
        .asked_ns = call.asked_ns, .received_ns = call.received_ns, .precision = request->quantize};
    status = judge(worker, protocol_loaded(reply, &window, loaded, err), reply, err);
    if (!status)
        worker->vocabulary = loaded->vocabulary;
    return status;
}

static enum status counts_check(const struct worker *worker, size_t prompt_count, size_t tokens,
                                struct error *err)
{
    if (worker->vocabulary == 0 && !worker->link.dead)
        return error_set(err, STATUS_USAGE, "no model is loaded");
    if (prompt_count > PROTOCOL_MAX_TOKENS || tokens > PROTOCOL_MAX_TOKENS)
        return error_set(err, STATUS_USAGE, "more than %d tokens in one request",
                         PROTOCOL_MAX_TOKENS);
    return STATUS_OK;
}

enum status worker_generate(struct worker *worker, const int32_t *prompt, size_t prompt_count,
                            size_t tokens, struct worker_generated *generated, struct error *err)
{
    struct link_call call = {.doing = "generate"};
    json_t *reply;
    generated->count = 0;
    enum status status = counts_check(worker, prompt_count, tokens, err);
    if (status)
        return status;
    json_t *request = protocol_ids_request("generate", "prompt", prompt, prompt_count);
    json_object_set_new(request, "tokens", json_integer((json_int_t)tokens));
    status = ask(worker, &call, request, &reply, err);
    if (status)
        return status;
    struct protocol_window window = {.asked_ns = call.asked_ns,
                                     .received_ns = call.received_ns,
                                     .vocabulary = worker->vocabulary,
                                     .tokens = tokens,
                                     .exact = true};
    return judge(worker, protocol_generated(reply, &window, generated, err), reply, err);
}

/* A stream as it comes in. */
struct stream {
    struct worker *worker;
    struct link_call call;
    struct protocol_window window;
    bool (*on_token)(void *context, int32_t id);
    void *context;
    int32_t *ids; /* [window.tokens] as the events had them */
    size_t count;
    bool stopped; /* on_token asked for the end */
};

static enum status stream_event(void *context, const json_t *event, struct error *err)
{
    struct stream *stream = context;
    int32_t id;
    enum status status = protocol_token(event, &stream->window, &id, err);
    if (status)
        return status;
    if (stream->count == stream->window.tokens)
        return error_set(err, STATUS_PROTOCOL, "it streamed more tokens than were asked for");
    stream->ids[stream->count++] = id;
    /* Tokens that cross the cancellation belong to the answer, but nobody is told of them. */
    if (stream->call.cancelled || stream->on_token(stream->context, id))
        return STATUS_OK;
    stream->stopped = true;
    return link_cancel(&stream->worker->link, &stream->call, err);
}

enum status worker_stream(struct worker *worker, const int32_t *prompt, size_t prompt_count,
                          size_t tokens, const struct worker_sampling *sampling,
                          bool (*on_token)(void *context, int32_t id), void *context,
                          struct worker_generated *generated, struct error *err)
{
    struct stream stream = {.worker = worker, .on_token = on_token, .context = context};
    json_t *reply;
    generated->count = 0;
    enum status status = counts_check(worker, prompt_count, tokens, err);
    if (status)
        return status;
    stream.window = (struct protocol_window){.vocabulary = worker->vocabulary, .tokens = tokens};
    stream.ids = calloc(tokens + 1, sizeof *stream.ids);
    if (!stream.ids)
        return error_no_memory(err, tokens * sizeof *stream.ids);
    stream.call = (struct link_call){
        .doing = "generate", .on_event = stream_event, .context = &stream, .cancel_softly = true};
    status = ask(worker, &stream.call,
                 protocol_stream_request(prompt, prompt_count, tokens, sampling), &reply, err);
    if (!status) {
        stream.window.asked_ns = stream.call.asked_ns;
        stream.window.received_ns = stream.call.received_ns;
        status = protocol_generated(reply, &stream.window, generated, err);
        if (!status && (generated->count != stream.count ||
                        memcmp(generated->ids, stream.ids, stream.count * sizeof *stream.ids) != 0))
            status = error_set(err, STATUS_PROTOCOL, "its reply has other tokens than it streamed");
        status = judge(worker, status, reply, err);
    }
    if (!status && stream.call.cancelled && !stream.stopped)
        status = error_set(err, STATUS_INTERRUPTED, "interrupted");
    free(stream.ids);
    return status;
}

/* Whether a matrix that the worker wrote has the size that it should have. */
static enum status matrix_check(const char *path, size_t bytes, struct error *err)
{
    struct stat file;
    if (stat(path, &file) != 0)
        return error_errno(err, "read the logits");
    if ((size_t)file.st_size != bytes)
        return error_set(err, STATUS_PROTOCOL, "it wrote %zu bytes of logits where %zu belong",
                         (size_t)file.st_size, bytes);
    return STATUS_OK;
}

enum status worker_logits_write(struct worker *worker, const int32_t *ids, size_t count,
                                const char *path, bool *partial, struct error *err)
{
    struct link_call call = {.doing = "compute logits",
                             .limit_ms = worker->request_ms * (int64_t)(1 + count / LONG_TEXT)};
    bool some = false;
    json_t *reply;
    size_t elements;
    enum status status = counts_check(worker, count, 0, err);
    if (status)
        return status;
    if (__builtin_mul_overflow(count, (size_t)worker->vocabulary, &elements) ||
        elements > SIZE_MAX / 8)
        return error_no_memory(err, SIZE_MAX);
    json_t *request = protocol_ids_request("logits", "ids", ids, count);
    json_object_set_new(request, "path", json_string(path));
    status = ask(worker, &call, request, &reply, err);
    if (status)
        return status;
    status = protocol_logits(reply, count, worker->vocabulary, &some, err);
    if (!status && some && !partial)
        status = error_set(err, STATUS_PROTOCOL,
                           "it gives log-probabilities of some ids where logits were asked for");
    if (partial)
        *partial = some;
    if (!status)
        status = matrix_check(path, elements * sizeof(float), err);
    return judge(worker, status, reply, err);
}

enum status worker_logits(struct worker *worker, const int32_t *ids, size_t count, float **logits,
                          bool *partial, struct error *err)
{
    char *bytes = NULL;
    size_t got;
    *logits = NULL;
    const char *folder = getenv("TMPDIR");
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/prony-logits-XXXXXX",
                          folder && *folder == '/' ? folder : "/tmp");
    int fd = length > 0 && (size_t)length < sizeof path ? mkostemp(path, O_CLOEXEC) : -1;
    if (fd < 0)
        return error_errno(err, "create a temporary file for logits");
    close(fd);
    enum status status = worker_logits_write(worker, ids, count, path, partial, err);
    if (!status)
        status = file_read(path, count * worker->vocabulary * sizeof(float), &bytes, &got, err);
    if (!status)
        *logits = (float *)(void *)bytes;
    unlink(path);
    return status;
}

enum status worker_memory(struct worker *worker, struct worker_memory *memory, struct error *err)
{
    struct link_call call = {.doing = "tell its memory"};
    json_t *reply;
    enum status status = ask(worker, &call, json_pack("{s:s}", "op", "memory"), &reply, err);
    if (status)
        return status;
    return judge(worker, protocol_memory(reply, memory, err), reply, err);
}

/* A request whose reply has nothing to check. */
static enum status order(struct worker *worker, const char *doing, json_t *request,
                         struct error *err)
{
    struct link_call call = {.doing = doing};
    json_t *reply;
    enum status status = ask(worker, &call, request, &reply, err);
    json_decref(reply);
    return status;
}

enum status worker_trace(struct worker *worker, const char *path, struct worker_traced *ended,
                         struct error *err)
{
    struct link_call call = {.doing = "write a trace"};
    struct worker_traced unwanted;
    json_t *reply;
    enum status status =
        ask(worker, &call, json_pack("{s:s, s:s}", "op", "trace", "path", path), &reply, err);
    if (status)
        return status;
    return judge(worker, protocol_traced(reply, ended ? ended : &unwanted, err), reply, err);
}

enum status worker_unload(struct worker *worker, struct error *err)
{
    worker->vocabulary = 0;
    return order(worker, "unload the model", json_pack("{s:s}", "op", "unload"), err);
}

pid_t worker_pid(const struct worker *worker)
{
    return worker->link.child.pid;
}

bool worker_alive(const struct worker *worker)
{
    return !worker->link.dead;
}

const char *worker_log(const struct worker *worker)
{
    return worker->link.log_path;
}

void worker_log_tail(const char *log_path, char *text, size_t size)
{
    link_log_tail(log_path, text, size);
}

struct link *worker_link(struct worker *worker)
{
    return &worker->link;
}

void worker_stop(struct worker *worker)
{
    enum { BYE_MS = 5000 };
    struct link_call call = {.doing = "say bye", .limit_ms = BYE_MS, .cancelled = true};
    struct error ignored;
    json_t *reply;
    if (!worker)
        return;
    if (!worker->link.dead &&
        ask(worker, &call, json_pack("{s:s}", "op", "bye"), &reply, &ignored) == STATUS_OK) {
        json_decref(reply);
        link_hang_up(&worker->link, BYE_MS);
    }
    link_close(&worker->link);
    free(worker);
}
