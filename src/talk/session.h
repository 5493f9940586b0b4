/* A conversation with a model: the worker that answers, and the ids of everything said so far.
 *
 * The protocol's generate starts a fresh sequence, so each turn sends the whole conversation. What
 * is kept is ids, never text: an answer goes back as the very ids that the model gave. */
#ifndef PRONY_TALK_SESSION_H
#define PRONY_TALK_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/worker.h"
#include "model/tokenizer/tokenizer.h"

struct session_request {
    const char *model;               /* path; NULL is an error that says how to get one */
    const char *framework;           /* variant, or engine: its first variant */
    const char *device;              /* "cpu" */
    const char *system;              /* NULL: what the chat template says itself */
    const char *chat_template;       /* NULL: the model's own */
    uint32_t threads, context;       /* 0: the engine's choice; what the model has, up to 4096 */
    uint32_t max_tokens;             /* of an answer */
    struct worker_sampling sampling; /* stop is the chat template's */
    bool conversation;               /* false: session_benchmark only, which needs no template */
    int cancel_fd;                   /* readable: stop */
};

struct session;

/* Opens the model and loads it into a worker. STATUS_INTERRUPTED when cancel_fd was readable. */
enum status session_open(struct session **session, const struct session_request *request,
                         struct error *err);
void session_close(struct session *session);

/* What one turn came to. ids and stamps belong to the session, until its next turn. */
struct session_answer {
    size_t prompt_tokens;       /* sent: the whole conversation */
    size_t tokens;              /* given, the id that ended it included */
    const int64_t *stamps_ns;   /* [tokens] */
    const int32_t *ids;         /* [tokens] */
    double first_ms;            /* prompt to first token; 0 without tokens */
    double tokens_per_s;        /* after the first one; 0 below two tokens */
    bool interrupted, finished; /* by cancel_fd; by a stop id */
};

/* Asks, and hands the answer to on_text as it comes: whole UTF-8 characters. on_text returns false
 * to end the answer. An interrupted answer is no error and stays in the conversation; after an
 * error the conversation is as it was. STATUS_UNSUPPORTED when the context is full. */
enum status session_ask(struct session *session, const char *text,
                        bool (*on_text)(void *context, const char *text, size_t bytes),
                        void *context, struct session_answer *answer, struct error *err);

/* Forgets what was said, not the model. */
void session_reset(struct session *session);

struct session_stats {
    const char *variant, *model, *chat_template; /* chat_template NULL without conversation */
    uint32_t turns, context;
    size_t used; /* positions of context */
};
struct session_stats session_stats(const struct session *session);
/* False when the worker is gone: no further turn can succeed. */
bool session_alive(const struct session *session);

enum { SESSION_BENCHMARK_TOKENS = 20 };
struct session_speed {
    double token_ms, tokens_per_s;
    double gb_per_s; /* weights and KV cache read for a token, over its time; 0: not known */
};
/* The mean of SESSION_BENCHMARK_TOKENS greedy tokens after text, timed by the engine, after a
 * warm-up. */
enum status session_benchmark(struct session *session, const char *text,
                              struct session_speed *speed, struct error *err);

#endif
