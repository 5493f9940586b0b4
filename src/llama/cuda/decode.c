#include "llama/cuda/decode.h"

#include <stdio.h>

enum { CHUNKS_PER_WARP = 2 };

FATBIN_DECLARE(decode);

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* The most sums that one operation of a block has, but for the logits. */
static uint32_t partials(uint32_t rows, uint32_t unit, uint32_t columns, size_t element,
                         uint32_t blocks)
{
    uint32_t most = 0, pieces = segments_of(columns, (uint32_t)element, 1, 0).pieces;
    for (uint32_t b = 0; b < blocks; b++) {
        struct range share = rows_share(rows, unit, b, blocks);
        most = larger(most, (share.end - share.begin) * pieces);
    }
    return most;
}

bool decode_fits(struct decode_params *params, const struct cuda_shape *s, size_t element,
                 uint32_t blocks, uint32_t shared_bytes)
{
    uint32_t query = s->heads * s->head_size, widest = larger(larger(s->hidden, query), s->ffn);
    uint32_t passes = group_passes(s), vector = widest, pack = 16 / (uint32_t)element;
    uint32_t heads = s->heads / s->kv_heads;
    if ((s->head_size != 64 && s->head_size != 128) || s->hidden % pack || s->ffn % pack ||
        widest * element > (uint64_t)DECODE_WARPS * DECODE_SLOT || s->kv_heads * passes > blocks ||
        heads == 0 || qkv_rows(s) < blocks)
        return false;
    uint32_t logits = partials(s->vocabulary, 1, s->hidden, element, blocks);
    uint32_t merge = DECODE_WARPS * DECODE_GROUP * (s->head_size + 2);
    uint32_t own = partials(s->hidden, 1, 1, element, blocks);
    uint32_t sums = partials(2 * s->ffn, 2, s->hidden, element, blocks);
    sums = larger(sums, partials(qkv_rows(s), 1, s->hidden, element, blocks));
    sums = larger(sums, partials(s->hidden, 1, query, element, blocks));
    sums = larger(sums, partials(s->hidden, 1, s->ffn, element, blocks));
    vector = larger(larger(vector, logits), merge);
    params->vector = (vector * (uint32_t)sizeof(float) + 127) / 128 * 128;
    params->partial = (sums * (uint32_t)sizeof(float) + 15) / 16 * 16;
    uint32_t rest = params->vector + params->partial + DECODE_MISC;
    params->slots = rest > shared_bytes ? 0 : (shared_bytes - rest) / (DECODE_WARPS * DECODE_SLOT);
    params->slots = params->slots < DECODE_MAX_SLOTS ? params->slots : DECODE_MAX_SLOTS;
    return params->slots >= 2 && own <= DECODE_OWN;
}

/* Lays the vectors between operations out in one piece of memory. */
static enum status vectors_place(struct decode *d, struct card *card, struct error *err)
{
    struct decode_params *p = &d->params;
    const struct cuda_shape *s = &p->shape;
    uint64_t virtual_heads = (uint64_t)s->kv_heads * group_passes(s), total = 0;
    uint64_t query = (uint64_t)s->heads * s->head_size, offset[7];
    const uint64_t bytes[7] = {
        counter_count(s) * sizeof(uint32_t),
        qkv_rows(s) * sizeof(float),
        query * sizeof(float),
        s->hidden * sizeof(float),
        s->ffn * sizeof(float),
        (d->blocks / virtual_heads) * virtual_heads * DECODE_GROUP * (s->head_size + 2) *
            sizeof(float),
        (d->blocks + 1) * sizeof(uint64_t) + sizeof(int32_t),
    };
    d->counter_bytes = bytes[0];
    for (size_t i = 0; i < 7; i++) {
        offset[i] = total;
        total += (bytes[i] + 255) / 256 * 256;
    }
    enum status status = cuda_memory_get(&card->cuda, total, &d->memory, err);
    if (status != STATUS_OK)
        return status;
    char *base = (char *)(uintptr_t)d->memory;
    p->counters = (void *)(base + offset[0]);
    p->qkv = (void *)(base + offset[1]);
    p->mixed = (void *)(base + offset[2]);
    p->x = (void *)(base + offset[3]);
    p->ffn = (void *)(base + offset[4]);
    p->split = (void *)(base + offset[5]);
    p->best = (void *)(base + offset[6]);
    p->last = (int32_t *)(p->best + d->blocks + 1);
    return cuda_check(&card->cuda, card->cuda.MemsetD8(d->memory, 0, total), err,
                      "clear memory on %s", card->device.name);
}

