/* A model on a card: the plan's contexts, the memory that they compute in, and one sequence. */
#ifndef PRONY_TENSORRT_SESSION_H
#define PRONY_TENSORRT_SESSION_H

#include "gpu/cuda.h"
#include "plan.h"

/* The card, and the two kernels beside TensorRT's. */
struct card {
    struct cuda cuda;
    struct cuda_device device;
    bool in_context;
    struct cuda_stream *stream;
    struct cuda_module *module;
    struct cuda_function *append, *advance;
};

/* device is "cuda" or "cuda:N". A zeroed card may be closed. */
enum status card_open(struct card *card, const char *device, struct error *err);
void card_close(struct card *card);

struct session; /* of one card and its plan, which must outlive it */

enum status session_open(struct session **session, const struct card *card,
                         const struct plan_maker *maker, const struct plan *plan,
                         struct error *err);
void session_close(struct session *session);

/* Bytes that one position takes in the cache. */
uint64_t session_token_bytes(const struct session *session);

/* The sequence begins anew. */
enum status session_reset(struct session *session, struct error *err);
/* Appends count ids, at most PLAN_CHUNK, and chooses the one that follows them. */
enum status session_prompt(struct session *session, const int32_t *ids, uint32_t count,
                           int32_t *next, struct error *err);
/* Appends the id that was chosen last, and chooses the one that follows it. */
enum status session_step(struct session *session, int32_t *next, struct error *err);
/* Appends count ids, at most PLAN_ROWS, and gives the logits after each: [count, vocabulary]. */
enum status session_logits(struct session *session, const int32_t *ids, uint32_t count,
                           float *logits, struct error *err);

#endif
