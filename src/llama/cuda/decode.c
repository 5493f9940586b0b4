#include "llama/cuda/decode.h"

#include <stdio.h>

/* Measured on an H100: docs/speed-log.md. */
enum { CHUNKS_ALONE = 2, FLIGHT = 2, EARLY = 4 };

FATBIN_DECLARE(decode);

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* What a matrix's shares are made of, rows, pairs or groups: how many there are. */
static uint32_t units_of(uint32_t rows, bool pairs, enum codes_kind kind)
{
    return rows_held(kind, rows) / rows_unit(kind, pairs);
}

/* The most rows that a block has of a matrix. */
static uint32_t rows_most(uint32_t rows, bool pairs, enum codes_kind kind, uint32_t blocks)
{
    return (units_of(rows, pairs, kind) + blocks - 1) / blocks * rows_unit(kind, pairs);
}

/* The most sums that one operation of a block has. */
static uint32_t sums_most(uint32_t rows, bool pairs, uint32_t columns, enum codes_kind kind,
                          const struct cuda_form *form, uint32_t blocks)
{
    struct tiling tiling = tiling_of(columns, form->element);
    return rows_most(rows, pairs, kind, blocks) *
           (kind == CODES_NONE ? tiling_sums(&tiling) : CODES_SUMS);
}

