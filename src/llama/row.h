/* A tensor's rows as float32, by the machine's kernels. */
#ifndef PRONY_LLAMA_ROW_H
#define PRONY_LLAMA_ROW_H

#include "llama/cpu/kernels.h"

void row_f32(const struct kernels *kernels, const struct tensor *tensor, size_t row, float *out);

#endif
