#include "llama/llama.h"

#include <stdlib.h>
#include <string.h>

#include "llama/cuda/cards.h"
#include "llama/forward.h"
#include "llama/sample.h"
#include "llama/shard.h"
#include "model/quantisable.h"

struct llama {
    struct cards *cards; /* NULL on the CPU, which the next six are for */
    const struct kernels *kernels;
    struct pool *pool;
    struct weights weights;
    struct cache cache;
    struct forward forward;
    struct shard shard;
    uint64_t weight_bytes, token_bytes, position_bytes, embedding_bytes;
    uint32_t context, vocabulary;
    float *logits;                      /* [vocabulary], for llama_next */
    struct llama_candidate *candidates; /* [vocabulary], a sampler's */
    uint32_t position;
};

static enum status options_check(const struct model *model, const struct llama_options *options,
                                 struct error *err)
{
    const struct model_config *config = &model->config;
    if ((unsigned)options->precision >= KERNEL_TYPES)
        return error_set(err, STATUS_USAGE, "there is no precision %d", (int)options->precision);
    if (options->quantize && options->quantize != LLAMA_INT8 && options->quantize != LLAMA_NF4)
        return error_set(err, STATUS_USAGE, "there is no quantising to %d", (int)options->quantize);
    if (options->context == 0)
        return error_set(err, STATUS_USAGE, "a context of 0 positions holds no token");
    if (config->head_size == 0 || config->head_size % 2 != 0 || config->kv_heads == 0 ||
        config->heads % config->kv_heads != 0) {
        error_set(err, STATUS_UNSUPPORTED, "%u heads of size %u cannot share %u key heads",
                  config->heads, config->head_size, config->kv_heads);
        return error_where(err, "%s", model->path ? model->path : "model");
    }
    const char *const quantize[] = {[LLAMA_INT8] = "int8", [LLAMA_NF4] = "nf4"};
    uint32_t parts = options->ranks       ? options->ranks->count
                     : options->cards > 1 ? options->cards
                                          : 1;
    return model_check_form(model, quantize[options->quantize], parts, UINT32_MAX, err);
}

static enum status cpu_load(struct llama *llama, const struct model *model,
                            const struct llama_options *options, struct error *err)
{
    struct model_config config = shard_config(&model->config, options->ranks);
    enum status status = kernels_find(&llama->kernels, options->kernels, err);
    if (status != STATUS_OK)
        return status;
    status = pool_open(&llama->pool, options->threads, err);
    if (status != STATUS_OK)
        return status;
    status = weights_load(&llama->weights, model, options, llama->kernels, llama->pool, err);
    if (status != STATUS_OK)
        return status;
    status =
        cache_init(&llama->cache, &config, options->context, options->precision, llama->pool, err);
    if (status != STATUS_OK)
        return status;
    llama->weight_bytes = llama->weights.bytes;
    llama->token_bytes = llama->weights.token_bytes;
    llama->position_bytes = llama->cache.position_bytes;
    llama->embedding_bytes = llama->weights.embedding_bytes;
    llama->forward = (struct forward){.config = config,
                                      .kernels = llama->kernels,
                                      .pool = llama->pool,
                                      .weights = &llama->weights,
                                      .rounded = options->rounded,
                                      .q8_0 = options->q8_0,
                                      .cache = &llama->cache,
                                      .ranks = options->ranks};
    status = forward_init(&llama->forward, model, err);
    return status ? status : shard_init(&llama->shard, &llama->forward, options->ranks, err);
}

