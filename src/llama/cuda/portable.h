/* The forward pass by plain kernels, for any shape and card (portable.cu). */
#ifndef PRONY_LLAMA_CUDA_PORTABLE_H
#define PRONY_LLAMA_CUDA_PORTABLE_H

#include "llama/cuda/exchange.h"
#include "llama/cuda/layout.h"

enum { PORTABLE_TOKENS = 128 }; /* that are computed together */

struct portable {
    struct cuda_function *embed, *rmsnorm, *matmul, *matmul_tiles, *rope, *attend, *swiglu;
    struct cuda_function *argmax, *choose;
    cuda_pointer ids; /* [PORTABLE_TOKENS] int32 */
    /* [PORTABLE_TOKENS, ...] float32; delta is what x has not been added yet */
    cuda_pointer x, delta, normed, qkv, mixed, gate_up, ffn;
    /* argmax's: a rank of each block, a count, the best of a split model; a token_state */
    cuda_pointer bests, ended, found, state;
    cuda_pointer memory;
};

/* What a pass works on; of a split model what this card has of it. */
struct device_model {
    struct cuda_shape shape;
    struct exchange *exchange; /* with the other cards; NULL: the model is whole */
    uint32_t first_word;       /* of the card's words */
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

/* x = the embeddings of count ids, of all cards. */
enum status portable_embed(const struct portable *portable, const struct card *card,
                           const struct device_model *model, cuda_pointer ids, uint32_t count,
                           struct error *err);

/* The card has made no token yet, draws its first one so, and goes on at a position. */
enum status portable_state_set(const struct portable *portable, const struct card *card,
                               uint32_t position, struct draw draw, struct error *err);
/* Chooses the id that is drawn by its logit, of all cards, for struct chosen's next, ids and state,
 * which has its own draw. */
enum status portable_choose(const struct portable *portable, const struct card *card,
                            const struct device_model *model, struct draw draw, cuda_pointer next,
                            cuda_pointer ids, cuda_pointer state, cuda_pointer logits,
                            struct error *err);

#endif
