#include "fit/need.h"

#include <stdbool.h>
#include <string.h>

/* DESIGN's nf4: blocks of 64 values, 4 bits each, and an absmax; int8: a scale for a row. Q8_0:
 * blocks of 32 bytes, and a float16. */
enum { Q8_0_BLOCK = 32, Q8_0_BYTES = 34 };
enum { NF4_BLOCK = 64, ABSMAX_BYTES = 4, SCALE_BYTES = 4, FLOAT_BYTES = 4 };

static uint64_t held_bytes(enum engine_held held)
{
    return held == ENGINE_HELD_F32 ? 4 : 2;
}

enum packing { PACKED_PLAIN, PACKED_INT8, PACKED_NF4, PACKED_Q8_0 };

struct form {
    enum packing linear, embedding;
    uint64_t element; /* bytes, where it is not packed */
};

static struct form form_of(const struct need_request *request)
{
    struct form form = {.element = held_bytes(request->memory->weights)};
    const char *quantize = request->quantize ? request->quantize : "";
    if (strcmp(quantize, "float16") == 0)
        form.element = 2;
    else if (strcmp(quantize, "int8") == 0)
        form.linear = form.embedding = PACKED_INT8;
    else if (strcmp(quantize, "q8_0") == 0)
        form.linear = form.embedding = PACKED_Q8_0;
    else if (strcmp(quantize, "nf4") == 0)
        form.linear = PACKED_NF4;
    return form;
}

static uint64_t matrix_bytes(enum packing packing, uint64_t element, uint64_t rows,
                             uint64_t columns)
{
    switch (packing) {
    case PACKED_INT8:
        return rows * (columns + SCALE_BYTES);
    case PACKED_NF4:
        return rows * (columns / 2 + (columns + NF4_BLOCK - 1) / NF4_BLOCK * ABSMAX_BYTES);
    case PACKED_Q8_0:
        return rows * ((columns + Q8_0_BLOCK - 1) / Q8_0_BLOCK * Q8_0_BYTES);
    case PACKED_PLAIN:
        break;
    }
    return rows * columns * element;
}

static uint64_t split(uint64_t count, uint32_t shard)
{
    return (count + shard - 1) / shard;
}

/* Of each matrix a device has some of the rows; of attention's output and down some of the columns,
 * and then all of int8's scales. Norms, float32, are on each. */
static uint64_t weights_bytes(const struct need_request *request)
{
    const struct model_config *c = request->config;
    struct form form = form_of(request);
    uint32_t shard = request->shard;
    uint64_t hidden = c->hidden_size, query = split((uint64_t)c->heads * c->head_size, shard);
    uint64_t key = split((uint64_t)c->kv_heads * c->head_size, shard);
    uint64_t ffn = split(c->ffn_size, shard);
    const uint64_t shapes[][2] = {{query, hidden}, {key, hidden}, {key, hidden}, {hidden, query},
                                  {ffn, hidden},   {ffn, hidden}, {hidden, ffn}};
    if (request->memory->weights == ENGINE_HELD_STORED && !request->quantize)
        return split(request->stored_bytes, shard);
    uint64_t layer = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        layer += matrix_bytes(form.linear, form.element, shapes[i][0], shapes[i][1]);
    uint64_t ends = matrix_bytes(form.embedding, form.element, split(c->vocabulary, shard), hidden);
    uint64_t norms = (2 * (uint64_t)c->layers + 1) * hidden * FLOAT_BYTES;
    return c->layers * layer + ends * (c->tied ? 1 : 2) + norms;
}

/* Keys and values of a position, in every layer. */
static uint64_t cache_bytes(const struct need_request *request)
{
    const struct model_config *c = request->config;
    uint64_t row = (uint64_t)c->kv_heads * c->head_size * held_bytes(request->memory->cache);
    return split(2 * c->layers * row * request->context, request->shard);
}

/* Of a layer's largest matrix, gate and up together, the part of a device in 16 bits. */
static uint64_t unpacked_bytes(const struct need_request *request)
{
    const struct model_config *c = request->config;
    if (!request->memory->unpacks || form_of(request).linear == PACKED_PLAIN)
        return 0;
    return 2 * split(c->ffn_size, request->shard) * c->hidden_size * 2;
}

/* Activations of the positions that are computed together, and what the other devices send of
 * them; attention's scores of each thread, of which a device has its share; and logits. */
static uint64_t work_bytes(const struct need_request *request)
{
    const struct model_config *c = request->config;
    const struct engine_memory *memory = request->memory;
    uint64_t logits = (uint64_t)memory->logits * c->vocabulary;
    if (memory->positions == 0)
        return logits * FLOAT_BYTES;
    uint32_t shard = request->shard;
    uint64_t whole = (2 + (uint64_t)shard) * c->hidden_size + c->head_size;
    uint64_t divided =
        2 * ((uint64_t)c->heads + c->kv_heads) * c->head_size + 2 * (uint64_t)c->ffn_size;
    uint64_t row = whole + split(divided, shard);
    uint64_t scores = split(request->threads, shard) * (c->heads / c->kv_heads) * request->context;
    return (memory->positions * row + scores + logits) * FLOAT_BYTES;
}

struct need need_of(const struct need_request *request)
{
    return (struct need){.weights =
                             (uint64_t)((double)weights_bytes(request) * request->memory->copies),
                         .cache = cache_bytes(request),
                         .work = work_bytes(request) + unpacked_bytes(request),
                         .base = request->memory->base_bytes};
}

uint64_t need_total(const struct need *need)
{
    return need->weights + need->cache + need->work + need->base;
}
