/* What a card exchanges with the others that hold the rest of a model, by NCCL, on its stream. */
#ifndef PRONY_LLAMA_CUDA_EXCHANGE_H
#define PRONY_LLAMA_CUDA_EXCHANGE_H

#include "gpu/nccl.h"
#include "llama/cuda/card.h"

struct exchange {
    const struct nccl *nccl;
    struct nccl_comm *comm;
    uint32_t rank, count; /* which of the cards, and how many they are */
    uint64_t bytes;       /* of the values that were to be exchanged so far */
};

/* Every element of data [count] float32 becomes the sum of all cards'. exchange NULL: the model is
 * whole, and nothing happens. */
enum status exchange_sum(struct exchange *exchange, const struct card *card, cuda_pointer data,
                         size_t count, struct error *err);
/* The same of one uint64, and the largest. */
enum status exchange_largest(struct exchange *exchange, const struct card *card, cuda_pointer data,
                             struct error *err);

/* What is exchanged for a token: so many sums of data [count] float32, and one largest. */
struct exchange_token {
    uint32_t sums;
    cuda_pointer data, largest;
    size_t count;
};
/* Nanoseconds that this takes by itself, as a graph with nothing in between, the least of several
 * batches; on all cards at once, which have nothing else to do. What is in data and largest is
 * lost, and bytes does not count it. */
enum status exchange_time(struct exchange *exchange, const struct card *card,
                          const struct exchange_token *token, int64_t *ns, struct error *err);

#endif
