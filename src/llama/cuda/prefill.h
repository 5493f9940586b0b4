/* Prompts by the tensor cores (prefill.cu), for weights of 16 bits. */
#ifndef PRONY_LLAMA_CUDA_PREFILL_H
#define PRONY_LLAMA_CUDA_PREFILL_H

#include "llama/cuda/portable.h"

struct prefill {
    struct cuda_function *large, *small; /* products; NULL: none for this shape */
    struct cuda_function *norm, *attend, *parts_add;
    uint32_t most;          /* tokens that are computed together */
    uint32_t attend_shared; /* bytes */
    uint32_t multiprocessors;
    cuda_pointer ids;                /* [most] int32 */
    cuda_pointer x, qkv;             /* [most, ...] float32 */
    cuda_pointer normed, mixed, ffn; /* [most, ...] of the weights' type */
    cuda_pointer parts;              /* [parts, tokens, rows] of a product, float32 */
    uint64_t parts_bytes;
    cuda_pointer memory;
};

/* Leaves large NULL where there are no such kernels for the shape. */
enum status prefill_open(struct prefill *prefill, struct card *card,
                         const struct device_model *model, struct error *err);
void prefill_close(struct prefill *prefill, struct card *card);

/* As portable_forward, for up to prefill->most ids. */
enum status prefill_forward(const struct prefill *prefill, const struct portable *portable,
                            const struct card *card, const struct device_model *model,
                            cuda_pointer ids, uint32_t count, uint32_t position,
                            cuda_pointer logits, uint32_t rows, struct error *err);

#endif
