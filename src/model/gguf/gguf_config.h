/* The hyperparameters in a GGUF file's metadata (the keys under "llama."). */
#ifndef PRONY_MODEL_GGUF_CONFIG_H
#define PRONY_MODEL_GGUF_CONFIG_H

#include "base/error.h"
#include "model/config.h"
#include "model/gguf/gguf.h"

/* STATUS_UNSUPPORTED names an architecture other than llama, a mixture of experts, or a rope
 * scaling that is not known. tied is left to who looks for the output matrix. */
enum status gguf_config_read(const struct gguf *gguf, struct model_config *config,
                             struct error *err);

#endif
