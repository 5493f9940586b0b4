/* The step from a token to the next one by one kernel after the other (step.cu), recorded as a CUDA
 * graph when it has been done once: what a card is asked to do for a token is then one thing. */
#ifndef PRONY_LLAMA_CUDA_STEP_H
#define PRONY_LLAMA_CUDA_STEP_H

#include "llama/cuda/portable.h"

struct step {
    bool fits; /* there are such kernels for the shape */
    struct cuda_function *norm, *product_few, *product_many, *gated, *attend;
    struct codes_vector_kernels vector;
    uint32_t splits;    /* of a head's positions, at most */
    uint32_t few;       /* rows that a warp each is better for */
    cuda_pointer parts; /* [heads, splits, head_size + 2] float32 */
    cuda_pointer ended; /* [heads]: parts that are there */
    cuda_pointer memory;
    struct cuda_graph_run *recorded; /* NULL: not yet */
    bool warm;                       /* it has been done once */
    uint64_t exchanged;              /* bytes, by what is recorded */
};

/* Leaves fits false where there are no such kernels. */
enum status step_open(struct step *step, struct card *card, const struct device_model *model,
                      struct error *err);
void step_close(struct step *step, struct card *card);

/* Starts a step: from *next, at the position of portable's state, to logits and to *next and the
 * state's place in ids (0: none). All of these are the same in every call. */
enum status step_start(struct step *step, const struct portable *portable, const struct card *card,
                       const struct device_model *model, cuda_pointer next, cuda_pointer ids,
                       cuda_pointer logits, struct error *err);

#endif
