/* Prompts by the tensor cores, for weights of 16 bits: products (product.h), attention (attend.h)
 * and what lies between them (token.cu). */
#ifndef PRONY_LLAMA_CUDA_PREFILL_H
#define PRONY_LLAMA_CUDA_PREFILL_H

#include "llama/cuda/attend.h"
#include "llama/cuda/portable.h"
#include "llama/cuda/product.h"

struct prefill {
    bool fits; /* there are such kernels for the shape and card */
    struct product_kernels kernels;
    struct product qkv, out, gate_up, down;
    struct attention attention;
    struct cuda_function *begin, *add, *rotate, *sum;
    uint32_t most;                     /* tokens that are computed together */
    cuda_pointer ids;                  /* [most] int32 */
    cuda_pointer x;                    /* [most, hidden] float32 */
    cuda_pointer angles;               /* [most, head_size / 2] cosines and sines */
    cuda_pointer query;                /* [most, heads, head_size] float16 */
    cuda_pointer normed, mixed, gated; /* [most, ...] of the weights' type */
    cuda_pointer sums;                 /* what products make, float32 */
    cuda_pointer scratch;              /* of codes, the matrix that is multiplied, as float16 */
    cuda_pointer memory;
};

/* Leaves fits false where there are no such kernels. */
enum status prefill_open(struct prefill *prefill, struct card *card,
                         const struct device_model *model, struct error *err);
void prefill_close(struct prefill *prefill, struct card *card);

/* As portable_forward, for up to prefill->most ids. */
enum status prefill_forward(const struct prefill *prefill, const struct card *card,
                            const struct device_model *model, cuda_pointer ids, uint32_t count,
                            uint32_t position, cuda_pointer logits, uint32_t rows,
                            struct error *err);

#endif
