/* Elements of weights and caches, read and written as float32. */
#ifndef PRONY_LLAMA_CUDA_ELEMENT_CUH
#define PRONY_LLAMA_CUDA_ELEMENT_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

typedef __half half_t;
typedef __nv_bfloat16 bfloat_t;

/* What the KV cache holds beside weights of type T: half the bytes of F32, more digits than BF16. */
template <typename T> struct cache_type {
    typedef half_t type;
};
template <> struct cache_type<float> {
    typedef float type;
};

__device__ __forceinline__ float to_float(float x)
{
    return x;
}
__device__ __forceinline__ float to_float(half_t x)
{
    return __half2float(x);
}
__device__ __forceinline__ float to_float(bfloat_t x)
{
    return __bfloat162float(x);
}

template <typename T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x)
{
    return x;
}
template <> __device__ __forceinline__ half_t from_float<half_t>(float x)
{
    return __float2half_rn(x);
}
template <> __device__ __forceinline__ bfloat_t from_float<bfloat_t>(float x)
{
    return __float2bfloat16_rn(x);
}

/* The elements of 16 bytes: 4 float32 or 8 of 16 bits. */
template <typename T> struct pack {
    enum { COUNT = 16 / sizeof(T) };
};
__device__ __forceinline__ void unpack(float (&out)[4], uint4 v, float)
{
    out[0] = __uint_as_float(v.x);
    out[1] = __uint_as_float(v.y);
    out[2] = __uint_as_float(v.z);
    out[3] = __uint_as_float(v.w);
}
__device__ __forceinline__ void unpack(float (&out)[8], uint4 v, half_t)
{
    const uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        __half2 h;
        *reinterpret_cast<uint32_t *>(&h) = words[i];
        float2 f = __half22float2(h);
        out[2 * i] = f.x;
        out[2 * i + 1] = f.y;
    }
}
__device__ __forceinline__ void unpack(float (&out)[8], uint4 v, bfloat_t)
{
    const uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        out[2 * i] = __uint_as_float(words[i] << 16);
        out[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
    }
}

/* Four elements, from a multiple of four on. */
__device__ __forceinline__ float4 element_four(const float *p)
{
    return __ldg(reinterpret_cast<const float4 *>(p));
}
template <typename T> __device__ __forceinline__ float4 element_four(const T *p)
{
    const uint2 v = __ldg(reinterpret_cast<const uint2 *>(p));
    float out[8];
    unpack(out, make_uint4(v.x, v.y, 0, 0), T());
    return make_float4(out[0], out[1], out[2], out[3]);
}

__device__ __forceinline__ float warp_sum(float x)
{
#pragma unroll
    for (int step = 16; step > 0; step /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

/* A logit and its id as one number whose order is "larger logit, then lower id": what argmax needs
 * on ties. NaN counts as the lowest. */
__device__ __forceinline__ uint64_t rank_of(float logit, uint32_t id)
{
    uint32_t bits = __float_as_uint(logit);
    bits = logit != logit ? 0 : bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | (uint32_t)~id;
}
__device__ __forceinline__ int32_t rank_id(uint64_t rank)
{
    return (int32_t)~(uint32_t)rank;
}
__device__ __forceinline__ uint64_t warp_max(uint64_t x)
{
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        uint64_t y = __shfl_xor_sync(0xffffffffu, x, step);
        x = y > x ? y : x;
    }
    return x;
}


#endif
