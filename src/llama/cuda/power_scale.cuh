/* Scales for what holds fewer numbers than float32: whole numbers and float16. */
#ifndef PRONY_LLAMA_CUDA_POWER_SCALE_CUH
#define PRONY_LLAMA_CUDA_POWER_SCALE_CUH

#include <math.h>
#include <stdint.h>

/* A power of two that elements are multiplied by, and what 1 stands for then. */
struct power_scale {
    float times, quantum;
};
/* The bits of the largest element's magnitude: in their order as whole numbers too, and above all
 * others where an element is not a number. */
__device__ __forceinline__ uint32_t largest_bits(float4 v)
{
    return max(max(__float_as_uint(fabsf(v.x)), __float_as_uint(fabsf(v.y))),
               max(__float_as_uint(fabsf(v.z)), __float_as_uint(fabsf(v.w))));
}
/* Makes numbers below 2^bits of elements up to the largest, of which the bits are given. Where it is
 * not finite the quantum is NaN, and hence what is made with it. */
__device__ __forceinline__ power_scale power_scale_of(uint32_t largest, uint32_t bits)
{
    enum { BIAS = 127, SHIFT = 23, NOT_FINITE = 255 }; /* of a float32's exponent */
    const uint32_t power = max(largest >> SHIFT, bits);
    power_scale s;
    s.times = __uint_as_float((2 * BIAS - 1 + bits - power) << SHIFT);
    s.quantum = power == NOT_FINITE ? NAN : __uint_as_float((power + 1 - bits) << SHIFT);
    return s;
}

#endif
