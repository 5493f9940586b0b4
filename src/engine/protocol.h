/* The worker protocol's messages: lines in, checked replies out (docs/protocol.md).
 *
 * Pure functions over bytes and JSON, so that they can be fuzzed. STATUS_PROTOCOL means that the
 * worker broke the protocol; any other status of protocol_parse() is an error that the worker
 * reported in good order. */
#ifndef PRONY_ENGINE_PROTOCOL_H
#define PRONY_ENGINE_PROTOCOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/protocol_lines.h"
#include "engine/worker.h"

enum {
    PROTOCOL_VERSION = 1,
    PROTOCOL_MAX_TOKENS = 1 << 20, /* ids in a prompt, and ids in a reply */
    PROTOCOL_MAX_VOCABULARY = 1 << 24
};

/* One line from the worker in answer to request id. *message is the caller's to json_decref();
 * *event tells an event from the reply. An error reply comes back as its code's status. */
enum status protocol_parse(const char *line, size_t length, int64_t id, json_t **message,
                           bool *event, struct error *err);

/* What a worker's reply must be held against. */
struct protocol_window {
    int64_t asked_ns, received_ns; /* every stamp lies between these */
    uint32_t vocabulary;           /* every id lies below */
    size_t tokens;                 /* ids asked for */
    bool exact;                    /* as many ids as asked for; else at most */
    const char *precision;         /* that a load must end with; NULL: any */
};

/* The replies; STATUS_PROTOCOL says which member is wrong and why. */
enum status protocol_hello(const json_t *reply, struct worker_hello *hello, struct error *err);
enum status protocol_loaded(const json_t *reply, const struct protocol_window *window,
                            struct worker_loaded *loaded, struct error *err);
/* Fills generated's ids and stamps, which have room for window->tokens. */
enum status protocol_generated(const json_t *reply, const struct protocol_window *window,
                               struct worker_generated *generated, struct error *err);
enum status protocol_token(const json_t *event, const struct protocol_window *window, int32_t *id,
                           struct error *err);
enum status protocol_memory(const json_t *reply, struct worker_memory *memory, struct error *err);
enum status protocol_traced(const json_t *reply, struct worker_traced *traced, struct error *err);
/* The reply must name a matrix of exactly rows by vocabulary. *partial: it holds log-probabilities
 * of some ids. */
enum status protocol_logits(const json_t *reply, size_t rows, uint32_t vocabulary, bool *partial,
                            struct error *err);

#endif
