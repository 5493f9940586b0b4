#include "weights.h"

#include <stdlib.h>

#include "model/layout.h"
#include "model/narrow.h"
#include "model/tensor_walk.h"

/* What each tensor becomes. */
struct loading {
    struct arena *arena;
    enum tensor_type type;
    float *row; /* room for the longest one */
    uint32_t head_size;
    bool interleaved; /* rows of q and k stand as GGUF has them */
    struct error *err;
};

static const void *convert(struct loading *loading, const struct tensor *tensor,
                           enum tensor_type type, bool permute)
{
    uint64_t rows = tensor_rows(tensor), columns = tensor_columns(tensor);
    size_t row_bytes = columns * tensor_type_block_bytes(type);
    unsigned char *made = arena_array(loading->arena, rows, row_bytes);
    if (!made) {
        error_no_memory(loading->err, rows * row_bytes);
        return NULL;
    }
    for (uint64_t r = 0; r < rows; r++) {
        uint64_t to = permute ? layout_row_from_gguf(r, loading->head_size) : r;
        tensor_row_f32(tensor, r, loading->row);
        if (!narrow(loading->row, columns, type, made + to * row_bytes)) {
            error_set(loading->err, STATUS_UNSUPPORTED, "%s has values that are too large for %s",
                      tensor->name, tensor_type_name(type));
            error_remedy(loading->err, "Use tensorrt-base, which computes in float32, or "
                                       "--precision bfloat16.");
            return NULL;
        }
    }
    return made;
}

static bool take(struct loading *loading, const struct tensor *tensor, const void **to)
{
    *to = tensor->type == loading->type ? tensor->data
                                        : convert(loading, tensor, loading->type, false);
    return *to;
}

/* A matrix whose output is rotated. */
static bool take_rotated(struct loading *loading, const struct tensor *tensor, const void **to)
{
    if (!loading->interleaved)
        return take(loading, tensor, to);
    *to = convert(loading, tensor, loading->type, true);
    return *to;
}

/* Norms are computed in float32 whatever the type. */
static bool take_norm(struct loading *loading, const struct tensor *tensor, const float **to)
{
    *to = tensor->type == TENSOR_F32 ? tensor->data : convert(loading, tensor, TENSOR_F32, false);
    return *to;
}

static bool take_layer(struct loading *loading, const struct model_layer *from,
                       struct trt_weights_layer *to)
{
    return take_norm(loading, &from->attn_norm, &to->attn_norm) &&
           take_rotated(loading, &from->wq, &to->wq) && take_rotated(loading, &from->wk, &to->wk) &&
           take(loading, &from->wv, &to->wv) && take(loading, &from->wo, &to->wo) &&
           take_norm(loading, &from->ffn_norm, &to->ffn_norm) &&
           take(loading, &from->w_gate, &to->w_gate) && take(loading, &from->w_up, &to->w_up) &&
           take(loading, &from->w_down, &to->w_down);
}

static uint64_t longest_row(const struct model *model)
{
    uint64_t longest = 0;
    const struct tensor *tensor;
    for (uint64_t i = 0; (tensor = model_tensor(model, i)); i++)
        if (tensor_columns(tensor) > longest)
            longest = tensor_columns(tensor);
    return longest;
}

static bool is_tied(const struct model *model)
{
    return model->config.tied || model->output.data == model->embedding.data;
}

enum status trt_weights_load(struct trt_weights *weights, const struct model *model,
                             enum tensor_type type, struct error *err)
{
    *weights = (struct trt_weights){0};
    struct loading loading = {.arena = &weights->arena,
                              .type = type,
                              .head_size = model->config.head_size,
                              .interleaved = model->rope_interleaved,
                              .err = err};
    uint64_t layers = model->config.layers, columns = longest_row(model);
    weights->layer = arena_array(&weights->arena, layers, sizeof *weights->layer);
    loading.row = arena_array(&weights->arena, columns, sizeof *loading.row);
    if (!weights->layer || !loading.row)
        return error_no_memory(err, layers * sizeof *weights->layer);
    bool whole = take(&loading, &model->embedding, &weights->embedding) &&
                 take_norm(&loading, &model->norm, &weights->norm);
    for (uint64_t i = 0; i < layers && whole; i++)
        whole = take_layer(&loading, &model->layer[i], &weights->layer[i]);
    if (whole && !is_tied(model))
        whole = take(&loading, &model->output, &weights->output);
    else
        weights->output = weights->embedding;
    return whole ? STATUS_OK : err->status;
}

void trt_weights_free(struct trt_weights *weights)
{
    arena_free(&weights->arena);
    *weights = (struct trt_weights){0};
}

uint64_t trt_weights_bytes(const struct model *model, enum tensor_type type)
{
    const struct tensor *tensor;
    uint64_t bytes = 0;
    for (uint64_t i = 0; (tensor = model_tensor(model, i)); i++) {
        bool is_norm = tensor_rows(tensor) == 1;
        bytes += tensor_elements(tensor) * tensor_type_block_bytes(is_norm ? TENSOR_F32 : type);
    }
    return bytes;
}
