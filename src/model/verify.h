/* Whether a model that opened would also work: its values are numbers, its tokenizer opens. */
#ifndef PRONY_MODEL_VERIFY_H
#define PRONY_MODEL_VERIFY_H

#include "base/error.h"
#include "model/model.h"

/* Reads all vectors and some rows of every matrix, so that a large model takes no time.
 * STATUS_FORMAT names the tensor with a value that is no number, or with nothing but zeros. */
enum status model_verify(const struct model *model, struct error *err);

#endif
