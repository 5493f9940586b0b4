/* The weights of the Llama architecture as a file holds them: which, in what order, under what
 * name, with what shape and type. */
#ifndef PRONY_MODEL_LAYOUT_H
#define PRONY_MODEL_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "model/config.h"
#include "model/model.h"
#include "model/tensor.h"

enum weight_role {
    WEIGHT_EMBEDDING,
    WEIGHT_ATTN_NORM, /* from here on, one in each layer ... */
    WEIGHT_Q,
    WEIGHT_K,
    WEIGHT_V,
    WEIGHT_O,
    WEIGHT_FFN_NORM,
    WEIGHT_GATE,
    WEIGHT_UP,
    WEIGHT_DOWN, /* ... to here */
    WEIGHT_NORM,
    WEIGHT_OUTPUT,
    WEIGHT_ROPE_FREQS,
    WEIGHT_ROLES
};

struct weight {
    enum weight_role role;
    uint32_t layer;
    const char *name;      /* in the file */
    const char *canonical; /* the safetensors name, whatever the file */
    enum tensor_type type;
    uint32_t n_dims;
    uint64_t rows, columns; /* a vector is one row */
    uint64_t row_bytes, bytes;
    uint32_t part;   /* which of the model's files it is in */
    uint64_t offset; /* in the file; set by the writer of the head */
};

/* All weights of a model, in file order, in *weights (from the arena). Vectors are F32 in GGUF,
 * else as precision says. rope_freqs: GGUF only. False without memory. */
bool layout_weights(struct arena *arena, const struct model_config *config,
                    enum model_format format, enum tensor_type precision, bool rope_freqs,
                    struct weight **weights, size_t *count);

/* Weights of all matrices and vectors, but the rope factors. */
uint64_t layout_parameters(const struct model_config *config);

/* Rows of q and k are in another order in GGUF, for rotation of neighbours, than in safetensors,
 * for rotation of halves. The safetensors row that is the given GGUF row, and the reverse. */
uint64_t layout_row_from_gguf(uint64_t row, uint32_t head_size);
uint64_t layout_row_to_gguf(uint64_t row, uint32_t head_size);

#endif
