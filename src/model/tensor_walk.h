/* All tensors of an open model, one after another. */
#ifndef PRONY_MODEL_TENSOR_WALK_H
#define PRONY_MODEL_TENSOR_WALK_H

#include <stdint.h>

#include "model/model.h"

/* The tensor at index; NULL behind the last. A tied output is not one of its own. */
const struct tensor *model_tensor(const struct model *model, uint64_t index);

#endif
