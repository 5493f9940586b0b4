/* The hyperparameters of a model of the Llama architecture. */
#ifndef PRONY_MODEL_CONFIG_H
#define PRONY_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* The most that is believed of a file, several times what exists; no product of two of them and a
 * head size overflows 64 bits. */
enum {
    MODEL_MAX_EOS = 8,
    MODEL_MAX_WIDTH = 1 << 20, /* hidden_size */
    MODEL_MAX_LAYERS = 1 << 12,
    MODEL_MAX_HEADS = 1 << 12,
    MODEL_MAX_HEAD_SIZE = 1 << 12,
    MODEL_MAX_FFN = 1 << 22,
    MODEL_MAX_VOCABULARY = 1 << 24,
    MODEL_MAX_CONTEXT = 1 << 30
};

/* Llama 3.1's frequency scaling (llama3), or positions divided by a factor (linear). */
struct rope_scaling {
    enum { ROPE_SCALING_NONE, ROPE_SCALING_LINEAR, ROPE_SCALING_LLAMA3 } kind;
    float factor;
    float low_freq_factor, high_freq_factor; /* llama3 only */
    uint32_t original_context;               /* llama3 only */
};

struct model_config {
    uint32_t hidden_size;            /* width of the residual stream */
    uint32_t layers;                 /* transformer blocks */
    uint32_t heads;                  /* query heads */
    uint32_t kv_heads;               /* key and value heads; divides heads (GQA) */
    uint32_t head_size;              /* not always hidden_size / heads */
    uint32_t ffn_size;               /* intermediate size of the SwiGLU */
    uint32_t vocabulary;             /* rows of the embedding */
    uint32_t context;                /* positions that the model was trained for */
    float norm_eps;                  /* of RMSNorm */
    float rope_base;                 /* theta */
    struct rope_scaling rope;        /* what the metadata says; GGUF may give factors instead */
    bool tied;                       /* the output matrix is the embedding */
    int32_t bos, eos[MODEL_MAX_EOS]; /* token ids; -1 where unknown */
    uint32_t eos_count;
};

/* STATUS_FORMAT when the numbers do not fit together: kv_heads does not divide heads, an odd head
 * size, an epsilon, base or factor that is not positive and finite. Errors name path. */
enum status model_config_check(const struct model_config *config, const char *path,
                               struct error *err);

#endif
