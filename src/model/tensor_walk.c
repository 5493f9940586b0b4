#include "model/tensor_walk.h"

enum { TENSORS_IN_LAYER = 9 };

static const struct tensor *layer_tensor(const struct model_layer *layer, uint64_t index)
{
    const struct tensor *const tensors[TENSORS_IN_LAYER] = {
        &layer->attn_norm, &layer->wq,     &layer->wk,   &layer->wv,    &layer->wo,
        &layer->ffn_norm,  &layer->w_gate, &layer->w_up, &layer->w_down};
    return tensors[index];
}

const struct tensor *model_tensor(const struct model *model, uint64_t index)
{
    uint64_t in_layers = (uint64_t)model->config.layers * TENSORS_IN_LAYER;
    if (index == 0)
        return &model->embedding;
    index--;
    if (index < in_layers)
        return layer_tensor(&model->layer[index / TENSORS_IN_LAYER], index % TENSORS_IN_LAYER);
    const struct tensor *last[3];
    uint64_t count = 0;
    last[count++] = &model->norm;
    if (!model->config.tied)
        last[count++] = &model->output;
    if (model->rope_freqs.data)
        last[count++] = &model->rope_freqs;
    return index - in_layers < count ? last[index - in_layers] : NULL;
}
