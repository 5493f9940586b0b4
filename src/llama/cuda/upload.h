/* A model's weights in a card's memory, in the order that llama/cuda/layout.h gives. */
#ifndef PRONY_LLAMA_CUDA_UPLOAD_H
#define PRONY_LLAMA_CUDA_UPLOAD_H

#include "llama/cuda/card.h"
#include "llama/cuda/layout.h"
#include "model/model.h"

struct device_weights {
    struct cuda_weights at;
    uint64_t bytes;           /* of all of them */
    uint64_t token_bytes;     /* that computing one token reads */
    uint64_t embedding_bytes; /* of an embedding that is not the output as well; else 0 */
    cuda_pointer memory;
};

/* Threads (0: one for each core) copy, convert or quantise rows into pinned buffers, from where the
 * card fetches them while the next are made. */
enum status weights_upload(struct device_weights *weights, struct card *card,
                           const struct model *model, const struct llama_options *options,
                           struct error *err);
void weights_release(struct device_weights *weights, struct card *card);

#endif
