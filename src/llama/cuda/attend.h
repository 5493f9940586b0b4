/* Attention of prompts on the tensor cores: Hopper's own kernel (attend.cu) or any card's
 * (prefill.cu). */
#ifndef PRONY_LLAMA_CUDA_ATTEND_H
#define PRONY_LLAMA_CUDA_ATTEND_H

#include "llama/cuda/product.h"

enum { ATTEND_KEYS = 128 }; /* of a tile */

/* Warpgroups that compute, each for 64 tokens; tiles of keys or values in shared memory. */
#define ATTEND_GROUPS(size) ((size) == 64 ? 3 : 2)
#define ATTEND_SLOTS(size) ((size) == 64 ? 8 : 5)
#define ATTEND_TOKENS(size) (64 * ATTEND_GROUPS(size))
#define ATTEND_THREADS(size) (128 * ATTEND_GROUPS(size) + 128)
/* Bytes of shared memory: tiles, barriers, and room to align them. */
#define ATTEND_SHARED(size)                                                                        \
    ((ATTEND_TOKENS(size) + ATTEND_SLOTS(size) * ATTEND_KEYS) * (size)*2 +                         \
     (2 * ATTEND_SLOTS(size) + 1) * 8 + 1024)

struct attend_arguments {
    struct tensor_map query;        /* [tokens, heads, size]: (column, head, token) */
    struct tensor_map keys, values; /* [layers * kv_heads, positions, size] of float16 */
    void *mixed;                    /* [tokens, heads, size] of the weights' type */
    uint32_t first;                 /* of the queries' tokens, the one at position */
    uint32_t tokens, position, heads, group, kv_heads, layer;
};

#ifndef __CUDACC__
#include "llama/cuda/portable.h"

struct attention {
    struct cuda_function *kernel;
    bool wide;               /* Hopper's */
    struct tensor_map query; /* for it */
    cuda_pointer query_at;   /* [tokens, heads, size] float16, rotated and scaled */
};

/* Finds the kernel for a model's heads, of 64 or 128; plain has those of prefill.cu, and query has
 * room for most_tokens. */
enum status attention_open(struct attention *attention, struct card *card,
                           struct cuda_module *plain, const struct device_model *model,
                           cuda_pointer query, uint32_t most_tokens, struct error *err);
/* mixed [count, heads, size], of the weights' type, for the tokens from position on of a layer,
 * whose queries begin with the token `first`. */
enum status attention_start(const struct attention *attention, const struct card *card,
                            const struct device_model *model, uint32_t layer, uint32_t first,
                            uint32_t count, uint32_t position, cuda_pointer mixed,
                            struct error *err);
#endif

#endif
