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

/* "tiny" is for tests; the others are Llama 3.2 1B, Llama 3 8B, Llama 3.1 70B and 405B. */
#define SYNTHETIC_SIZES "tiny 1b 8b 70b 405b"

/* The shape of one of SYNTHETIC_SIZES, with or without "llama3-" before it; false for another name.
 */
bool synthetic_shape(const char *size, struct model_config *config);

/* Llama 3's rope scaling for the shape's context. */
void synthetic_scale_rope(struct model_config *config);

/* STATUS_USAGE names what does not fit. */
enum status synthetic_check(const struct model_config *config, struct error *err);

/* "synthetic:SHAPE" or "synthetic:SHAPE:SEED": a model without a file. The shape is one of those
 * above, the seed 1 if it is not given; what synthetic_write makes of both is the same model. */
bool synthetic_is_name(const char *path);
/* STATUS_USAGE when the name says no shape, or no seed. */
enum status synthetic_name_parse(const char *path, struct model_config *config, uint64_t *seed,
                                 struct error *err);

/* STATUS_NOT_FOUND. */
enum status synthetic_has_no_tokenizer(const char *path, struct error *err);

/* config has passed synthetic_check. *bytes is the size of the weights file. */
enum status synthetic_write(const struct model_config *config, const char *name, uint64_t seed,
                            const struct model_output *output, uint64_t *bytes, struct error *err);

#endif
