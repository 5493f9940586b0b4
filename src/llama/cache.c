#include "llama/cache.h"

struct presence {
    const struct cache *cache;
    struct pool *pool;
    size_t layers;
};

/* The heads that this thread will write and read. */
static void make_present(void *context, uint32_t thread)
{
    const struct presence *presence = context;
    const struct cache *cache = presence->cache;
    struct share heads = pool_share(presence->pool, thread, cache->kv_heads, 1);
    size_t bytes = (heads.end - heads.begin) * cache->context * cache->head_size *
                   llama_precision_bytes(cache->precision);
    for (size_t layer = 0; layer < presence->layers; layer++) {
        pages_populate(cache_key(cache, layer, heads.begin, 0), bytes, 1);
        pages_populate(cache_value(cache, layer, heads.begin, 0), bytes, 1);
    }
}

enum status cache_init(struct cache *cache, const struct model_config *config, uint32_t context,
                       enum llama_precision weights, struct pool *pool, struct error *err)
{
    *cache = (struct cache){.precision = weights == LLAMA_F32 ? LLAMA_F32 : LLAMA_F16,
                            .context = context,
                            .kv_heads = config->kv_heads,
                            .head_size = config->head_size};
    uint64_t half;
    uint64_t row = (uint64_t)config->kv_heads * config->head_size;
    if (__builtin_mul_overflow(row * llama_precision_bytes(cache->precision), config->layers,
                               &half) ||
        __builtin_mul_overflow(half, 2, &cache->position_bytes) ||
        __builtin_mul_overflow(half, context, &half) || half > SIZE_MAX / 4 ||
        2 * half > memory_available_bytes()) {
        error_set(err, STATUS_NO_MEMORY, "no memory for the keys and values of %u positions",
                  context);
        return error_remedy(err, "Ask for a smaller context.");
    }
    enum status status = pages_map(&cache->pages, 2 * half, err);
    if (status != STATUS_OK)
        return status;
    cache->keys = cache->pages.data;
    cache->values = cache->keys + half;
    pool_run(pool, make_present, &(struct presence){cache, pool, config->layers});
    return STATUS_OK;
}

void cache_free(struct cache *cache)
{
    pages_free(&cache->pages);
    *cache = (struct cache){0};
}

static size_t offset(const struct cache *cache, size_t layer, size_t head, size_t position)
{
    size_t row = (layer * cache->kv_heads + head) * cache->context + position;
    return row * cache->head_size * llama_precision_bytes(cache->precision);
}

void *cache_key(const struct cache *cache, size_t layer, size_t head, size_t position)
{
    return cache->keys + offset(cache, layer, head, position);
}

void *cache_value(const struct cache *cache, size_t layer, size_t head, size_t position)
{
    return cache->values + offset(cache, layer, head, position);
}