enum status decode_open(struct decode *d, struct card *card, const struct device_model *model,
                        struct error *err)
{
    struct cuda_module *module;
    struct fatbin fatbin = FATBIN(decode);
    char name[32];
    int fitting = 0;
    *d = (struct decode){.blocks = (uint32_t)card->device.multiprocessors};
    if (card->device.compute_major != 9 || card->device.compute_minor != 0 ||
        !decode_fits(&d->params, &model->shape, model->element, d->blocks,
                     (uint32_t)card->device.shared_bytes))
        return STATUS_OK;
    struct decode_params *p = &d->params;
    d->shared_bytes = p->slots * DECODE_WARPS * DECODE_SLOT + p->vector + DECODE_MISC + p->partial;
    p->shape = model->shape;
    p->weights = model->weights;
    p->frequency = (const float *)(uintptr_t)model->frequency;
    p->keys = (void *)(uintptr_t)model->keys;
    p->values = (void *)(uintptr_t)model->values;
    p->chunks_per_warp = CHUNKS_PER_WARP;
    snprintf(name, sizeof name, "decode_%s_%u",
             model->precision == LLAMA_F32   ? "f32"
             : model->precision == LLAMA_F16 ? "f16"
                                             : "bf16",
             model->shape.head_size);
    struct cuda_function *kernel = NULL;
    enum status status = card_load(card, &fatbin, &module, err);
    if (status == STATUS_OK)
        status = card_kernel(card, module, name, -1, &kernel, err);
    if (status == STATUS_OK) {
        cuda_result result = card->cuda.FuncSetAttribute(
            kernel, CUDA_FUNCTION_MAX_DYNAMIC_SHARED_BYTES, (int)d->shared_bytes);
        if (!result)
            result = card->cuda.OccupancyMaxActiveBlocksPerMultiprocessor(
                &fitting, kernel, 32 * DECODE_WARPS, d->shared_bytes);
        status = cuda_check(&card->cuda, result, err, "prepare the kernel %s", name);
    }
    if (status != STATUS_OK || fitting == 0) /* a share of a card (MIG, MPS) may have less */
        return status;
    status = vectors_place(d, card, err);
    if (status == STATUS_OK)
        d->kernel = kernel;
    return status;
}

void decode_close(struct decode *d, struct card *card)
{
    if (d->memory)
        card->cuda.MemFree(d->memory);
    *d = (struct decode){0};
}

enum status decode_start(const struct decode *d, const struct card *card, uint32_t position,
                         uint32_t tokens, cuda_pointer first, cuda_pointer ids, cuda_pointer stop,
                         cuda_pointer logits, struct error *err)
{
    struct decode_params params = d->params;
    void *arguments[] = {&params};
    params.position = position;
    params.tokens = tokens;
    params.first = (const int32_t *)(uintptr_t)first;
    params.ids = (volatile int32_t *)(uintptr_t)ids;
    params.stop = (const volatile uint32_t *)(uintptr_t)stop;
    params.logits = (float *)(uintptr_t)logits;
    cuda_result result = card->cuda.MemsetD8Async((cuda_pointer)(uintptr_t)params.counters, 0,
                                                  d->counter_bytes, card->stream);
    if (!result)
        result = card->cuda.LaunchCooperativeKernel(d->kernel, d->blocks, 1, 1, 32 * DECODE_WARPS,
                                                    1, 1, d->shared_bytes, card->stream, arguments);
    return cuda_check(&card->cuda, result, err, "start decoding on %s", card->device.name);
}
