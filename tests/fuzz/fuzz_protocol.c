/* Bytes as what a worker sends: cut into lines, in pieces of any size, then held against the
 * protocol as the reply to every request. The first byte is the size of the pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/protocol.h"

enum { TOKENS = 8, VOCABULARY = 100, ID = 1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth)
        abort();
}

/* Text that has passed must be fit for JSON and a terminal. */
static void must_be_clean(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    json_t *string = json_string(text);
    must(length < size && string);
    for (size_t i = 0; i < length; i++)
        must((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
    json_decref(string);
}

static void generated_use(const json_t *reply, const struct protocol_window *window)
{
    int32_t ids[TOKENS];
    int64_t stamps_ns[TOKENS];
    struct worker_generated generated = {.ids = ids, .stamps_ns = stamps_ns};
    struct error err;
    if (protocol_generated(reply, window, &generated, &err))
        return;
    must(generated.count <= TOKENS && (!window->exact || generated.count == TOKENS));
    int64_t before = generated.prompt_ns;
    must(before >= window->asked_ns);
    for (size_t i = 0; i < generated.count; i++) {
        must(ids[i] >= 0 && ids[i] < VOCABULARY);
        must(stamps_ns[i] >= before && stamps_ns[i] <= window->received_ns);
        before = stamps_ns[i];
    }
}

static void reply_use(const json_t *reply)
{
    struct protocol_window window = {
        .asked_ns = 1000, .received_ns = 2000, .vocabulary = VOCABULARY, .tokens = TOKENS};
    struct error err;
    struct worker_hello hello = {0};
    struct worker_loaded loaded = {0};
    struct worker_memory memory;
    struct worker_traced traced;
    int32_t id;
    bool partial;
    if (protocol_hello(reply, &hello, &err) == STATUS_OK) {
        must_be_clean(hello.engine, sizeof hello.engine);
        must_be_clean(hello.devices, sizeof hello.devices);
    }
    if (protocol_loaded(reply, &window, &loaded, &err) == STATUS_OK) {
        must(loaded.vocabulary > 0 && loaded.phases <= WORKER_MAX_PHASES);
        for (size_t i = 0; i < loaded.phases; i++)
            must_be_clean(loaded.phase[i].name, sizeof loaded.phase[i].name);
    }
    generated_use(reply, &window);
    window.exact = true;
    generated_use(reply, &window);
    if (protocol_token(reply, &window, &id, &err) == STATUS_OK)
        must(id >= 0 && id < VOCABULARY);
    if (protocol_memory(reply, &memory, &err) == STATUS_OK)
        must(memory.host_bytes >= -1 && memory.device_peak_bytes >= -1);
    if (protocol_traced(reply, &traced, &err) == STATUS_OK) {
        must(traced.prompts >= 0 && traced.operations <= WORKER_MAX_OPERATIONS);
        for (size_t i = 0; i < traced.operations; i++) {
            must_be_clean(traced.operation[i].name, sizeof traced.operation[i].name);
            must(traced.operation[i].prompt_ns >= 0 && traced.operation[i].token_ns >= 0);
        }
    }
    protocol_logits(reply, TOKENS, VOCABULARY, &partial, &err);
}

static void line_use(const char *line, size_t length)
{
    char clean[32];
    struct error err;
    json_t *message;
    bool event;
    protocol_clean(clean, sizeof clean, line, length);
    must_be_clean(clean, sizeof clean);
    if (protocol_parse(line, length, ID, &message, &event, &err) == STATUS_OK) {
        reply_use(message);
        json_decref(message);
    } else {
        must(!message && err.status && err.what[0]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct protocol_lines lines = {0};
    struct error err;
    size_t piece = size ? (size_t)data[0] + 1 : 1;
    for (size_t at = 1; at < size;) {
        char *room;
        size_t bytes, length;
        const char *line;
        if (protocol_lines_room(&lines, &room, &bytes, &err))
            break;
        bytes = bytes < piece ? bytes : piece;
        bytes = bytes < size - at ? bytes : size - at;
        memcpy(room, data + at, bytes);
        protocol_lines_add(&lines, bytes);
        at += bytes;
        while ((line = protocol_lines_take(&lines, &length)))
            line_use(line, length);
    }
    protocol_lines_free(&lines);
    return 0;
}
