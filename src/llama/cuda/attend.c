#include "llama/cuda/attend.h"

#include <stdio.h>

/* As prefill.cu has them. */
enum { PLAIN_QUERIES = 64, PLAIN_THREADS = 128 };

FATBIN_DECLARE(attend);

static uint32_t plain_shared(const struct cuda_shape *s)
{
    return 5 * PLAIN_QUERIES * s->head_size * 2;
}
static uint32_t wide_shared(const struct cuda_shape *s)
{
    return (uint32_t)ATTEND_SHARED(s->head_size);
}

enum status attention_open(struct attention *a, struct card *card, struct cuda_module *plain,
                           const struct device_model *model, cuda_pointer query,
                           uint32_t most_tokens, struct error *err)
{
    const struct fatbin fatbin = FATBIN(attend);
    const struct cuda_shape *s = &model->shape;
    struct cuda_module *module = plain;
    enum status status = STATUS_OK;
    char name[24];
    *a = (struct attention){.query_at = query, .wide = card_is_hopper(card)};
    if (a->wide) {
        const uint64_t sizes[] = {s->head_size, s->heads, most_tokens};
        const uint64_t strides[] = {2 * (uint64_t)s->head_size,
                                    2 * (uint64_t)s->head_size * s->heads};
        const uint32_t box[] = {64, 1, 64};
        status = tensor_map_make(&a->query, card, query, sizes, strides, box, err);
        if (status == STATUS_OK)
            status = card_load(card, &fatbin, &module, err);
    }
    if (status != STATUS_OK)
        return status;
    snprintf(name, sizeof name, "attend%s_%u", a->wide ? "_wide" : "", s->head_size);
    status = card_kernel(card, module, name, (int)model->precision, &a->kernel, err);
    if (status != STATUS_OK)
        return status;
    uint32_t shared = a->wide ? wide_shared(s) : plain_shared(s);
    return cuda_check(
        &card->cuda,
        card->cuda.FuncSetAttribute(a->kernel, CUDA_FUNCTION_MAX_DYNAMIC_SHARED_BYTES, (int)shared),
        err, "prepare the kernel %s", name);
}

/* Keys or values up to the last position that is used, of all layers. */
static enum status cache_map(struct tensor_map *map, const struct card *card,
                             const struct cuda_shape *s, cuda_pointer at, uint32_t positions,
                             struct error *err)
{
    uint64_t row = 2 * (uint64_t)s->head_size;
    const uint64_t sizes[] = {s->head_size, positions, (uint64_t)s->layers * s->kv_heads};
    const uint64_t strides[] = {row, row * s->context};
    const uint32_t box[] = {64, 64, 1};
    return tensor_map_make(map, card, at, sizes, strides, box, err);
}

static enum status wide_start(const struct attention *a, const struct card *card,
                              const struct device_model *model, uint32_t layer, uint32_t first,
                              uint32_t count, uint32_t position, cuda_pointer mixed,
                              struct error *err)
{
    const struct cuda_shape *s = &model->shape;
    uint32_t each = (uint32_t)ATTEND_TOKENS(s->head_size);
    const uint32_t grid[3] = {s->heads, (count + each - 1) / each, 1};
    struct attend_arguments values = {
        .query = a->query,
        .mixed = (void *)(uintptr_t)mixed,
        .first = first,
        .tokens = count,
        .position = position,
        .heads = s->heads,
        .group = s->heads / s->kv_heads,
        .kv_heads = s->kv_heads,
        .layer = layer,
    };
    void *arguments[] = {&values};
    enum status status = cache_map(&values.keys, card, s, model->keys, position + count, err);
    if (status == STATUS_OK)
        status = cache_map(&values.values, card, s, model->values, position + count, err);
    if (status != STATUS_OK)
        return status;
    return card_launch_early(card, a->kernel, grid, (uint32_t)ATTEND_THREADS(s->head_size),
                             wide_shared(s), arguments, err);
}

enum status attention_start(const struct attention *a, const struct card *card,
                            const struct device_model *model, uint32_t layer, uint32_t first,
                            uint32_t count, uint32_t position, cuda_pointer mixed,
                            struct error *err)
{
    struct cuda_shape s = model->shape;
    if (a->wide)
        return wide_start(a, card, model, layer, first, count, position, mixed, err);
    uint64_t at = (uint64_t)layer * s.kv_heads * s.context * s.head_size * model->cache_element;
    cuda_pointer query = a->query_at + 2 * (uint64_t)first * s.heads * s.head_size;
    cuda_pointer keys = model->keys + at, values = model->values + at;
    void *arguments[] = {&mixed, &query, &keys, &values, &s, &count, &position};
    const uint32_t grid[3] = {(count + PLAIN_QUERIES - 1) / PLAIN_QUERIES, s.heads, 1};
    return card_launch_early(card, a->kernel, grid, PLAIN_THREADS, plain_shared(&s), arguments,
                             err);
}
