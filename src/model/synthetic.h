/* Models of real shapes with made-up weights: timing does not depend on the values.
 *
 * A value depends only on the seed, the tensor's name and the place in it, so a seed means one
 * model, in whatever format and with however many threads it was written. */
#ifndef PRONY_MODEL_SYNTHETIC_H
#define PRONY_MODEL_SYNTHETIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "model/config.h"
#include "model/model_write.h"

/* The shape of "1b" (Llama 3.2 1B), "8b" (Llama 3 8B) or "tiny"; false for another name. */
bool synthetic_shape(const char *size, struct model_config *config);

/* Llama 3's rope scaling for the shape's context. */
void synthetic_scale_rope(struct model_config *config);

/* STATUS_USAGE names what does not fit. */
enum status synthetic_check(const struct model_config *config, struct error *err);

/* config has passed synthetic_check. *bytes is the size of the weights file. */
enum status synthetic_write(const struct model_config *config, const char *name, uint64_t seed,
                            const struct model_output *output, uint64_t *bytes, struct error *err);

#endif
