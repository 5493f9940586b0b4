/* The hyperparameters in a GGUF model's metadata (the keys under "llama."). */
#ifndef PRONY_MODEL_GGUF_CONFIG_H
#define PRONY_MODEL_GGUF_CONFIG_H

#include <stdint.h>

#include "base/error.h"
#include "model/config.h"
#include "model/gguf/gguf.h"

/* Of the parts, the first has the metadata. STATUS_UNSUPPORTED names an architecture other than
 * llama, a mixture of experts, or a rope scaling that is not known. tied is left to who looks for
 * the output matrix. */
enum status gguf_config_read(const struct gguf *parts, uint32_t count, struct model_config *config,
                             struct error *err);

#endif
