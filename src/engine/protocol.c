#include "engine/protocol.h"

#include <string.h>

#include "base/json.h"

enum { SHOWN = 80 };

/* The status that a worker's own error code stands for. */
static enum status code_status(const char *code)
{
    static const struct {
        const char *code;
        enum status status;
    } codes[] = {
        {"bad_request", STATUS_USAGE},       {"not_found", STATUS_NOT_FOUND},
        {"bad_model", STATUS_FORMAT},        {"unsupported", STATUS_UNSUPPORTED},
        {"unknown_op", STATUS_UNSUPPORTED},  {"no_memory", STATUS_NO_MEMORY},
        {"interrupted", STATUS_INTERRUPTED},
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strcmp(code, codes[i].code) == 0)
            return codes[i].status;
    return STATUS_WORKER;
}

/* Turns an error of json_get_*() into one about a reply. */
static enum status wrong_reply(const char *op, struct error *err)
{
    char what[sizeof err->what];
    memcpy(what, err->what, sizeof what);
    return error_set(err, STATUS_PROTOCOL, "its reply to %s is wrong: %.400s", op, what);
}

/* Copies a member of text for people; absent is empty. */
static enum status text_copy(const json_t *object, const char *key, char *out, size_t size,
                             struct error *err)
{
    const char *text;
    enum status status = json_get_string_or(object, key, "", &text, err);
    if (!status)
        protocol_clean(out, size, text, strlen(text));
    return status;
}

static enum status error_reply(const json_t *error, struct error *err)
{
    char code[32], message[400], hint[300];
    if (!json_is_object(error))
        return error_set(err, STATUS_PROTOCOL, "its error is not an object");
    if (text_copy(error, "code", code, sizeof code, err) ||
        text_copy(error, "message", message, sizeof message, err) ||
        text_copy(error, "hint", hint, sizeof hint, err))
        return wrong_reply("something, an error,", err);
    if (!*code || !*message)
        return error_set(err, STATUS_PROTOCOL, "its error has no \"code\" or no \"message\"");
    error_set(err, code_status(code), "%s", message);
    if (*hint)
        error_remedy(err, "%s", hint);
    return err->status;
}

enum status protocol_parse(const char *line, size_t length, int64_t id, json_t **message,
                           bool *event, struct error *err)
{
    char shown[SHOWN];
    *message = NULL;
    json_t *object = json_parse(line, length, "", err);
    protocol_clean(shown, sizeof shown, line, length);
    if (!object)
        return error_set(err, STATUS_PROTOCOL, "it sent something that is no message: \"%s\"",
                         shown);
    const json_t *own_id = json_object_get(object, "id");
    const json_t *error = json_object_get(object, "error");
    enum status status = STATUS_OK;
    *event = json_object_get(object, "event") != NULL;
    if (!json_is_integer(own_id) || json_integer_value(own_id) != id)
        status =
            error_set(err, STATUS_PROTOCOL, "it answered another request than number %lld: \"%s\"",
                      (long long)id, shown);
    else if (error)
        status = error_reply(error, err);
    if (status)
        json_decref(object);
    else
        *message = object;
    return status;
}

enum status protocol_hello(const json_t *reply, struct worker_hello *hello, struct error *err)
{
    int64_t version;
    if (json_get_int(reply, "protocol", 0, INT32_MAX, &version, err))
        return wrong_reply("hello", err);
    if (version != PROTOCOL_VERSION) {
        error_set(err, STATUS_PROTOCOL, "it speaks protocol version %lld, this is version %d",
                  (long long)version, PROTOCOL_VERSION);
        return error_remedy(err, "Install an engine and a prony that go together.");
    }
    const char *engine;
    if (json_get_string(reply, "engine", &engine, err) ||
        json_get_string(reply, "version", &engine, err) ||
        text_copy(reply, "engine", hello->engine, sizeof hello->engine, err) ||
        text_copy(reply, "version", hello->version, sizeof hello->version, err) ||
        text_copy(reply, "stands_on", hello->stands_on, sizeof hello->stands_on, err))
        return wrong_reply("hello", err);
    const json_t *devices = json_object_get(reply, "devices");
    size_t used = 0;
    hello->devices[0] = '\0';
    if (!json_is_array(devices) || json_array_size(devices) == 0)
        return error_set(err, STATUS_PROTOCOL,
                         "its reply to hello is wrong: \"devices\" should be a list of strings");
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const char *device = json_string_value(json_array_get(devices, i));
        if (!device)
            return error_set(err, STATUS_PROTOCOL,
                             "its reply to hello is wrong: a device is not a string");
        if (i && used + 2 < sizeof hello->devices)
            hello->devices[used++] = ' ';
        protocol_clean(hello->devices + used, sizeof hello->devices - used, device, strlen(device));
        used += strlen(hello->devices + used);
    }
    return STATUS_OK;
}

