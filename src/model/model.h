/* A model file of the Llama architecture, opened and checked, whatever its format.
 *
 * model_open() accepts a GGUF or safetensors file, any part of a GGUF in parts, or a folder that
 * holds one GGUF or config.json with model.safetensors or model.safetensors.index.json; or
 * "synthetic:SHAPE", weights without a file, which are made up row by row (see model/synthetic.h).
 * After it, every tensor that the architecture needs is there, has the right shape and lies inside
 * the map: a model that opens is a model that loads. Nothing is copied; weights are borrowed from
 * the map. */
#ifndef PRONY_MODEL_MODEL_H
#define PRONY_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "model/config.h"
#include "model/tensor.h"

enum model_format { MODEL_GGUF, MODEL_SAFETENSORS, MODEL_SYNTHETIC };

/* "gguf", "safetensors", "synthetic": as manifests and options call it. */
const char *model_format_name(enum model_format format);

/* Shapes: [out, in] for matrices. h = hidden, d = head_size. */
struct model_layer {
    struct tensor attn_norm;    /* [h] */
    struct tensor wq;           /* [heads * d, h] */
    struct tensor wk, wv;       /* [kv_heads * d, h] */
    struct tensor wo;           /* [h, heads * d] */
    struct tensor ffn_norm;     /* [h] */
    struct tensor w_gate, w_up; /* [ffn, h] */
    struct tensor w_down;       /* [h, ffn] */
};

struct model {
    const char *path;    /* as given */
    const char *weights; /* the file the weights are in (the first, when several); without one, the
                            path */
    enum model_format format;
    const char *name; /* from the metadata, else from the file's name */
    struct model_config config;
    struct tensor embedding;   /* [vocabulary, h] */
    struct tensor output;      /* [vocabulary, h]; the embedding itself when tied */
    struct tensor norm;        /* [h] */
    struct tensor rope_freqs;  /* [d / 2] divisors of the rope frequencies; data NULL if absent */
    struct model_layer *layer; /* [layers] */
    /* GGUF stores q and k rows permuted for rotation of neighbours (2i, 2i + 1); safetensors
     * for rotation of halves (i, i + d/2). */
    bool rope_interleaved;
    uint64_t parameters;       /* elements of all tensors, a tied output counted once */
    uint64_t weight_bytes;     /* as stored */
    struct arena arena;        /* everything above that is not in a map */
    struct model_files *files; /* the open maps; private to the readers */
};

enum status model_open(struct model *model, const char *path, struct error *err);
void model_close(struct model *model);

/* The format of an open model as manifests call it: "gguf-parts" when a GGUF is in several files.
 */
const char *model_format_of(const struct model *model);

/* Finds the one model at path: a file is itself; a folder's GGUF, or its safetensors (the folder
 * is then the answer). A GGUF in parts is its first part, whichever of them path is. Several GGUF
 * models are an error that lists them and asks which. */
enum status model_locate(const char *path, char *found, size_t size, struct error *err);

/* The weights' files, in the order of their names. [count], 0 for a synthetic model. */
const char *const *model_paths(const struct model *model, size_t *count);

/* The file that a tensor of the model is in; the model's name when it is synthetic. */
const char *model_tensor_path(const struct model *model, const struct tensor *tensor);

/* SHA-256 over the weights files' bytes, in the order of their names, as 64 hex digits; of a
 * synthetic model, over what it is made from. Kept in
 * the cache folder by path, size and times of modification, since large files take seconds. */
enum status model_hash(const struct model *model, char hex[65], struct error *err);

/* Rotation angle per position of each pair, in radians: base^(-2i/d), scaled as the config or
 * rope_freqs say. out has head_size / 2 entries. */
void model_rope_frequencies(const struct model *model, float *out);

#endif
