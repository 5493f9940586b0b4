/* A forward pass by several ranks: rank 0 orders blocks and collects, the others follow. */
#ifndef PRONY_LLAMA_SHARD_H
#define PRONY_LLAMA_SHARD_H

#include <stdint.h>

#include "base/error.h"
#include "llama/forward.h"
#include "llama/ranks.h"

struct shard {
    struct forward *forward;
    struct ranks *ranks; /* NULL: the model is whole, and nothing of this is used */
    float *logits;       /* [BLOCK_TOKENS, this rank's words] */
    float *others;       /* the same of another rank; rank 0 alone has it */
};

/* The config of the rank's part: its heads, inner rows and words. */
struct model_config shard_config(const struct model_config *config, const struct ranks *ranks);

/* forward is one of that config. A zeroed struct may be freed. */
enum status shard_init(struct shard *shard, struct forward *forward, struct ranks *ranks,
                       struct error *err);
/* Rank 0 lets the others go. */
void shard_free(struct shard *shard);

/* Rank 0: as forward_block, with logits [logit_rows, vocabulary of the whole model]. */
void shard_block(struct shard *shard, const int32_t *ids, uint32_t count, uint32_t position,
                 float *logits, uint32_t logit_rows);
/* Rank 0: the same for the last id's best word alone, the lowest on ties. */
int32_t shard_best(struct shard *shard, const int32_t *ids, uint32_t count, uint32_t position);

/* The other ranks: does what rank 0 orders until it lets them go. */
void shard_follow(struct shard *shard);

#endif
