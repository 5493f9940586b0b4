/* Grouped-query attention of a block of tokens over the cache, causal. */
#ifndef PRONY_LLAMA_ATTENTION_H
#define PRONY_LLAMA_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

#include "llama/forward.h"

/* Rotates scratch q and k by their positions, and stores this thread's heads of k and v in the
 * cache, from position on. */
void attention_rotate(struct forward *forward, uint32_t thread, size_t layer, size_t count,
                      size_t position);

/* scratch mixed = softmax(q k / sqrt(head_size)) v for this thread's query heads; each token sees
 * the positions up to its own. */
void attention_mix(struct forward *forward, uint32_t thread, size_t layer, size_t count,
                   size_t position);

#endif
