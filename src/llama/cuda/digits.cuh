/* int8 codes times a vector by the tensor cores, which add products of int8 exactly. Of the vector
 * they take whole numbers, as sums of four digits of -128 to 127: d3 2^24 + d2 2^16 + d1 2^8 + d0. */
#ifndef PRONY_LLAMA_CUDA_DIGITS_CUH
#define PRONY_LLAMA_CUDA_DIGITS_CUH

#include <stdint.h>

#include "llama/cuda/codes.h"

enum { DIGITS_BITS = 30 }; /* the elements have been scaled to be below 2 to this */

/* Puts the elements from i, a multiple of four, on into a vector of digits. Its units (codes.h), as
 * large as their columns of float32, are d3, d2, d1 and d0 of them, in turn. */
__device__ __forceinline__ void digits_put(float *vector, uint32_t i, float4 v)
{
    enum { PLANE = CODES_COLUMNS / 4, BORROW = 0x00808080 }; /* the lower digits are from -128 on */
    const float elements[4] = {v.x, v.y, v.z, v.w};
    uint32_t w[4];
#pragma unroll
    for (int j = 0; j < 4; j++)
        w[j] = (uint32_t)(__float2int_rn(elements[j]) + BORROW) ^ BORROW;
    const uint32_t low[2] = {__byte_perm(w[0], w[1], 0x5140), __byte_perm(w[2], w[3], 0x5140)};
    const uint32_t high[2] = {__byte_perm(w[0], w[1], 0x7362), __byte_perm(w[2], w[3], 0x7362)};
    uint32_t *to = reinterpret_cast<uint32_t *>(vector + i / CODES_COLUMNS * CODES_COLUMNS) +
                   i % CODES_COLUMNS / 4;
    to[0] = __byte_perm(high[0], high[1], 0x7632);
    to[PLANE] = __byte_perm(high[0], high[1], 0x5410);
    to[2 * PLANE] = __byte_perm(low[0], low[1], 0x7632);
    to[3 * PLANE] = __byte_perm(low[0], low[1], 0x5410);
}

/* The tensor cores add up w [16, 32] x [8, 32]^T. Lane 4 i + j has columns 4 j to 4 j + 3, and those
 * from 4 j + 16 on, of rows i and i + 8 of w, the same of row i of x, and columns 2 j and 2 j + 1 of
 * rows i and i + 8 of the sums.
 *
 * Of a unit of codes it has 16 of row i, words of four. The first and the third are row i there, the
 * second and the fourth row i + 8. So x has d3, d2 for the former in rows 0, 1, for the latter in 2,
 * 3, and d1, d0 likewise in rows 4 to 7; and of the sums even lanes take row i's, odd ones the
 * other's. A row's four lanes have a part of its sum each. */

/* What a lane has of a unit of the vector. */
__device__ __forceinline__ uint2 digits_get(const float *unit, uint32_t lane)
{
    const uint32_t row = lane / 4, quarter = lane % 4;
    const uint32_t *from = reinterpret_cast<const uint32_t *>(unit) +
                           (row / 4 * 2 + row % 2) * (CODES_COLUMNS / 4) + quarter * 4 + row / 2 % 2;
    return make_uint2(from[0], from[2]);
}
/* How many times its part counts. */
__device__ __forceinline__ float digits_weight(uint32_t lane)
{
    return lane % 4 < 2 ? 65536 : 1;
}
/* d += a unit of codes times one of the vector. */
__device__ __forceinline__ void digits_multiply(int32_t (&d)[4], uint4 w, uint2 x)
{
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
        : "r"(w.x), "r"(w.y), "r"(w.z), "r"(w.w), "r"(x.x), "r"(x.y));
}
/* This lane's part of what was added up: of two units below 2^28. */
__device__ __forceinline__ int32_t digits_part(const int32_t (&d)[4], uint32_t lane)
{
    return (lane % 2 ? d[2] : d[0]) * 256 + (lane % 2 ? d[3] : d[1]);
}

#endif
