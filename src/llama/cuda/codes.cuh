/* Codes as a lane has them of a unit (codes.h), made weights. */
#ifndef PRONY_LLAMA_CUDA_CODES_CUH
#define PRONY_LLAMA_CUDA_CODES_CUH

#include "llama/cuda/element.cuh"
#include "llama/cuda/layout.h"

/* What a matrix holds instead of elements. */
struct int8_codes {
    enum { KIND = CODES_INT8, GROUPS = INT8_GROUPS };
};
struct nf4_codes {
    enum { KIND = CODES_NF4, GROUPS = NF4_GROUPS };
};
template <typename M> struct codes_of {
    enum { KIND = CODES_NONE };
};
template <> struct codes_of<int8_codes> : int8_codes {
};
template <> struct codes_of<nf4_codes> : nf4_codes {
};

/* The 16 codes of a lane, as numbers; nf4's are looked up in its 16 values, of which values has one
 * in every 32, so that each lane finds them in a bank of its own. */
__device__ __forceinline__ void lane_codes(float (&out)[CODES_LANE], const char *unit,
                                           uint32_t lane, const float *, int8_codes)
{
    const uint4 v = *reinterpret_cast<const uint4 *>(unit + lane * CODES_LANE);
    const uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < CODES_LANE; i++)
        out[i] = (float)(int8_t)(words[i / 4] >> (i % 4 * 8));
}
__device__ __forceinline__ void lane_codes(float (&out)[CODES_LANE], const char *unit,
                                           uint32_t lane, const float *values, nf4_codes)
{
    const uint2 v = *reinterpret_cast<const uint2 *>(unit + lane * CODES_LANE / 2);
    const uint32_t words[2] = {v.x, v.y};
#pragma unroll
    for (int i = 0; i < CODES_LANE; i++)
        out[i] = values[(words[i / 8] >> (i % 8 * 4) & 15) * 32];
}

template <typename M>
__device__ __forceinline__ float code_scale(const char *matrix, uint32_t columns, uint32_t row,
                                            uint32_t unit)
{
    return *reinterpret_cast<const float *>(
        matrix + codes_scale_at((codes_kind)codes_of<M>::KIND, columns, row, unit));
}

/* Four columns of a row of int8, from a multiple of four on. */
__device__ __forceinline__ float4 int8_four(const char *matrix, uint32_t columns, uint32_t row,
                                            uint32_t column)
{
    const float scale = code_scale<int8_codes>(matrix, columns, row, 0);
    const char4 q = *reinterpret_cast<const char4 *>(
        matrix + codes_at(CODES_INT8, columns, row, column / CODES_COLUMNS) +
        column % CODES_COLUMNS);
    return make_float4((float)(int8_t)q.x * scale, (float)(int8_t)q.y * scale,
                       (float)(int8_t)q.z * scale, (float)(int8_t)q.w * scale);
}

#endif
