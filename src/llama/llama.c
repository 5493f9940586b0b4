#include "llama/llama.h"

#include <stdlib.h>

#include "llama/forward.h"

struct llama {
    const struct kernels *kernels;
    struct pool *pool;
    struct weights weights;
    struct cache cache;
    struct forward forward;
    float *logits; /* [vocabulary], for llama_next */
    uint32_t position;
};

static enum status options_check(const struct model *model, const struct llama_options *options,
                                 struct error *err)
{
    const struct model_config *config = &model->config;
    if ((unsigned)options->precision >= KERNEL_TYPES)
        return error_set(err, STATUS_USAGE, "there is no precision %d", (int)options->precision);
    if (options->context == 0)
        return error_set(err, STATUS_USAGE, "a context of 0 positions holds no token");
    if (config->head_size == 0 || config->head_size % 2 != 0 || config->kv_heads == 0 ||
        config->heads % config->kv_heads != 0) {
        error_set(err, STATUS_UNSUPPORTED, "%u heads of size %u cannot share %u key heads",
                  config->heads, config->head_size, config->kv_heads);
        return error_where(err, "%s", model->path ? model->path : "model");
    }
    return STATUS_OK;
}

enum status llama_load(struct llama **out, const struct model *model,
                       const struct llama_options *options, struct error *err)
{
    *out = NULL;
    enum status status = options_check(model, options, err);
    if (status != STATUS_OK)
        return status;
    struct llama *llama = calloc(1, sizeof *llama);
    if (!llama)
        return error_no_memory(err, sizeof *llama);
    status = kernels_find(&llama->kernels, options->kernels, err);
    if (status != STATUS_OK)
        goto cleanup;
    status = pool_open(&llama->pool, options->threads, err);
    if (status != STATUS_OK)
        goto cleanup;
    status =
        weights_load(&llama->weights, model, options->precision, llama->kernels, llama->pool, err);
    if (status != STATUS_OK)
        goto cleanup;
    status = cache_init(&llama->cache, &model->config, options->context, options->precision, err);
    if (status != STATUS_OK)
        goto cleanup;
    llama->forward = (struct forward){.kernels = llama->kernels,
                                      .pool = llama->pool,
                                      .weights = &llama->weights,
                                      .cache = &llama->cache};
    status = forward_init(&llama->forward, model, err);
    if (status != STATUS_OK)
        goto cleanup;
    llama->logits = calloc(model->config.vocabulary, sizeof *llama->logits);
    if (!llama->logits) {
        status = error_no_memory(err, model->config.vocabulary * sizeof *llama->logits);
        goto cleanup;
    }
    *out = llama;
    return STATUS_OK;

cleanup:
    llama_free(llama);
    return status;
}

void llama_free(struct llama *llama)
{
    if (!llama)
        return;
    forward_free(&llama->forward);
    cache_free(&llama->cache);
    weights_free(&llama->weights);
    pool_close(llama->pool);
    free(llama->logits);
    free(llama);
}

void llama_reset(struct llama *llama)
{
    llama->position = 0;
}

uint32_t llama_position(const struct llama *llama)
{
    return llama->position;
}

const char *llama_kernels(const struct llama *llama)
{
    return llama->kernels->name;
}

uint32_t llama_threads(const struct llama *llama)
{
    return pool_threads(llama->pool);
}

uint64_t llama_bytes_per_token(const struct llama *llama, uint32_t position)
{
    return llama->weights.token_bytes + llama->cache.position_bytes * position;
}

uint64_t llama_weight_bytes(const struct llama *llama)
{
    return llama->weights.bytes;
}

uint64_t llama_cache_bytes(const struct llama *llama)
{
    return llama->cache.position_bytes * llama->cache.context;
}

static enum status ids_check(const struct llama *llama, const int32_t *ids, uint32_t count,
                             struct error *err)
{
    size_t context = llama->cache.context;
    uint32_t vocabulary = llama->forward.config.vocabulary;
    if (count == 0)
        return error_set(err, STATUS_USAGE, "there is no token to compute");
    if (count > context - llama->position) {
        error_set(err, STATUS_USAGE, "the context is full: %u tokens after %u do not fit into %zu",
                  count, llama->position, context);
        return error_remedy(err, "Load the model with a larger context, or send fewer tokens.");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (ids[i] < 0 || (uint32_t)ids[i] >= vocabulary) {
            error_set(err, STATUS_USAGE, "token id %d is outside the vocabulary of %u", ids[i],
                      vocabulary);
            return error_where(err, "id %u of %u", i + 1, count);
        }
    }
    return STATUS_OK;
}

enum status llama_forward(struct llama *llama, const int32_t *ids, uint32_t count, float *logits,
                          int all_logits, struct error *err)
{
    enum status status = ids_check(llama, ids, count, err);
    if (status != STATUS_OK)
        return status;
    for (uint32_t done = 0; done < count;) {
        uint32_t block = count - done < BLOCK_TOKENS ? count - done : BLOCK_TOKENS;
        bool last = done + block == count;
        uint32_t rows = all_logits ? block : 1;
        float *to = !logits      ? NULL
                    : all_logits ? logits + (size_t)done * llama->forward.config.vocabulary
                    : last       ? logits
                                 : NULL;
        forward_block(&llama->forward, ids + done, block, llama->position, to, rows);
        llama->position += block;
        done += block;
    }
    return STATUS_OK;
}

enum status llama_next(struct llama *llama, const int32_t *ids, uint32_t count, int32_t *next,
                       struct error *err)
{
    enum status status = llama_forward(llama, ids, count, llama->logits, 0, err);
    if (status != STATUS_OK)
        return status;
    const float *logits = llama->logits;
    uint32_t best = 0;
    for (uint32_t i = 1; i < llama->forward.config.vocabulary; i++)
        best = logits[i] > logits[best] ? i : best;
    *next = (int32_t)best;
    return STATUS_OK;
}
