/* What a load does with each weight: makes it up, or quantises it. Plain C whose loops compilers
 * turn into vectors: each instruction set's file has it compiled for itself, and every one gives
 * the same bits. llama/quantize.h says how it is laid out. */
#ifndef PRONY_LLAMA_CPU_LOADING_H
#define PRONY_LLAMA_CPU_LOADING_H

#include <stdint.h>
#include <string.h>

#include "llama/quantize.h"
#include "model/half.h"
#include "model/noise.h"

enum { NF4_ZERO = 7, INT8_MOST = 127 };

/* The largest magnitude, NaN left aside, by the bits of magnitudes: they are in the numbers' order,
 * and a compiler may compare whole numbers in any order. */
static inline float largest_of(const float *x, size_t count)
{
    const int32_t infinity = 0x7f800000;
    int32_t most = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t bits = (int32_t)(float_bits(x[i]) & 0x7fffffff);
        bits = bits > infinity ? 0 : bits;
        most = bits > most ? bits : most;
    }
    return float_from_bits((uint32_t)most);
}

/* Ties to even, of what lies below 2^22: float32 has no room for a fraction beyond 2^23. rintf is a
 * call on processors that are not known to have an instruction for it. */
static inline float nearest_whole(float x)
{
    return (x + 0x1.8p23f) - 0x1.8p23f;
}

static inline float int8_scale(const float *row, size_t columns)
{
    return largest_of(row, columns) / INT8_MOST;
}

static inline void int8_codes(int8_t *codes, float scale, const float *weights, size_t count)
{
    if (!(scale > 0)) {
        memset(codes, 0, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        float code = weights[i] / scale;
        code = code < INT8_MOST ? code : INT8_MOST;
        code = code > -INT8_MOST ? code : -INT8_MOST;
        codes[i] = (int8_t)(int32_t)nearest_whole(code);
    }
}

/* The nearest code of each weight of a block: how many of the midpoints between neighbours lie
 * below it. */
static inline void nf4_nearest(uint32_t at[NF4_BLOCK], const float midpoint[NF4_CODES - 1],
                               const float *x, float scale)
{
    for (size_t i = 0; i < NF4_BLOCK; i++) {
        float code = x[i] / scale;
        uint32_t below = 0;
        _Pragma("GCC unroll 15") for (size_t k = 0; k < NF4_CODES - 1; k++) below +=
            code > midpoint[k];
        at[i] = below;
    }
}

static inline void nf4_codes(uint8_t *codes, float *scales, const float *weights, size_t count)
{
    float midpoint[NF4_CODES - 1];
    for (size_t i = 0; i < NF4_CODES - 1; i++)
        midpoint[i] = (nf4_code[i] + nf4_code[i + 1]) / 2;
    for (size_t block = 0; block < count / NF4_BLOCK; block++) {
        const float *x = weights + block * NF4_BLOCK;
        uint8_t *to = codes + block * NF4_BYTES;
        uint32_t at[NF4_BLOCK];
        float scale = scales[block] = largest_of(x, NF4_BLOCK);
        if (!(scale > 0)) {
            memset(to, NF4_ZERO | NF4_ZERO << 4, NF4_BYTES);
            continue;
        }
        nf4_nearest(at, midpoint, x, scale);
        for (size_t l = 0; l < 16; l++) {
            to[2 * l] = (uint8_t)(at[l] | at[16 + l] << 4);
            to[2 * l + 1] = (uint8_t)(at[32 + l] | at[48 + l] << 4);
        }
    }
}

#define LOADING_KERNELS                                                                            \
    .int8_scale = int8_scale, .int8_codes = int8_codes, .nf4_codes = nf4_codes, .noise = noise_fill

#endif
