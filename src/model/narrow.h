/* float32 values narrowed to what a file stores: float32, float16 or bfloat16, rounded to nearest,
 * ties to even. */
#ifndef PRONY_MODEL_NARROW_H
#define PRONY_MODEL_NARROW_H

#include <stdbool.h>
#include <stddef.h>

#include "model/tensor.h"

/* Writes count values of in as type (F32, F16 or BF16) to out. False when a finite value is too
 * large for the type, and became infinite. */
bool narrow(const float *in, size_t count, enum tensor_type type, void *out);

#endif
