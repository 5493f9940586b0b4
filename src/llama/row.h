/* A tensor's rows as float32, by the machine's kernels: of a row the columns that are asked for, at
 * their places in out [columns]. What it has besides may be written or not. */
#ifndef PRONY_LLAMA_ROW_H
#define PRONY_LLAMA_ROW_H

#include "llama/cpu/kernels.h"
#include "llama/ranks.h"

void row_f32(const struct kernels *kernels, const struct tensor *tensor, size_t row,
             struct part held, float *out);

#endif