static enum status phase_check(const json_t *object, const struct protocol_window *window,
                               struct worker_loaded *loaded, size_t i, struct error *err)
{
    int64_t start, end;
    const char *name;
    if (json_get_string(object, "name", &name, err) ||
        json_get_int(object, "start_ns", 0, INT64_MAX, &start, err) ||
        json_get_int(object, "end_ns", 0, INT64_MAX, &end, err))
        return wrong_reply("load", err);
    if (start < window->asked_ns || end < start || end > window->received_ns)
        return error_set(err, STATUS_PROTOCOL,
                         "it says that the phase \"%.40s\" of load took place outside the request",
                         name);
    protocol_clean(loaded->phase[i].name, sizeof loaded->phase[i].name, name, strlen(name));
    loaded->phase[i].start_ns = start;
    loaded->phase[i].end_ns = end;
    return STATUS_OK;
}

enum status protocol_loaded(const json_t *reply, const struct protocol_window *window,
                            struct worker_loaded *loaded, struct error *err)
{
    int64_t weights, kv, vocabulary, threads;
    if (json_get_int(reply, "weight_bytes", 0, INT64_MAX, &weights, err) ||
        json_get_int(reply, "kv_token_bytes", 0, INT64_MAX, &kv, err) ||
        json_get_int_or(reply, "embedding_bytes", 0, INT64_MAX, -1, &loaded->embedding_bytes,
                        err) ||
        json_get_int(reply, "vocabulary", 1, PROTOCOL_MAX_VOCABULARY, &vocabulary, err) ||
        json_get_int_or(reply, "threads", 0, INT32_MAX, 0, &threads, err) ||
        text_copy(reply, "precision", loaded->precision, sizeof loaded->precision, err) ||
        text_copy(reply, "detail", loaded->detail, sizeof loaded->detail, err))
        return wrong_reply("load", err);
    /* A worker that took no notice of what it was asked would be measured as something else. */
    if (window->precision && strcmp(window->precision, loaded->precision) != 0)
        return error_set(err, STATUS_PROTOCOL,
                         "it was asked to quantise to %s, and says it holds %s", window->precision,
                         *loaded->precision ? loaded->precision : "nothing");
    const json_t *phases = json_object_get(reply, "phases");
    if (!json_is_array(phases) || json_array_size(phases) > WORKER_MAX_PHASES)
        return error_set(err, STATUS_PROTOCOL,
                         "its reply to load is wrong: \"phases\" should be a list of at most %d",
                         WORKER_MAX_PHASES);
    for (size_t i = 0; i < json_array_size(phases); i++) {
        enum status status = phase_check(json_array_get(phases, i), window, loaded, i, err);
        if (status)
            return status;
    }
    loaded->phases = json_array_size(phases);
    loaded->weight_bytes = (uint64_t)weights;
    loaded->kv_token_bytes = (uint64_t)kv;
    loaded->vocabulary = (uint32_t)vocabulary;
    loaded->threads = (uint32_t)threads;
    return STATUS_OK;
}

static enum status id_check(const json_t *member, uint32_t vocabulary, int32_t *id,
                            struct error *err)
{
    json_int_t value = json_integer_value(member);
    if (!json_is_integer(member))
        return error_set(err, STATUS_PROTOCOL, "it sent a token id that is not an integer");
    if (value < 0 || value >= (json_int_t)vocabulary)
        return error_set(err, STATUS_PROTOCOL,
                         "it sent token id %lld, outside the vocabulary of %u", (long long)value,
                         vocabulary);
    *id = (int32_t)value;
    return STATUS_OK;
}

