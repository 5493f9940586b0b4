/* Codes times a vector by the tensor cores. int8's codes are exact in float16, nf4's values the
 * nearest ones; of a vector's element the tensor cores take the nearest float16 and, as another
 * vector, what is left of it, so that about 22 bits of it count from 0.25 on, and 2^-25 below. */
#ifndef PRONY_LLAMA_CUDA_HALVES_CUH
#define PRONY_LLAMA_CUDA_HALVES_CUH

#include "llama/cuda/element.cuh"
#include "llama/cuda/layout.h"

enum { HALVES_BITS = 15 }; /* elements that are scaled are below 2 to this */

/* Four elements as the tensor cores take them: the nearest float16s, and the rests. */
__device__ __forceinline__ uint4 halves_split(float4 v)
{
    __half2 near[2] = {__floats2half2_rn(v.x, v.y), __floats2half2_rn(v.z, v.w)};
    float2 low = __half22float2(near[0]), high = __half22float2(near[1]);
    __half2 rest[2] = {__floats2half2_rn(v.x - low.x, v.y - low.y),
                       __floats2half2_rn(v.z - high.x, v.w - high.y)};
    const uint2 a = *reinterpret_cast<uint2 *>(near), b = *reinterpret_cast<uint2 *>(rest);
    return make_uint4(a.x, a.y, b.x, b.y);
}

/* Where in a unit of a vector a lane's columns lie, half of its 16: 8 nearest float16s, or their rests.
 * What 8 lanes read at a time, and 16 write, is in banks of its own. */
__device__ __forceinline__ uint32_t halves_at(uint32_t quarter, uint32_t half, uint32_t rest)
{
    return half * 32 + (half ^ rest) * 16 + quarter * 4;
}

/* Half 1 has these bits of its address the other way than half 0. */
enum { HALVES_OTHER = (32 ^ 16) * sizeof(float) };

/* Puts the elements from i, a multiple of four, on into a vector of halves. */
__device__ __forceinline__ void halves_put(float *vector, uint32_t i, float4 v)
{
    const uint4 halves = halves_split(v);
    const uint32_t quarter = i / CODES_LANE % 4, half = i / 8 % 2;
    float *to = vector + i / CODES_COLUMNS * CODES_COLUMNS + i / 4 % 2 * 2;
    *reinterpret_cast<uint2 *>(to + halves_at(quarter, half, 0)) = make_uint2(halves.x, halves.y);
    *reinterpret_cast<uint2 *>(to + halves_at(quarter, half, 1)) = make_uint2(halves.z, halves.w);
}
/* d [16, 8] += w [16, 16] x [8, 16]^T. Lane 4 i + j has columns 2 j and 2 j + 1 of rows i and i + 8 of
 * w, columns 2 j + 8 and 2 j + 9 of these rows, the same columns of row i of x, and columns 2 j and
 * 2 j + 1 of rows i and i + 8 of the sums. */
__device__ __forceinline__ void halves_multiply(float (&d)[4], const uint32_t (&w)[4], uint2 x)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3]), "r"(x.x), "r"(x.y));
}

/* Two of a word's four int8, each with 1152 more, as float16: 1024 + (q + 128) has q + 128 as its
 * last bits. */
template <uint32_t WHICH> __device__ __forceinline__ uint32_t int8_pair(uint32_t word)
{
    return __byte_perm(word ^ 0x80808080u, 0x64646464u, WHICH);
}

/* Of nf4 every byte's two values, [256, 32]: for every lane in banks of its own. All of a block's
 * threads fill it. */
__device__ __forceinline__ void table_fill(uint32_t *table, const nf4_values &nf4, uint32_t threads)
{
    for (uint32_t i = threadIdx.x; i < CODES_TABLE / sizeof *table; i += threads) {
        const __half2 pair = __floats2half2_rn(nf4.code[i / 32 % 16], nf4.code[i / 32 / 16]);
        table[i] = *reinterpret_cast<const uint32_t *>(&pair);
    }
}

/* The values of byte i of a word, from where this lane's are in shared memory: the place in the table
 * is a product of bytes, one instruction. */
__device__ __forceinline__ uint32_t nf4_pair(uint32_t word, uint32_t i, uint32_t table)
{
    uint32_t pair, at = __dp4a(word, (uint32_t)(32 * sizeof pair) << 8 * i, table);
    asm("ld.shared.u32 %0, [%1];" : "=r"(pair) : "r"(at)); /* the table never changes */
    return pair;
}

/* d += the codes of a unit of two groups, of each of which a lane has 16, times x. */
__device__ __forceinline__ void nf4_multiply(float (&d)[4], uint2 low, uint2 high,
                                             const uint2 (&x)[4], uint32_t table)
{
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const uint32_t a = j < 2 ? low.x : low.y, b = j < 2 ? high.x : high.y, i = j % 2 * 2;
        const uint32_t w[4] = {nf4_pair(a, i, table), nf4_pair(b, i, table),
                               nf4_pair(a, i + 1, table), nf4_pair(b, i + 1, table)};
        halves_multiply(d, w, x[j]);
    }
}

#endif