static enum status cuda_load(struct llama *llama, const struct model *model,
                             const struct llama_options *options, struct error *err)
{
    enum status status = cards_load(&llama->cards, model, options, err);
    if (status != STATUS_OK)
        return status;
    struct cuda_llama_facts facts = cards_facts(llama->cards);
    llama->weight_bytes = facts.weight_bytes;
    llama->token_bytes = facts.token_bytes;
    llama->position_bytes = facts.position_bytes;
    llama->embedding_bytes = facts.embedding_bytes;
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
    llama->context = options->context;
    llama->vocabulary = model->config.vocabulary;
    llama->logits = calloc(llama->vocabulary, sizeof *llama->logits);
    llama->candidates = calloc(llama->vocabulary, sizeof *llama->candidates);
    if (!llama->logits || !llama->candidates)
        status = error_no_memory(err, llama->vocabulary * sizeof *llama->logits);
    else if (options->device && strcmp(options->device, "cpu") != 0)
        status = cuda_load(llama, model, options, err);
    else
        status = cpu_load(llama, model, options, err);
    if (status != STATUS_OK) {
        llama_free(llama);
        return status;
    }
    *out = llama;
    return STATUS_OK;
}

void llama_free(struct llama *llama)
{
    if (!llama)
        return;
    shard_free(&llama->shard);
    cards_free(llama->cards);
    forward_free(&llama->forward);
    cache_free(&llama->cache);
    weights_free(&llama->weights);
    pool_close(llama->pool);
    free(llama->logits);
    free(llama->candidates);
    free(llama);
}

void llama_follow(struct llama *llama)
{
    shard_follow(&llama->shard);
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
    return llama->cards ? cards_facts(llama->cards).kernels : llama->kernels->name;
}

const char *llama_device(const struct llama *llama)
{
    return llama->cards ? cards_facts(llama->cards).device : NULL;
}

uint32_t llama_threads(const struct llama *llama)
{
    return llama->cards ? 1 : pool_threads(llama->pool);
}

uint64_t llama_bytes_per_token(const struct llama *llama, uint32_t position)
{
    return llama->token_bytes + llama->position_bytes * position;
}

uint64_t llama_weight_bytes(const struct llama *llama)
{
    return llama->weight_bytes;
}

uint64_t llama_cache_bytes(const struct llama *llama)
{
    return llama->position_bytes * llama->context;
}

uint64_t llama_embedding_bytes(const struct llama *llama)
{
    return llama->embedding_bytes;
}

enum status llama_device_used(struct llama *llama, uint64_t *bytes, struct error *err)
{
    *bytes = 0;
    return llama->cards ? cards_used(llama->cards, bytes, err) : STATUS_OK;
}

void llama_exchanged(const struct llama *llama, uint64_t *bytes, int64_t *ns)
{
    *bytes = 0;
    *ns = 0;
    if (llama->cards)
        cards_exchanged(llama->cards, bytes, ns);
}

void llama_profile(struct llama *llama, struct profile *profile)
{
    llama->forward.profile = profile;
}

