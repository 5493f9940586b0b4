#include "llama/cuda/parts.h"

#include <stdlib.h>
#include <string.h>

#include "llama/quantize.h"
#include "llama/row.h"
#include "llama/weights.h"

enum { ALIGN_BYTES = 256, PER_LAYER = 4, OTHERS = 2 };

/* Files may pair a head's elements (2i, 2i + 1) for the rotation; the card has them half a head
 * apart. */
static size_t rotated_row(const struct model *model, size_t i)
{
    size_t half = model->config.head_size / 2;
    if (!model->rope_interleaved)
        return i;
    return i < half ? 2 * i : 2 * (i - half) + 1;
}

/* Which row of which tensor is row r of a part. */
static const struct tensor *row_source(const struct model *model, const struct card_part *part,
                                       size_t r, size_t *row)
{
    const struct model_config *config = &model->config;
    size_t size = config->head_size, group = config->heads / config->kv_heads;
    r += part->first_row;
    if (part->kind == PART_PLAIN) {
        *row = r;
        return part->tensor;
    }
    if (part->kind == PART_GATE_UP) {
        *row = r / 2;
        return r % 2 ? &part->layer->w_up : &part->layer->w_gate;
    }
    size_t kv = r / ((group + 2) * size), head = r / size % (group + 2), i = r % size;
    if (head == group + 1) {
        *row = kv * size + i;
        return &part->layer->wv;
    }
    *row = (head == group ? kv : kv * group + head) * size + rotated_row(model, i);
    return head == group ? &part->layer->wk : &part->layer->wq;
}

static enum tensor_type held_type(enum llama_precision precision)
{
    static const enum tensor_type types[] = {
        [LLAMA_F32] = TENSOR_F32, [LLAMA_F16] = TENSOR_F16, [LLAMA_BF16] = TENSOR_BF16};
    return types[precision];
}

uint64_t part_bytes(const struct card_part *part, size_t rows)
{
    enum codes_kind kind = codes_kind_of(part->precision);
    return kind == CODES_NONE ? (uint64_t)rows * matrix_row_bytes(part->precision, part->columns)
                              : codes_bytes(kind, (uint32_t)rows, (uint32_t)part->columns);
}

bool part_room_get(struct part_room *room, const struct parts *parts)
{
    room->wide = malloc(parts->columns * sizeof *room->wide);
    room->scales = malloc((parts->columns / NF4_BLOCK + 1) * sizeof *room->scales);
    room->codes = malloc(parts->columns);
    return room->wide && room->scales && room->codes;
}

void part_room_free(struct part_room *room)
{
    free(room->wide);
    free(room->scales);
    free(room->codes);
}

/* Of int8 that is cut by columns a row has the scale of the whole row. */
static void row_quantise(const struct kernels *kernels, const struct card_part *part,
                         const float *whole, size_t columns, struct part_room *room)
{
    const float *held = whole + part->first_column;
    if (part->precision == LLAMA_NF4) {
        kernels->nf4_codes(room->codes, room->scales, held, part->columns);
        return;
    }
    *room->scales = kernels->int8_scale(whole, columns);
    kernels->int8_codes((int8_t *)room->codes, *room->scales, held, part->columns);
}

/* Makes a row of a part float32, with what it takes to quantise it. */
static void row_widen(const struct parts *parts, const struct card_part *part,
                      const struct tensor *tensor, size_t row, struct part_room *room)
{
    struct part held = {part->first_column, part->first_column + part->columns};
    if (part->precision == LLAMA_INT8)
        held = (struct part){0, tensor_columns(tensor)};
    row_f32(parts->kernels, tensor, row, held, room->wide);
}

static void codes_fill(const struct parts *parts, const struct card_part *part, size_t begin,
                       size_t rows, unsigned char *to, struct part_room *room)
{
    memset(to, 0, part_bytes(part, rows));
    for (size_t i = 0; i < rows; i++) {
        size_t row;
        const struct tensor *tensor = row_source(parts->model, part, begin + i, &row);
        row_widen(parts, part, tensor, row, room);
        row_quantise(parts->kernels, part, room->wide, tensor_columns(tensor), room);
        codes_put(codes_kind_of(part->precision), to, (uint32_t)i, (uint32_t)part->columns,
                  room->codes, room->scales);
    }
}

static void elements_fill(const struct parts *parts, const struct card_part *part, size_t begin,
                          size_t rows, unsigned char *to, struct part_room *room)
{
    size_t bytes = matrix_row_bytes(part->precision, part->columns);
    size_t before = matrix_row_bytes(part->precision, part->first_column);
    enum tensor_type type = held_type(part->precision);
    for (size_t i = 0; i < rows; i++, to += bytes) {
        size_t row;
        const struct tensor *tensor = row_source(parts->model, part, begin + i, &row);
        if (tensor->type == type) {
            size_t whole = matrix_row_bytes(part->precision, tensor_columns(tensor));
            memcpy(to, (const unsigned char *)tensor->data + row * whole + before, bytes);
        } else {
            row_widen(parts, part, tensor, row, room);
            parts->kernels->narrow[part->precision](to, room->wide + part->first_column,
                                                    part->columns);
        }
    }
}

