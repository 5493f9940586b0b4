/* Touches all that an engine would: with a sanitizer, a tensor that reaches beyond its file shows.
 */
#ifndef PRONY_TESTS_USE_MODEL_H
#define PRONY_TESTS_USE_MODEL_H

#include <stdlib.h>

#include "model/model.h"

/* Reads the first and the last row of a tensor. */
static inline void use_tensor(const struct tensor *tensor)
{
    float *row = malloc(tensor_columns(tensor) * sizeof *row);
    if (!row)
        return;
    tensor_row_f32(tensor, 0, row);
    tensor_row_f32(tensor, tensor_rows(tensor) - 1, row);
    free(row);
}

static inline void use_model(const struct model *model)
{
    float *frequencies = malloc(model->config.head_size * sizeof *frequencies);
    if (!frequencies)
        return;
    model_rope_frequencies(model, frequencies);
    free(frequencies);
    use_tensor(&model->embedding);
    use_tensor(&model->output);
    use_tensor(&model->norm);
    for (uint32_t i = 0; i < model->config.layers; i++) {
        const struct model_layer *layer = &model->layer[i];
        const struct tensor *const all[] = {&layer->attn_norm, &layer->wq,   &layer->wk,
                                            &layer->wv,        &layer->wo,   &layer->ffn_norm,
                                            &layer->w_gate,    &layer->w_up, &layer->w_down};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            use_tensor(all[k]);
    }
}

#endif
