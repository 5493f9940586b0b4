#include "llama/cache.h"

enum status cache_init(struct cache *cache, const struct model_config *config, uint32_t context,
                       enum llama_precision weights, struct error *err)
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
    pages_populate(cache->pages.data, 2 * half, 1);
    cache->keys = cache->pages.data;
    cache->values = cache->keys + half;
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
