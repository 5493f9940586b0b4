/* Over how many devices a model can be split, tensor parallel: each takes as many heads, key heads,
 * inner rows and words of the vocabulary as the others. */
#ifndef PRONY_MODEL_SHARDS_H
#define PRONY_MODEL_SHARDS_H

#include <stdbool.h>

#include "base/error.h"
#include "model/config.h"

/* Whether the model divides by shards, which is not 0. */
bool shards_divide(const struct model_config *config, uint32_t shards);

/* STATUS_USAGE when the model does not divide by shards, or there are more of them than devices;
 * the remedy lists the numbers that would do. */
enum status shards_check(const struct model_config *config, uint32_t shards, uint32_t devices,
                         struct error *err);

/* STATUS_USAGE when a part of a model that is quantised so would not have whole blocks of weights
 * where it has some of a matrix' input columns. quantize NULL, "": not quantised. */
enum status shards_check_blocks(const struct model_config *config, const char *quantize,
                                uint32_t shards, struct error *err);

#endif