static enum status ids_check(const struct llama *llama, const int32_t *ids, uint32_t count,
                             struct error *err)
{
    uint32_t context = llama->context, vocabulary = llama->vocabulary;
    if (count == 0)
        return error_set(err, STATUS_USAGE, "there is no token to compute");
    if (count > context - llama->position) {
        error_set(err, STATUS_USAGE, "the context is full: %u tokens after %u do not fit into %u",
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

static void cpu_forward(struct llama *llama, const int32_t *ids, uint32_t count, float *logits,
                        int all_logits)
{
    for (uint32_t done = 0; done < count;) {
        uint32_t block = count - done < BLOCK_TOKENS ? count - done : BLOCK_TOKENS;
        bool last = done + block == count;
        uint32_t rows = all_logits ? block : 1;
        float *to = !logits      ? NULL
                    : all_logits ? logits + (size_t)done * llama->vocabulary
                    : last       ? logits
                                 : NULL;
        if (llama->shard.ranks)
            shard_block(&llama->shard, ids + done, block, llama->position + done, to, rows);
        else
            forward_block(&llama->forward, ids + done, block, llama->position + done, to, rows);
        done += block;
    }
}

enum status llama_forward(struct llama *llama, const int32_t *ids, uint32_t count, float *logits,
                          int all_logits, struct error *err)
{
    enum status status = ids_check(llama, ids, count, err);
    if (status != STATUS_OK)
        return status;
    if (llama->cards) {
        status = cards_forward(llama->cards, ids, count, llama->position, logits, all_logits, err);
        profile_mark(llama->forward.profile, 0, OPERATION_DEVICE, -1);
    } else {
        cpu_forward(llama, ids, count, logits, all_logits);
    }
    if (status == STATUS_OK)
        llama->position += count;
    return status;
}

/* The ranks find the best word, so that logits need not be collected. */
static enum status shard_next(struct llama *llama, const int32_t *ids, uint32_t count,
                              int32_t *next, struct error *err)
{
    uint32_t last = (count - 1) % BLOCK_TOKENS + 1;
    enum status status = ids_check(llama, ids, count, err);
    if (status != STATUS_OK)
        return status;
    cpu_forward(llama, ids, count - last, NULL, 0);
    *next = shard_best(&llama->shard, ids + count - last, last, llama->position + count - last);
    llama->position += count;
    return STATUS_OK;
}

enum status llama_next(struct llama *llama, const int32_t *ids, uint32_t count, int32_t *next,
                       struct error *err)
{
    if (llama->shard.ranks)
        return shard_next(llama, ids, count, next, err);
    enum status status = llama_forward(llama, ids, count, llama->logits, 0, err);
    if (status != STATUS_OK)
        return status;
    const float *logits = llama->logits;
    uint32_t best = 0;
    for (uint32_t i = 1; i < llama->vocabulary; i++)
        best = logits[i] > logits[best] ? i : best;
    *next = (int32_t)best;
    return STATUS_OK;
}

/* Whether tokens - 1 ids fit behind count others. */
static enum status room_check(const struct llama *llama, uint32_t count, uint32_t tokens,
                              struct error *err)
{
    uint32_t left = llama->context - llama->position - count;
    if (tokens > 0 && tokens - 1 <= left)
        return STATUS_OK;
    error_set(err, STATUS_USAGE, "the context is full: there is room for %u tokens, not for %u",
              left + 1, tokens);
    return error_remedy(err, "Load the model with a larger context, or ask for fewer tokens.");
}

/* What a card did until a token was there is one operation: its loop runs on its own. */
struct marked {
    struct profile *profile;
    llama_on_token *on_token;
    void *context;
};

static int marked_token(void *context, int32_t id)
{
    const struct marked *marked = context;
    profile_mark(marked->profile, 0, OPERATION_DEVICE, -1);
    return marked->on_token(marked->context, id);
}

static enum status next_choose(struct llama *llama, struct llama_sampler *sampler,
                               const int32_t *ids, uint32_t count, int32_t *next, struct error *err)
{
    if (!sampler)
        return llama_next(llama, ids, count, next, err);
    enum status status = llama_forward(llama, ids, count, llama->logits, 0, err);
    if (status == STATUS_OK)
        *next = llama_sample(sampler, llama->logits, llama->vocabulary, llama->candidates);
    return status;
}

enum status llama_generate(struct llama *llama, struct llama_sampler *sampler, const int32_t *ids,
                           uint32_t count, uint32_t tokens, llama_on_token *on_token, void *context,
                           struct error *err)
{
    struct draw draw;
    enum status status = ids_check(llama, ids, count, err);
    if (status == STATUS_OK)
        status = room_check(llama, count, tokens, err);
    if (status != STATUS_OK)
        return status;
    if (llama_sampler_draws(sampler, &draw) && llama->cards) {
        uint32_t made;
        struct marked marked = {llama->forward.profile, on_token, context};
        status = cards_generate(llama->cards, draw, ids, count, llama->position, tokens,
                                marked_token, &marked, &made, err);
        llama->position += made ? count + made - 1 : 0;
        if (sampler)
            sampler->random = draw_after(draw, made).random;
        return status;
    }
    int32_t next;
    for (uint32_t i = 0; i < tokens; i++) {
        status = next_choose(llama, sampler, ids, count, &next, err);
        if (status != STATUS_OK || on_token(context, next))
            return status;
        ids = &next;
        count = 1;
    }
    return STATUS_OK;
}
