/* One pass of a block of tokens through the layers. */
#ifndef PRONY_LLAMA_FORWARD_H
#define PRONY_LLAMA_FORWARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "llama/cache.h"
#include "llama/cpu/kernels.h"
#include "llama/profile.h"
#include "llama/ranks.h"
#include "llama/threads.h"
#include "llama/weights.h"
#include "model/model.h"

/* Tokens that are computed together: every weight is read once for them. */
enum { BLOCK_TOKENS = 64 };

/* Activations of a block; all float32, [tokens, ...]. */
struct scratch {
    float *x;      /* [tokens, hidden]: the residual stream */
    float *normed; /* [tokens, hidden] */
    float *q;      /* [tokens, heads, head_size] */
    float *k, *v;  /* [tokens, kv_heads, head_size] */
    float *mixed;  /* [tokens, heads, head_size]: attention's result */
    float *gate;   /* [tokens, ffn] */
    float *up;     /* [tokens, ffn] */
    float *delta;  /* [tokens, hidden]: what is added to x */
    float *cosine; /* [tokens, head_size / 2] */
    float *sine;   /* [tokens, head_size / 2] */
    float *scores; /* [threads, heads of a group, context] */
    struct pages pages;
};

struct forward {
    struct model_config config; /* of what this process holds of the model */
    bool rope_interleaved;
    bool rounded;     /* the output of every operation, to the precision of the weights */
    bool q8_0;        /* what products take, to what Q8_0 makes of it */
    float *frequency; /* [head_size / 2] */
    const struct kernels *kernels;
    struct pool *pool;
    struct weights *weights;
    struct cache *cache;
    struct ranks *ranks; /* the others that hold the rest; NULL: none */
    struct scratch scratch;
    struct profile *profile; /* NULL: none */
};

/* config, kernels, pool, weights, cache, ranks, rounded and q8_0 are set by the caller. */
enum status forward_init(struct forward *forward, const struct model *model, struct error *err);
void forward_free(struct forward *forward);

/* Rounds what an operation made, where the model is to compute as rounded engines do. */
static inline void forward_round(const struct forward *forward, float *data, size_t count)
{
    if (forward->rounded)
        kernels_round(forward->kernels, forward->weights->precision, data, count);
}

/* Computes count (1 to BLOCK_TOKENS) ids at positions position, position + 1, ... and puts their
 * keys and values in the cache. logits is NULL, or room for those of the last logit_rows ids,
 * [logit_rows, vocabulary]. */
void forward_block(struct forward *forward, const int32_t *ids, uint32_t count, uint32_t position,
                   float *logits, uint32_t logit_rows);

#endif
