/* The keys and values of the positions computed so far.
 *
 * Float32 for LLAMA_F32, else F16: half the bytes to read, and more digits than BF16 has. One head
 * of one layer is one block [context, head_size], so that attention reads it front to back. */
#ifndef PRONY_LLAMA_CACHE_H
#define PRONY_LLAMA_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pages.h"
#include "llama/cpu/kernels.h"
#include "llama/threads.h"
#include "model/config.h"

struct cache {
    enum llama_precision precision;
    size_t context, kv_heads, head_size;
    uint64_t position_bytes; /* of one position in all layers */
    struct pages pages;
    unsigned char *keys, *values;
};

/* Every page is present afterwards, near the thread that attention gives it to. A zeroed cache may
 * be freed. */
enum status cache_init(struct cache *cache, const struct model_config *config, uint32_t context,
                       enum llama_precision weights, struct pool *pool, struct error *err);
void cache_free(struct cache *cache);

/* Where a position of a head starts: head_size elements, its successors behind it. */
void *cache_key(const struct cache *cache, size_t layer, size_t head, size_t position);
void *cache_value(const struct cache *cache, size_t layer, size_t head, size_t position);

#endif
