/* What a session is made of; for session*.c alone. */
#ifndef PRONY_TALK_SESSION_PARTS_H
#define PRONY_TALK_SESSION_PARTS_H

#include <limits.h>

#include "fit/fit.h"
#include "fit/loading.h"
#include "model/chat/chat_template.h"
#include "model/model.h"
#include "talk/session.h"

struct session {
    struct session_request request;
    struct engine_catalogue catalogue;
    const struct engine *engine;
    const struct engine_variant *variant;
    struct model model;
    char source[PATH_MAX]; /* what the variant loads: the model, or a copy */
    struct tokenizer *tokenizer;
    struct chat_template template;
    int32_t stops[CHAT_STOPS];
    struct fit_request fit;
    struct loading loading;
    struct worker *worker;
    struct worker_hello hello;
    struct worker_loaded loaded;
    struct session_profile profile; /* what the stamps say */
    uint32_t context, most_context, turns;
    int32_t *ids;   /* [context] the conversation */
    size_t count;   /* of them */
    int32_t *given; /* [context] the newest answer */
    int64_t *stamps_ns;
};

/* The trace that was asked for begins, if one was. */
enum status session_profile_begin(struct session *session, struct error *err);
/* Tokens, stamps and speed of an answer, from what the worker generated. */
void session_answer_fill(struct session *session, const struct worker_generated *generated,
                         struct session_answer *answer);

#endif
