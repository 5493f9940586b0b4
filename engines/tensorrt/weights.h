/* A model's weights as TensorRT's constants: of one type, each row where rotating halves wants it.
 * What is stored so is borrowed from the model's map, the rest is converted. */
#ifndef PRONY_TENSORRT_WEIGHTS_H
#define PRONY_TENSORRT_WEIGHTS_H

#include "model/model.h"

struct trt_weights_layer {
    const float *attn_norm, *ffn_norm; /* [hidden] */
    const void *wq, *wk, *wv, *wo, *w_gate, *w_up, *w_down;
};

struct trt_weights {
    const void *embedding, *output; /* output is embedding where they are tied */
    const float *norm;              /* [hidden] */
    struct trt_weights_layer *layer;
    struct arena arena;
};

/* type is F32, F16 or BF16. STATUS_UNSUPPORTED: a value is too large for it. A zeroed struct may be
 * freed. */
enum status trt_weights_load(struct trt_weights *weights, const struct model *model,
                             enum tensor_type type, struct error *err);
void trt_weights_free(struct trt_weights *weights);

/* Bytes of all of them, known without loading. */
uint64_t trt_weights_bytes(const struct model *model, enum tensor_type type);

#endif