static enum status stamps_check(const json_t *stamps, const struct protocol_window *window,
                                struct worker_generated *generated, struct error *err)
{
    int64_t before = generated->prompt_ns;
    for (size_t i = 0; i < generated->count; i++) {
        const json_t *member = json_array_get(stamps, i);
        int64_t stamp = json_integer_value(member);
        if (!json_is_integer(member))
            return error_set(err, STATUS_PROTOCOL, "stamp %zu is not an integer", i);
        if (stamp < before)
            return error_set(err, STATUS_PROTOCOL,
                             "stamp %zu lies before the one that precedes it, by %lld ns", i,
                             (long long)(before - stamp));
        if (stamp > window->received_ns)
            return error_set(err, STATUS_PROTOCOL,
                             "stamp %zu lies %lld ns after the reply was received", i,
                             (long long)(stamp - window->received_ns));
        generated->stamps_ns[i] = before = stamp;
    }
    return STATUS_OK;
}

/* What the parts of a split model exchanged; an engine need not tell. It is a share of the time
 * that the stamps span. */
static enum status exchanged_parse(const json_t *reply, struct worker_generated *generated,
                                   struct error *err)
{
    const json_t *exchanged = json_object_get(reply, "exchanged");
    generated->exchanged_bytes = generated->exchanged_ns = 0;
    if (!exchanged)
        return STATUS_OK;
    if (json_get_int(exchanged, "token_bytes", 0, INT64_MAX, &generated->exchanged_bytes, err) ||
        json_get_int(exchanged, "token_ns", 0, INT64_MAX, &generated->exchanged_ns, err))
        return wrong_reply("generate", err);
    int64_t span_ns =
        generated->count ? generated->stamps_ns[generated->count - 1] - generated->stamps_ns[0] : 0;
    if (generated->exchanged_ns > span_ns)
        return error_set(
            err, STATUS_PROTOCOL,
            "it says that it exchanged for %lld ns of the %lld ns that its tokens took",
            (long long)generated->exchanged_ns, (long long)span_ns);
    return STATUS_OK;
}

enum status protocol_generated(const json_t *reply, const struct protocol_window *window,
                               struct worker_generated *generated, struct error *err)
{
    const json_t *ids = json_object_get(reply, "ids");
    const json_t *stamps = json_object_get(reply, "stamps_ns");
    generated->count = 0;
    if (json_get_int(reply, "prompt_ns", 0, INT64_MAX, &generated->prompt_ns, err))
        return wrong_reply("generate", err);
    if (!json_is_array(ids) || !json_is_array(stamps))
        return error_set(err, STATUS_PROTOCOL,
                         "its reply to generate is wrong: \"ids\" and \"stamps_ns\" should be "
                         "lists");
    size_t count = json_array_size(ids);
    if (json_array_size(stamps) != count)
        return error_set(err, STATUS_PROTOCOL, "it sent %zu stamps for %zu tokens",
                         json_array_size(stamps), count);
    if (count > window->tokens || (window->exact && count < window->tokens))
        return error_set(err, STATUS_PROTOCOL, "it sent %zu tokens where %zu were asked for", count,
                         window->tokens);
    if (generated->prompt_ns < window->asked_ns || generated->prompt_ns > window->received_ns)
        return error_set(err, STATUS_PROTOCOL,
                         "it stamped the prompt outside the request's time, by %lld ns",
                         (long long)(generated->prompt_ns < window->asked_ns
                                         ? generated->prompt_ns - window->asked_ns
                                         : generated->prompt_ns - window->received_ns));
    for (size_t i = 0; i < count; i++) {
        enum status status =
            id_check(json_array_get(ids, i), window->vocabulary, &generated->ids[i], err);
        if (status)
            return status;
    }
    generated->count = count;
    enum status status = stamps_check(stamps, window, generated, err);
    return status ? status : exchanged_parse(reply, generated, err);
}

