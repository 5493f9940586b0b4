#include "model/build.h"
#include "model/layout.h"
#include "model/noise.h"
#include "model/synthetic.h"

static struct tensor *place_of(struct model *model, const struct weight *weight)
{
    struct model_layer *layer = &model->layer[weight->layer];
    struct tensor *const places[WEIGHT_ROLES] = {
        [WEIGHT_EMBEDDING] = &model->embedding,
        [WEIGHT_ATTN_NORM] = &layer->attn_norm,
        [WEIGHT_Q] = &layer->wq,
        [WEIGHT_K] = &layer->wk,
        [WEIGHT_V] = &layer->wv,
        [WEIGHT_O] = &layer->wo,
        [WEIGHT_FFN_NORM] = &layer->ffn_norm,
        [WEIGHT_GATE] = &layer->w_gate,
        [WEIGHT_UP] = &layer->w_up,
        [WEIGHT_DOWN] = &layer->w_down,
        [WEIGHT_NORM] = &model->norm,
        [WEIGHT_OUTPUT] = &model->output,
    };
    return places[weight->role];
}

static enum status tensor_make(struct model *model, const struct weight *weight, uint64_t seed,
                               struct error *err)
{
    uint64_t *key = arena_alloc(&model->arena, sizeof *key);
    if (!key)
        return error_no_memory(err, sizeof *key);
    *key = noise_key(seed, weight->canonical);
    struct tensor *tensor = place_of(model, weight);
    *tensor = (struct tensor){.name = weight->name,
                              .type = TENSOR_SYNTHETIC,
                              .n_dims = weight->n_dims,
                              .dims = {weight->columns, 1, 1, 1},
                              .data = key};
    if (weight->n_dims == 2) {
        tensor->dims[0] = weight->rows;
        tensor->dims[1] = weight->columns;
    }
    model->parameters += tensor_elements(tensor);
    enum status status = tensor_measure(tensor, err);
    model->weight_bytes += tensor->bytes;
    return status;
}

enum status model_build_synthetic(struct model *model, const char *name, struct error *err)
{
    struct weight *weights;
    uint64_t seed;
    size_t count;
    if (synthetic_name_parse(name, &model->config, &seed, err))
        return err->status;
    model->format = MODEL_SYNTHETIC;
    model->name = name;
    model->layer = arena_array(&model->arena, model->config.layers, sizeof *model->layer);
    if (!model->layer || !layout_weights(&model->arena, &model->config, MODEL_SAFETENSORS,
                                         TENSOR_F16, false, &weights, &count))
        return error_no_memory(err, model->config.layers * sizeof *model->layer);
    for (size_t i = 0; i < count; i++)
        if (tensor_make(model, &weights[i], seed, err))
            return err->status;
    if (model->config.tied)
        model->output = model->embedding;
    return STATUS_OK;
}
