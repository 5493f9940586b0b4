/* The native engine's model on an NVIDIA GPU: what llama/llama.h promises, behind it. */
#ifndef PRONY_LLAMA_CUDA_CUDA_LLAMA_H
#define PRONY_LLAMA_CUDA_CUDA_LLAMA_H

#include <stdint.h>

#include "base/error.h"
#include "llama/cuda/exchange.h"
#include "llama/draw.h"
#include "llama/llama.h"

struct cuda_llama;

/* What was loaded, for llama.h's questions. */
struct cuda_llama_facts {
    const char *kernels; /* "cuda persistent", "cuda steps", "cuda portable" */
    const char *device;  /* the card's name */
    uint64_t weight_bytes, token_bytes, position_bytes, embedding_bytes;
};

/* Of a model that is split (options->ranks) the part of that rank. exchange NULL: it is whole. */
enum status cuda_llama_load(struct cuda_llama **llama, const struct model *model,
                            const struct llama_options *options, struct exchange *exchange,
                            struct error *err);
void cuda_llama_free(struct cuda_llama *llama);
struct cuda_llama_facts cuda_llama_facts(const struct cuda_llama *llama);
/* Bytes of the card that are in use, by whomever. */
enum status cuda_llama_used(struct cuda_llama *llama, uint64_t *bytes, struct error *err);

/* As llama_forward, from position on; the ids have been checked. logits has rows of the whole
 * vocabulary, of which a card of several fills in its words. */
enum status cuda_llama_forward(struct cuda_llama *llama, const int32_t *ids, uint32_t count,
                               uint32_t position, float *logits, int all_logits, struct error *err);

/* llama_generate in pieces: the prompt of count ids is under way, and where the card loops by
 * itself all tokens are; ... */
enum status cuda_llama_begin(struct cuda_llama *llama, struct draw draw, const int32_t *ids,
                             uint32_t count, uint32_t position, uint32_t tokens, struct error *err);
/* Whether it does, and steps are not to be asked for. */
bool cuda_llama_loops(const struct cuda_llama *llama);
/* ... the step that takes the last id made as that of position is under way; ... */
enum status cuda_llama_step(struct cuda_llama *llama, uint32_t position, struct error *err);
/* ... id i is there, on the card that tells the host; ... */
enum status cuda_llama_take(struct cuda_llama *llama, uint32_t i, int32_t *id, struct error *err);
/* ... and the card has ended what was under way. */
enum status cuda_llama_end(struct cuda_llama *llama, struct error *err);
/* Then, on all cards of a split model at once: nanoseconds that a token's exchanges take by
 * themselves (exchange_time). */
enum status cuda_llama_exchange_time(struct cuda_llama *llama, int64_t *ns, struct error *err);

/* A thread other than the one that loaded calls any of these between enter and leave. */
enum status cuda_llama_enter(struct cuda_llama *llama, struct error *err);
void cuda_llama_leave(struct cuda_llama *llama);

#endif
