/* Made-up weights: a value depends on the seed, the tensor's name and the place in it alone, so
 * that rows can be made in any order, by any number of threads, into a file or into memory. */
#ifndef PRONY_MODEL_NOISE_H
#define PRONY_MODEL_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name: the tensor's in safetensors. */
uint64_t noise_key(uint64_t seed, const char *name);
/* A vector's values are around 1; a matrix gives outputs of variance 1 for inputs of variance 1. */
void noise_row(uint64_t key, bool vector, uint64_t columns, uint64_t row, float *out);
/* What a matrix' noise is multiplied by. */
float noise_scale(uint64_t columns);

/* Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (2014), the SplitMix64
 * finaliser. */
static inline uint64_t noise_mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Nearly normal with standard deviation 1/sqrt(3) * 65536: the sum of four uniform 16-bit numbers,
 * centred. */
static inline int32_t noise(uint64_t key, uint64_t index)
{
    const uint64_t even = 0x0000ffff0000ffff;
    uint64_t z = noise_mix(key + index * 0x9e3779b97f4a7c15);
    uint64_t pairs = (z & even) + (z >> 16 & even);
    return (int32_t)(uint32_t)(pairs + (pairs >> 32)) - 2 * 0xffff;
}

/* count values of a matrix from the one of this index on. It is here for each instruction set that
 * it is compiled for. */
static inline void noise_fill(float *out, uint64_t key, uint64_t index, size_t count, float scale)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (float)noise(key, index + i) * scale;
}

#endif
