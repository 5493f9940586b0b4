/* The native engine behind the protocol: what a loaded model is, and how it gets there. */
#ifndef NATIVE_NATIVE_H
#define NATIVE_NATIVE_H

#include <prony/worker.h>

#include "llama/llama.h"
#include "model/model.h"
#include "team.h"
#include "trace.h"

enum { LOGITS_AT_ONCE = 32 }; /* rows computed before they are written */

struct native {
    struct model model;
    struct llama *llama;
    float *logits; /* [LOGITS_AT_ONCE, vocabulary] */
    struct trace trace;
    struct team *team; /* NULL: no other process has a part of the model */
    uint32_t cards;    /* that hold it; 0 on the CPU */
    char detail[128];
};

int native_load(void **state, const struct prony_load *request, struct prony_loaded *result,
                struct prony_error *error);
void native_unload(void *state);

/* Loads a part of a model as rank 0 has it, and computes it until rank 0 is done with it. */
void native_follow(struct team *team, const struct team_task *task);

#endif