void part_fill(const struct parts *parts, const struct card_part *part, size_t begin, size_t rows,
               unsigned char *to, struct part_room *room)
{
    if (codes_kind_of(part->precision) == CODES_NONE)
        elements_fill(parts, part, begin, rows, to, room);
    else
        codes_fill(parts, part, begin, rows, to, room);
}

/* Lays a part behind the others; returns where it begins. */
static uint64_t part_place(struct parts *parts, struct card_part part)
{
    part.at = parts->bytes;
    parts->part[parts->count++] = part;
    if (part.columns > parts->columns)
        parts->columns = part.columns;
    parts->bytes += (part_bytes(&part, part.rows) + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    return part.at;
}

/* A matrix, or some interleaved, of which each card has some rows: [rows, columns] in all. */
static uint64_t rows_place(struct parts *parts, struct card_part part, size_t rows, size_t columns)
{
    struct part held = ranks_part(parts->ranks, rows);
    part.first_row = held.begin;
    part.rows = held.end - held.begin;
    part.columns = columns;
    return part_place(parts, part);
}

/* A matrix of which each card has some columns. */
static uint64_t columns_place(struct parts *parts, struct card_part part)
{
    struct part held = ranks_part(parts->ranks, tensor_columns(part.tensor));
    part.rows = tensor_rows(part.tensor);
    part.first_column = held.begin;
    part.columns = held.end - held.begin;
    uint64_t at = part_place(parts, part);
    /* Rows are read whole. */
    if (tensor_columns(part.tensor) > parts->columns)
        parts->columns = tensor_columns(part.tensor);
    return at;
}

static void layer_place(struct parts *parts, const struct model_layer *layer,
                        enum llama_precision held)
{
    const struct model_config *c = &parts->model->config;
    size_t query = (size_t)c->heads * c->head_size, key = (size_t)c->kv_heads * c->head_size;
    size_t hidden = c->hidden_size;
    struct card_part part = {.kind = PART_QKV, .layer = layer, .precision = held};
    struct cuda_weights *to = &parts->to;
    uint64_t start = rows_place(parts, part, query + 2 * key, hidden);
    part.kind = PART_PLAIN;
    part.tensor = &layer->wo;
    to->wo = columns_place(parts, part) - start;
    part.kind = PART_GATE_UP;
    to->gate_up = rows_place(parts, part, 2 * (size_t)c->ffn_size, hidden) - start;
    part.kind = PART_PLAIN;
    part.tensor = &layer->w_down;
    to->down = columns_place(parts, part) - start;
    to->layer_bytes = parts->bytes - start;
}

static uint64_t counted_bytes(const struct card_part *part, size_t rows)
{
    return (uint64_t)rows * (matrix_row_bytes(part->precision, part->columns) +
                             matrix_row_scales(part->precision, part->columns) * sizeof(float));
}

static void bytes_count(struct parts *parts, bool tied)
{
    const struct card_part *embedding = &parts->part[parts->count - (tied ? 1 : 2)];
    for (size_t i = 0; i < parts->count; i++)
        parts->held_bytes += counted_bytes(&parts->part[i], parts->part[i].rows);
    parts->embedding_bytes = tied ? 0 : counted_bytes(embedding, embedding->rows);
    parts->token_bytes = parts->held_bytes - parts->embedding_bytes + counted_bytes(embedding, 1);
}

enum status parts_place(struct parts *parts, const struct model *model,
                        const struct llama_options *options, struct error *err)
{
    const struct model_config *c = &model->config;
    bool tied = c->tied || model->output.data == model->embedding.data;
    enum llama_precision ends = options->quantize == LLAMA_INT8 ? LLAMA_INT8 : options->precision;
    enum llama_precision layers = options->quantize ? options->quantize : options->precision;
    struct card_part part = {.kind = PART_PLAIN, .tensor = &model->embedding, .precision = ends};
    size_t most = (size_t)c->layers * PER_LAYER + OTHERS;
    *parts = (struct parts){
        .model = model, .ranks = options->ranks, .part = calloc(most, sizeof *parts->part)};
    if (!parts->part)
        return error_no_memory(err, most * sizeof *parts->part);
    if (kernels_find(&parts->kernels, NULL, err))
        return err->status;
    for (uint32_t i = 0; i < c->layers; i++)
        layer_place(parts, &model->layer[i], layers);
    parts->to.embedding = parts->to.output =
        (const void *)(uintptr_t)rows_place(parts, part, c->vocabulary, c->hidden_size);
    if (!tied) {
        part.tensor = &model->output;
        parts->to.output =
            (const void *)(uintptr_t)rows_place(parts, part, c->vocabulary, c->hidden_size);
    }
    bytes_count(parts, tied);
    return STATUS_OK;
}

void parts_free(struct parts *parts)
{
    free(parts->part);
    *parts = (struct parts){0};
}
