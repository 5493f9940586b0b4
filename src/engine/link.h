/* The conversation with one worker process: a request, then its events and its reply, within a
 * time limit. What engine/worker.h offers, and the conformance test's raw requests, go through it.
 *
 * A worker that breaks the protocol, dies or hangs is killed with all its children; the error,
 * with the end of its log, is kept and every later request fails with it. An error that the
 * worker reports in good order leaves it alive. */
#ifndef PRONY_ENGINE_LINK_H
#define PRONY_ENGINE_LINK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/child.h"
#include "base/error.h"
#include "engine/manifest.h"
#include "engine/protocol.h"

struct link {
    struct child child;
    const struct engine *engine;
    char *log_path, *scratch;
    bool log_temporary;
    int cancel_fd;
    void (*on_cancel)(void *context); /* struct worker_options */
    void *on_cancel_context;
    struct protocol_lines lines;
    int64_t last_id;
    bool dead;
    struct error failure; /* why, when dead */
};

/* What one request needs beside its members. */
struct link_call {
    const char *doing; /* "load the model": "native did not ... within 10 s" */
    int64_t limit_ms;
    /* Handles an event; NULL: events break the protocol. Any status but OK ends the call. */
    enum status (*on_event)(void *context, const json_t *event, struct error *err);
    void *context;
    void (*on_tick)(void *context); /* called ten times a second while it lasts; NULL: nothing is */
    void *tick_context;
    bool cancel_at_once;           /* the cancellation travels with the request */
    bool cancel_softly;            /* cancel_fd: send "cancel" and go on to the reply */
    int64_t asked_ns, received_ns; /* filled: just before the request, just after the reply */
    int64_t deadline_ns;           /* filled: asked_ns + limit_ms, sooner after a cancellation */
    bool cancelled;                /* filled: cancel_fd or link_cancel() ended it */
};

/* Starts the engine's process; says nothing to it yet. On failure nothing is left. */
enum status link_open(struct link *link, const struct engine *engine, const char *log_path,
                      int cancel_fd, struct error *err);

/* Sends request (whose "id" it sets; the reference is taken) and waits. *reply is the caller's. */
enum status link_ask(struct link *link, struct link_call *call, json_t *request, json_t **reply,
                     struct error *err);

/* From on_event: asks the worker to end its stream. The reply still comes. */
enum status link_cancel(struct link *link, struct link_call *call, struct error *err);

/* Declares the worker dead: kills it, keeps and returns the error, with the end of its log. */
enum status link_fail(struct link *link, struct error *err);

/* Closes the pipes and waits for the worker's own end; false when the time is over. */
bool link_hang_up(struct link *link, int64_t limit_ms);

/* Kills what is left and frees. */
void link_close(struct link *link);

/* The last lines of a worker's log on one line, cleaned; empty when there is nothing to show. */
void link_log_tail(const char *log_path, char *text, size_t size);

#endif