static uint32_t bytes_aligned(uint32_t floats)
{
    enum { ALIGN_BYTES = 128 };
    return (floats * (uint32_t)sizeof(float) + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

/* Of the shared memory what is not stages. */
static uint32_t rest_bytes(const struct decode_params *params, const struct cuda_form *form)
{
    return params->vector + params->partial + DECODE_MISC +
           (form->layers == CODES_NF4 ? CODES_TABLE : 0);
}

/* Whether the kernel knows the shape's rows, as the form holds them. */
static bool rows_fit(const struct cuda_shape *s, const struct cuda_form *form, uint32_t blocks)
{
    enum { SCALES = 2 * 32 * DECODE_WARPS }; /* that a block's threads have of an operation */
    uint32_t query = s->heads * s->head_size, pack = 16 / form->element;
    if (s->hidden % pack || s->ffn % pack || s->hidden > blocks * DECODE_OWN ||
        larger(larger(s->hidden, query), s->ffn) > DECODE_WIDEST)
        return false;
    if (form->ends == CODES_NONE && s->hidden * form->element > DECODE_STAGE)
        return false;
    if (form->layers == CODES_NONE)
        return true;
    return s->hidden % CODES_COLUMNS == 0 && s->ffn % CODES_COLUMNS == 0 &&
           rows_most(qkv_rows(s), false, form->layers, blocks) <= SCALES &&
           rows_most(2 * s->ffn, true, form->layers, blocks) <= SCALES;
}

/* Whether every block has rows of each layer's matrices, so that a vector's words say that all have
 * read what was before it. */
static bool all_write(const struct cuda_shape *s, enum codes_kind kind, uint32_t blocks)
{
    return units_of(qkv_rows(s), false, kind) >= blocks &&
           units_of(s->hidden, false, kind) >= blocks && units_of(2 * s->ffn, true, kind) >= blocks;
}

bool decode_fits(struct decode_params *params, const struct cuda_shape *s,
                 const struct cuda_form *form, uint32_t blocks, uint32_t shared_bytes)
{
    uint32_t query = s->heads * s->head_size, widest = larger(larger(s->hidden, query), s->ffn);
    if ((s->head_size != 64 && s->head_size != 128) ||
        s->kv_heads * group_passes(s, DECODE_GROUP) > blocks || !rows_fit(s, form, blocks))
        return false;
    bool coded = form->ends != CODES_NONE; /* logits are found some after the other */
    uint32_t logits =
        coded ? 0 : sums_most(s->vocabulary, false, s->hidden, CODES_NONE, form, blocks);
    uint32_t merge = DECODE_WARPS * DECODE_GROUP * (s->head_size + 2) +
                     (DECODE_GROUP + 2) * s->head_size; /* what warps find, behind what they read */
    uint32_t sums = sums_most(2 * s->ffn, true, s->hidden, form->layers, form, blocks);
    sums = larger(sums, sums_most(qkv_rows(s), false, s->hidden, form->layers, form, blocks));
    sums = larger(sums, sums_most(s->hidden, false, query, form->layers, form, blocks));
    sums = larger(sums, sums_most(s->hidden, false, s->ffn, form->layers, form, blocks));
    if (coded)
        sums = larger(sums, LOGITS_AT_ONCE * CODES_SUMS);
    params->vector = bytes_aligned(larger(larger(widest, logits), merge));
    params->partial = bytes_aligned(sums);
    uint32_t rest = rest_bytes(params, form);
    params->stages = rest > shared_bytes ? 0 : (shared_bytes - rest) / stage_bytes(form->layers);
    if (params->stages > DECODE_MAX_STAGES)
        params->stages = DECODE_MAX_STAGES;
    return params->stages >= DECODE_LEAST_STAGES;
}

/* Lays the vectors between operations out in one piece of memory. */
static enum status vectors_place(struct decode *d, struct card *card, struct error *err)
{
    struct decode_params *p = &d->params;
    const struct cuda_shape *s = &p->shape;
    uint64_t total = 0;
    uint64_t query = (uint64_t)s->heads * s->head_size, offset[7];
    const uint64_t bytes[7] = {
        COUNTERS * COUNTER_STEP * sizeof(uint32_t),
        qkv_rows(s) * sizeof(float),
        query * sizeof(float),
        s->hidden * sizeof(float),
        s->ffn * sizeof(float),
        (uint64_t)d->blocks * DECODE_GROUP * (s->head_size + 2) * sizeof(uint64_t),
        (d->blocks + 1) * sizeof(uint64_t) + sizeof(int32_t),
    };
    for (size_t i = 0; i < 7; i++) {
        offset[i] = total;
        total += (bytes[i] + 255) / 256 * 256;
    }
    d->cleared_bytes = offset[6];
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
        !decode_fits(&d->params, &model->shape, &model->form, d->blocks,
                     (uint32_t)card->device.shared_bytes))
        return STATUS_OK;
    struct decode_params *p = &d->params;
    d->shared_bytes = p->stages * stage_bytes(model->form.layers) + rest_bytes(p, &model->form);
    p->nf4 = nf4_values();
    p->shape = model->shape;
    p->weights = model->weights;
    p->frequency = (const float *)(uintptr_t)model->frequency;
    p->keys = (void *)(uintptr_t)model->keys;
    p->values = (void *)(uintptr_t)model->values;
    p->chunks_alone = CHUNKS_ALONE;
    p->flight = FLIGHT;
    p->early = all_write(&p->shape, model->form.layers, d->blocks) ? d->blocks / EARLY : 0;
    snprintf(name, sizeof name, "decode_%s_%u",
             model->form.layers == CODES_INT8  ? "int8"
             : model->form.layers == CODES_NF4 ? "nf4"
             : model->precision == LLAMA_F32   ? "f32"
             : model->precision == LLAMA_F16   ? "f16"
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
                &fitting, kernel, 32 * DECODE_ALL_WARPS, d->shared_bytes);
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

enum status decode_start(const struct decode *d, const struct card *card, struct draw draw,
                         uint32_t position, uint32_t tokens, cuda_pointer first, cuda_pointer ids,
                         cuda_pointer stop, cuda_pointer logits, struct error *err)
{
    struct decode_params params = d->params;
    void *arguments[] = {&params};
    params.draw = draw;
    params.position = position;
    params.tokens = tokens;
    params.first = (const int32_t *)(uintptr_t)first;
    params.ids = (volatile int32_t *)(uintptr_t)ids;
    params.stop = (const volatile uint32_t *)(uintptr_t)stop;
    params.logits = (float *)(uintptr_t)logits;
    cuda_result result = card->cuda.MemsetD8Async((cuda_pointer)(uintptr_t)params.counters, 0,
                                                  d->cleared_bytes, card->stream);
    if (!result)
        result =
            card->cuda.LaunchCooperativeKernel(d->kernel, d->blocks, 1, 1, 32 * DECODE_ALL_WARPS, 1,
                                               1, d->shared_bytes, card->stream, arguments);
    return cuda_check(&card->cuda, result, err, "start decoding on %s", card->device.name);
}