enum status protocol_token(const json_t *event, const struct protocol_window *window, int32_t *id,
                           struct error *err)
{
    const char *kind = json_string_value(json_object_get(event, "event"));
    if (!kind || strcmp(kind, "token") != 0)
        return error_set(err, STATUS_PROTOCOL, "it sent an event that nobody knows: \"%.40s\"",
                         kind ? kind : "(not a string)");
    return id_check(json_object_get(event, "token"), window->vocabulary, id, err);
}

enum status protocol_memory(const json_t *reply, struct worker_memory *memory, struct error *err)
{
    if (json_get_int_or(reply, "host_bytes", -1, INT64_MAX, -1, &memory->host_bytes, err) ||
        json_get_int_or(reply, "host_peak_bytes", -1, INT64_MAX, -1, &memory->host_peak_bytes,
                        err) ||
        json_get_int_or(reply, "device_bytes", -1, INT64_MAX, -1, &memory->device_bytes, err) ||
        json_get_int_or(reply, "device_peak_bytes", -1, INT64_MAX, -1, &memory->device_peak_bytes,
                        err) ||
        text_copy(reply, "method", memory->method, sizeof memory->method, err))
        return wrong_reply("memory", err);
    if (memory->host_peak_bytes >= 0 && memory->host_peak_bytes < memory->host_bytes)
        return error_set(err, STATUS_PROTOCOL, "its peak of host memory is below what it holds");
    if (memory->device_peak_bytes >= 0 && memory->device_peak_bytes < memory->device_bytes)
        return error_set(err, STATUS_PROTOCOL, "its peak of device memory is below what it holds");
    return STATUS_OK;
}

static enum status traced_operation(const json_t *from, struct worker_traced *traced,
                                    struct error *err)
{
    size_t i = traced->operations++;
    if (json_get_int(from, "prompt_ns", 0, INT64_MAX, &traced->operation[i].prompt_ns, err) ||
        json_get_int(from, "token_ns", 0, INT64_MAX, &traced->operation[i].token_ns, err))
        return err->status;
    return text_copy(from, "name", traced->operation[i].name, sizeof traced->operation[i].name,
                     err);
}

enum status protocol_traced(const json_t *reply, struct worker_traced *traced, struct error *err)
{
    const json_t *operations = json_object_get(reply, "operations");
    *traced = (struct worker_traced){0};
    if (json_get_int_or(reply, "prompts", 0, INT64_MAX, 0, &traced->prompts, err) ||
        json_get_int_or(reply, "tokens", 0, INT64_MAX, 0, &traced->tokens, err) ||
        json_get_int_or(reply, "prompt_ns", 0, INT64_MAX, 0, &traced->prompt_ns, err) ||
        json_get_int_or(reply, "token_ns", 0, INT64_MAX, 0, &traced->token_ns, err) ||
        json_get_int_or(reply, "dropped", 0, INT64_MAX, 0, &traced->dropped, err))
        return wrong_reply("trace", err);
    size_t count = json_array_size(operations);
    if ((operations && !json_is_array(operations)) || count > WORKER_MAX_OPERATIONS)
        return error_set(err, STATUS_PROTOCOL,
                         "its reply to trace is wrong: \"operations\" should be a list of at most "
                         "%d",
                         WORKER_MAX_OPERATIONS);
    for (size_t i = 0; i < count; i++)
        if (traced_operation(json_array_get(operations, i), traced, err))
            return wrong_reply("trace", err);
    return STATUS_OK;
}

enum status protocol_logits(const json_t *reply, size_t rows, uint32_t vocabulary, bool *partial,
                            struct error *err)
{
    int64_t own_rows, own_columns;
    if (json_get_int(reply, "rows", 0, INT64_MAX, &own_rows, err) ||
        json_get_int(reply, "columns", 0, INT64_MAX, &own_columns, err) ||
        json_get_bool_or(reply, "partial", false, partial, err))
        return wrong_reply("logits", err);
    if ((uint64_t)own_rows != rows || (uint64_t)own_columns != vocabulary)
        return error_set(err, STATUS_PROTOCOL,
                         "it wrote logits of %lld x %lld where %zu x %u were asked for",
                         (long long)own_rows, (long long)own_columns, rows, vocabulary);
    return STATUS_OK;
}
