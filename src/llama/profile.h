/* Where the time of a token goes: what each thread did, and when, kept in memory until it is
 * written as a Chrome trace.
 *
 * A track is a thread, or a stream of a device. Track 0 is the one that hands tokens over: its
 * operations follow each other without a gap, so they add up to the time of the tokens. Every
 * function takes a NULL profile, which is none, and then costs one comparison. */
#ifndef PRONY_LLAMA_PROFILE_H
#define PRONY_LLAMA_PROFILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

enum operation {
    OPERATION_EMBED,
    OPERATION_NORM,
    OPERATION_QKV, /* the products that give query, key and value */
    OPERATION_ROPE,
    OPERATION_ATTENTION,
    OPERATION_ATTENTION_OUT,
    OPERATION_GATE_UP,
    OPERATION_DOWN,
    OPERATION_LOGITS,
    OPERATION_EXCHANGE, /* with the other processes that hold the model */
    OPERATION_DEVICE,   /* all of a card's work on a token */
    OPERATION_SAMPLE,
    OPERATION_HAND_OVER, /* a token's way to whoever asked for it */
    OPERATION_WAIT,      /* for the other threads */
    OPERATIONS
};

/* "attention", ... */
const char *operation_name(enum operation operation);

struct profile;

enum status profile_open(struct profile **profile, uint32_t tracks, struct error *err);
void profile_close(struct profile *profile);

/* An answer begins: what follows on track 0 is its prompt, until the first token is there. */
void profile_answer(struct profile *profile);
/* A token is there; what track 0 did since its last mark was choosing it. */
void profile_token(struct profile *profile);

/* A pass begins: a track was idle until now, but for track 0, which waited for the others. */
static inline void profile_begin(struct profile *profile, uint32_t track);
/* What a track did since its last mark was this, for a layer (-1: none). */
static inline void profile_mark(struct profile *profile, uint32_t track, enum operation operation,
                                int32_t layer);
/* The same for times (CLOCK_MONOTONIC) that somebody else took, such as a device's. */
void profile_add(struct profile *profile, uint32_t track, enum operation operation, int32_t layer,
                 int64_t start_ns, int64_t end_ns);

/* Writes everything so far as a Chrome trace (JSON, object form). */
enum status profile_write(const struct profile *profile, FILE *stream, struct error *err);

/* What track 0 came to. */
struct profile_sum {
    uint64_t prompts, tokens;    /* tokens without those that end a prompt */
    int64_t prompt_ns, token_ns; /* until the first token, and between tokens */
    struct {
        int64_t prompt_ns, token_ns;
    } operation[OPERATIONS];
    uint64_t dropped; /* operations of any track that the trace has no room for */
};
void profile_sum(const struct profile *profile, struct profile_sum *sum);

/* ---- private ---- */

void profile_begin_now(struct profile *profile, uint32_t track);
void profile_mark_now(struct profile *profile, uint32_t track, enum operation operation,
                      int32_t layer);

static inline void profile_begin(struct profile *profile, uint32_t track)
{
    if (__builtin_expect(profile != NULL, 0))
        profile_begin_now(profile, track);
}

static inline void profile_mark(struct profile *profile, uint32_t track, enum operation operation,
                                int32_t layer)
{
    if (__builtin_expect(profile != NULL, 0))
        profile_mark_now(profile, track, operation, layer);
}

#endif
