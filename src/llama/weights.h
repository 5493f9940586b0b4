/* A model's matrices in the precision that they are read in: borrowed from the model's map where
 * they are stored so, else converted, on load, by all threads. */
#ifndef PRONY_LLAMA_WEIGHTS_H
#define PRONY_LLAMA_WEIGHTS_H

#include <stdint.h>

#include "base/error.h"
#include "base/pages.h"
#include "llama/cpu/kernels.h"
#include "llama/ranks.h"
#include "llama/threads.h"
#include "model/model.h"

struct matrix {
    const void *data;    /* [rows, columns] */
    const float *scales; /* of codes; else NULL */
    enum llama_precision precision;
    size_t rows, columns;
};

/* Bytes of a row's elements or codes, and how many scales it has. */
size_t matrix_row_bytes(enum llama_precision precision, size_t columns);
size_t matrix_row_scales(enum llama_precision precision, size_t columns);

struct weights_layer {
    const float *attn_norm, *ffn_norm; /* [hidden] */
    struct matrix wq, wk, wv, wo, w_gate, w_up, w_down;
};

struct weights {
    enum llama_precision precision;  /* of what is not quantised */
    struct matrix embedding, output; /* the same one when tied */
    const float *norm;               /* [hidden] */
    struct weights_layer *layer;     /* [layers] */
    uint64_t bytes;                  /* of all of them, borrowed ones included */
    uint64_t token_bytes;            /* that computing one token reads */
    uint64_t embedding_bytes;        /* of an embedding that is not the output as well; else 0 */
    struct pages converted;
};

/* Of a model that several ranks hold (NULL: this process alone) the part of this one. Every page is
 * present afterwards. A zeroed struct may be freed. */
enum status weights_load(struct weights *weights, const struct model *model,
                         const struct llama_options *options, const struct kernels *kernels,
                         struct pool *pool, struct error *err);
void weights_free(struct weights *weights);

#endif
