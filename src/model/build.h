/* From parsed files to a checked model: what model_open does once the bytes are in memory. */
#ifndef PRONY_MODEL_BUILD_H
#define PRONY_MODEL_BUILD_H

#include "base/error.h"
#include "model/gguf/gguf.h"
#include "model/model.h"
#include "model/safetensors/safetensors.h"

/* Both fill a zeroed model's config (safetensors: already there, of config.json), layers and
 * tensors, and borrow from the files. Every tensor that the architecture needs must be there once
 * with its shape, and none that it does not know: a bias left out would give wrong results.
 * STATUS_UNSUPPORTED names such a tensor. The caller frees model->arena, also on failure. */
enum status model_build_gguf(struct model *model, const struct gguf *parts, uint32_t count,
                             struct error *err);
enum status model_build_safetensors(struct model *model, const struct safetensors *parts,
                                    uint64_t count, struct error *err);

/* The weights of a name that synthetic_is_name, and its shape: nothing is read. */
enum status model_build_synthetic(struct model *model, const char *name, struct error *err);

#endif
