/* The hyperparameters in a config.json as transformers 4 and 5 write it for LlamaForCausalLM. */
#ifndef PRONY_MODEL_HF_CONFIG_H
#define PRONY_MODEL_HF_CONFIG_H

#include <stddef.h>

#include "base/error.h"
#include "model/config.h"

/* The most that a config.json is read of. */
enum { HF_CONFIG_MAX_BYTES = 4 << 20 };

/* Parses text; path is what errors name. STATUS_UNSUPPORTED names what is not of the plain Llama
 * architecture: another model type, biases, quantisation, a rope scaling that is not known. */
enum status hf_config_parse(struct model_config *config, const char *text, size_t bytes,
                            const char *path, struct error *err);
/* The same from a file. STATUS_NOT_FOUND when there is none. */
enum status hf_config_read(struct model_config *config, const char *path, struct error *err);

#endif
