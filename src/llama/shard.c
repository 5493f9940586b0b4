#include "llama/shard.h"

#include <stdlib.h>
#include <string.h>

/* What rank 0 sends before each block. */
struct order {
    enum { ORDER_FILL, ORDER_LOGITS, ORDER_BEST, ORDER_END } what;
    uint32_t count, position, logit_rows;
    int32_t ids[BLOCK_TOKENS];
};

/* A rank's best word, by its number in the whole vocabulary. */
struct best {
    float logit;
    int32_t id;
};

struct model_config shard_config(const struct model_config *config, const struct ranks *ranks)
{
    struct model_config part = *config;
    if (!ranks)
        return part;
    part.heads /= ranks->count;
    part.kv_heads /= ranks->count;
    part.ffn_size /= ranks->count;
    part.vocabulary /= ranks->count;
    return part;
}

enum status shard_init(struct shard *shard, struct forward *forward, struct ranks *ranks,
                       struct error *err)
{
    *shard = (struct shard){.forward = forward, .ranks = ranks};
    if (!ranks)
        return STATUS_OK;
    size_t bytes = sizeof(float) * BLOCK_TOKENS * forward->config.vocabulary;
    shard->logits = malloc(bytes);
    shard->others = ranks->rank == 0 ? malloc(bytes) : NULL;
    if (!shard->logits || (ranks->rank == 0 && !shard->others))
        return error_no_memory(err, bytes);
    return STATUS_OK;
}

static void order_send(struct shard *shard, const struct order *order)
{
    for (uint32_t rank = 1; rank < shard->ranks->count; rank++)
        ranks_send(shard->ranks, rank, order, sizeof *order);
}

void shard_free(struct shard *shard)
{
    if (shard->others)
        order_send(shard, &(struct order){.what = ORDER_END});
    free(shard->logits);
    free(shard->others);
}

/* The part of an order that every rank does. */
static void compute(struct shard *shard, const struct order *order)
{
    forward_block(shard->forward, order->ids, order->count, order->position,
                  order->what == ORDER_FILL ? NULL : shard->logits, order->logit_rows);
}

static struct best best_find(const struct shard *shard)
{
    size_t words = shard->forward->config.vocabulary, best = 0;
    for (size_t i = 1; i < words; i++)
        best = shard->logits[i] > shard->logits[best] ? i : best;
    return (struct best){shard->logits[best], (int32_t)(shard->ranks->rank * words + best)};
}

/* Orders a block and computes this rank's part of it. */
static void lead(struct shard *shard, int what, const int32_t *ids, uint32_t count,
                 uint32_t position, uint32_t logit_rows)
{
    struct order order = {.count = count, .position = position, .logit_rows = logit_rows};
    order.what = what;
    memcpy(order.ids, ids, count * sizeof *ids);
    order_send(shard, &order);
    compute(shard, &order);
}

/* Puts a rank's columns where they belong among all. */
static void columns_put(const struct shard *shard, float *logits, const float *part, uint32_t rank,
                        uint32_t rows)
{
    size_t words = shard->forward->config.vocabulary, all = words * shard->ranks->count;
    for (size_t row = 0; row < rows; row++)
        memcpy(logits + row * all + rank * words, part + row * words, words * sizeof *part);
}

void shard_block(struct shard *shard, const int32_t *ids, uint32_t count, uint32_t position,
                 float *logits, uint32_t logit_rows)
{
    lead(shard, logits ? ORDER_LOGITS : ORDER_FILL, ids, count, position, logit_rows);
    if (!logits)
        return;
    columns_put(shard, logits, shard->logits, 0, logit_rows);
    for (uint32_t rank = 1; rank < shard->ranks->count; rank++) {
        ranks_receive(shard->ranks, rank, shard->others,
                      sizeof(float) * logit_rows * shard->forward->config.vocabulary);
        columns_put(shard, logits, shard->others, rank, logit_rows);
    }
    profile_mark(shard->forward->profile, 0, OPERATION_EXCHANGE, -1);
}

int32_t shard_best(struct shard *shard, const int32_t *ids, uint32_t count, uint32_t position)
{
    lead(shard, ORDER_BEST, ids, count, position, 1);
    struct best best = best_find(shard);
    for (uint32_t rank = 1; rank < shard->ranks->count; rank++) {
        struct best other;
        ranks_receive(shard->ranks, rank, &other, sizeof other);
        best = other.logit > best.logit ? other : best; /* ranks have their words in order */
    }
    profile_mark(shard->forward->profile, 0, OPERATION_EXCHANGE, -1);
    return best.id;
}

void shard_follow(struct shard *shard)
{
    struct order order;
    for (;;) {
        ranks_receive(shard->ranks, 0, &order, sizeof order);
        if (order.what == ORDER_END)
            return;
        compute(shard, &order);
        if (order.what == ORDER_LOGITS)
            ranks_send(shard->ranks, 0, shard->logits,
                       sizeof(float) * order.logit_rows * shard->forward->config.vocabulary);
        if (order.what == ORDER_BEST) {
            struct best best = best_find(shard);
            ranks_send(shard->ranks, 0, &best, sizeof best);
        }
    }
}
