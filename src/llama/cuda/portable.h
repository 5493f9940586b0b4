/* The forward pass by plain kernels, for any shape and card (portable.cu). */
#ifndef PRONY_LLAMA_CUDA_PORTABLE_H
#define PRONY_LLAMA_CUDA_PORTABLE_H

#include "llama/cuda/card.h"
#include "llama/cuda/layout.h"

enum { PORTABLE_TOKENS = 128 }; /* that are computed together */

struct portable {
    struct cuda_function *embed, *rmsnorm, *matmul, *matmul_tiles, *rope, *attend, *swiglu, *choose;
    cuda_pointer ids;                                 /* [PORTABLE_TOKENS] int32 */
    cuda_pointer x, normed, qkv, mixed, gate_up, ffn; /* [PORTABLE_TOKENS, ...] float32 */
    cuda_pointer bests, ended;                        /* choose's: a rank of each block; a count */
    cuda_pointer memory;
};

/* What a pass works on. */
struct device_model {
    struct cuda_shape shape;
    struct cuda_weights weights;
    enum llama_precision precision; /* of what is no code */
    struct cuda_form form;
    struct codes_kernels codes;    /* none where nothing is a code */
    size_t element, cache_element; /* bytes */
    cuda_pointer keys, values;     /* [layers, kv_heads, context, head_size] */
    cuda_pointer frequency;        /* [head_size / 2] float32 */
};

enum status portable_open(struct portable *portable, struct card *card,
                          const struct device_model *model, struct error *err);
void portable_close(struct portable *portable, struct card *card);

/* Computes count (up to PORTABLE_TOKENS) ids, in device memory, from position on. logits is 0, or
 * room in device memory for those of the last rows ids. Does not wait for the card. */
enum status portable_forward(const struct portable *portable, const struct card *card,
                             const struct device_model *model, cuda_pointer ids, uint32_t count,
                             uint32_t position, cuda_pointer logits, uint32_t rows,
                             struct error *err);

/* *next (device memory), and *told (host memory, or 0), = the id that is drawn by its logit. */
enum status portable_choose(const struct portable *portable, const struct card *card,
                            struct draw draw, cuda_pointer next, cuda_pointer told,
                            cuda_pointer logits, uint32_t count, struct error *err);

#endif
