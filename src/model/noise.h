/* Made-up weights: a value depends on the seed, the tensor's name and the place in it alone, so
 * that rows can be made in any order, by any number of threads, into a file or into memory. */
#ifndef PRONY_MODEL_NOISE_H
#define PRONY_MODEL_NOISE_H

#include <stdbool.h>
#include <stdint.h>

/* name: the tensor's in safetensors. */
uint64_t noise_key(uint64_t seed, const char *name);
/* A vector's values are around 1; a matrix gives outputs of variance 1 for inputs of variance 1. */
void noise_row(uint64_t key, bool vector, uint64_t columns, uint64_t row, float *out);

#endif
