/* ggml's block formats, read: a block holds 32 or 256 weights as small integers and the scales
 * that turn them back into floats. Layouts: ggml's gguf documentation and `gguf` package. */
#ifndef PRONY_MODEL_QUANT_H
#define PRONY_MODEL_QUANT_H

#include <stdint.h>

#include "model/tensor.h"

/* Dequantises count elements, a multiple of tensor_type_block(type), from blocks (any alignment)
 * into out. type is one of the block formats. */
void quant_to_f32(enum tensor_type type, const void *blocks, uint64_t count, float *out);

#endif
