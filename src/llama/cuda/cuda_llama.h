/* The native engine's model on an NVIDIA GPU: what llama/llama.h promises, behind it. */
#ifndef PRONY_LLAMA_CUDA_CUDA_LLAMA_H
#define PRONY_LLAMA_CUDA_CUDA_LLAMA_H

#include <stdint.h>

#include "base/error.h"
#include "llama/draw.h"
#include "llama/llama.h"

struct cuda_llama;

/* What was loaded, for llama.h's questions. */
struct cuda_llama_facts {
    const char *kernels; /* "cuda persistent", "cuda portable" */
    const char *device;  /* the card's name */
    uint64_t weight_bytes, token_bytes, position_bytes, embedding_bytes;
};

enum status cuda_llama_load(struct cuda_llama **llama, const struct model *model,
                            const struct llama_options *options, struct error *err);
void cuda_llama_free(struct cuda_llama *llama);
struct cuda_llama_facts cuda_llama_facts(const struct cuda_llama *llama);

/* As llama_forward and llama_generate, from position on; the ids have been checked. */
enum status cuda_llama_forward(struct cuda_llama *llama, const int32_t *ids, uint32_t count,
                               uint32_t position, float *logits, int all_logits, struct error *err);
enum status cuda_llama_generate(struct cuda_llama *llama, struct draw draw, const int32_t *ids,
                                uint32_t count, uint32_t position, uint32_t tokens,
                                llama_on_token *on_token, void *context, uint32_t *made,
                                struct error *err);

#endif
