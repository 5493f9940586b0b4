/* A conversation with a model: the worker that answers, and the ids of everything said so far.
 *
 * The protocol's generate starts a fresh sequence, so each turn sends the whole conversation. What
 * is kept is ids, never text: an answer goes back as the very ids that the model gave. */
#ifndef PRONY_TALK_SESSION_H
#define PRONY_TALK_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/form.h"
#include "engine/worker.h"
#include "model/tokenizer/tokenizer.h"

struct session_request {
    const char *model;                /* path */
    const char *framework;            /* variant, or engine: its first variant */
    const char *device;               /* "cpu" */
    const char *pci;                  /* of the card, as in machine/gpu.h */
    bool no_memory_check;             /* load what is not expected to fit */
    struct engine_form form;          /* that the variant is to hold the model in */
    const char *system;               /* NULL: what the chat template says itself */
    const char *chat_template;        /* NULL: the model's own */
    uint32_t threads, context;        /* 0: the engine's choice; what the model has, up to 4096 */
    uint32_t max_tokens;              /* of an answer */
    struct worker_sampling sampling;  /* stop is the chat template's */
    bool conversation;                /* false: session_benchmark only, which needs no template */
    const char *profile;              /* absolute path of a trace to write; NULL: none */
    int cancel_fd;                    /* readable: stop, */
    void (*on_cancel)(void *context); /* takes what made it so, so that a second one is seen: */
    void *on_cancel_context;          /* it ends the worker, if that does not heed the first */
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

/* What a session is, borrowed from it. */
struct session_stats {
    const char *variant, *model, *chat_template; /* chat_template NULL without conversation */
    const char *log;                             /* of the worker */
    const struct worker_hello *hello;
    const struct worker_loaded *loaded;
    const struct tokenizer *tokenizer;
    const int32_t *ids; /* [used] the conversation */
    size_t used;        /* positions of context */
    uint32_t turns, context, most_context;
    uint64_t seed;
};
struct session_stats session_stats(const struct session *session);
/* Bytes that the engine must read for one token at a position: weights and KV cache; 0: it does not
 * say. */
double session_token_bytes(const struct session_stats *stats, size_t position);
/* Loads the model again with another context, which holds what was said. STATUS_USAGE: it does not,
 * or is more than the model has; the session is as it was. */
enum status session_resize(struct session *session, uint32_t context, struct error *err);
/* False when the worker is gone: no further turn can succeed. */
bool session_alive(const struct session *session);

enum { SESSION_BENCHMARK_TOKENS = 20 };
struct session_speed {
    double token_ms, tokens_per_s;
    double gb_per_s; /* weights and KV cache read for a token, over its time; 0: not known */
};
/* The mean of SESSION_BENCHMARK_TOKENS greedy tokens after text, timed by the engine, after a
 * warm-up. answer is what was timed: its first token is not part of the mean. */
enum status session_benchmark(struct session *session, const char *text,
                              struct session_answer *answer, struct session_speed *speed,
                              struct error *err);

/* Where the time of the answers went, beside what their stamps say. */
struct session_profile {
    struct worker_traced traced;
    uint64_t prompts, tokens;
    int64_t prompt_ns, token_ns; /* to the first tokens, and between tokens */
};
/* Writes the trace; once, after the last answer. */
enum status session_profile_end(struct session *session, struct session_profile *profile,
                                struct error *err);

#endif
