/* How the decode kernel's blocks meet, by counters and marked words in global memory, and the warps
 * of a block, by its barriers. */
#ifndef PRONY_LLAMA_CUDA_MEET_CUH
#define PRONY_LLAMA_CUDA_MEET_CUH

#include "llama/cuda/barrier.cuh"
#include "llama/cuda/layout.h"

enum { THREADS = 32 * DECODE_WARPS }; /* that compute */

__device__ __forceinline__ void count_up(uint32_t *counter)
{
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(counter) : "memory");
}
/* The same, which says nothing of what was stored before. */
__device__ __forceinline__ void count_up_alone(uint32_t *counter)
{
    asm volatile("red.relaxed.gpu.global.add.u32 [%0], 1;" ::"l"(counter) : "memory");
}
template <bool ACQUIRE> __device__ __forceinline__ uint32_t count_get(const uint32_t *counter)
{
    uint32_t value;
    if (ACQUIRE)
        asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(counter) : "memory");
    else
        asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(counter) : "memory");
    return value;
}
template <bool ACQUIRE>
__device__ __forceinline__ void count_wait(const uint32_t *counter, uint32_t target)
{
    if ((int32_t)(count_get<ACQUIRE>(counter) - target) >= 0)
        return;
    uint64_t start = clock_ns();
    uint32_t polls = 0;
    while ((int32_t)(count_get<ACQUIRE>(counter) - target) < 0)
        if (++polls % 1024 == 0 && clock_ns() - start > TIMEOUT_NS)
            fault();
}

/* Vectors between blocks: the last bit of each float32 is the parity of the step that wrote it, so
 * that a reader sees whether it is there. No fence has to order a vector and its counter. Waiting
 * until most have counted only keeps the readers' polls few; until all have, it says that all have
 * read what was before. */
__device__ __forceinline__ void word_store(float *p, float value, uint32_t parity)
{
    uint32_t bits = (__float_as_uint(value) & ~1u) | parity;
    asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(p), "r"(bits) : "memory");
}
__device__ __forceinline__ uint4 words_get(const float *p)
{
    uint4 v;
    asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p)
                 : "memory");
    return v;
}
__device__ __forceinline__ bool words_there(uint4 v, uint32_t parity)
{
    return ((parity ? v.x & v.y & v.z & v.w : ~(v.x | v.y | v.z | v.w)) & 1) != 0;
}
/* v was read from p, maybe too early: most that write such words have counted already. */
__device__ __forceinline__ float4 words_wait(uint4 v, const float *p, uint32_t parity)
{
    while (!words_there(v, parity))
        v = words_get(p);
    return make_float4(__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z),
                       __uint_as_float(v.w));
}
/* One word, of a vector whose counter nobody waits for. */
__device__ __forceinline__ uint32_t word_get(const float *p)
{
    uint32_t bits;
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(bits) : "l"(p) : "memory");
    return bits;
}
__device__ __forceinline__ float word_wait(uint32_t bits, const float *p, uint32_t parity)
{
    while ((bits & 1) != parity)
        bits = word_get(p);
    return __uint_as_float(bits);
}

/* The same for words that not every step writes: each carries the number of the step. */
__device__ __forceinline__ void stamped_store(uint64_t *p, float value, uint32_t step)
{
    asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(p),
                 "l"((uint64_t)step << 32 | __float_as_uint(value))
                 : "memory");
}
__device__ __forceinline__ uint64_t stamped_get(const uint64_t *p)
{
    uint64_t v;
    asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(v) : "l"(p) : "memory");
    return v;
}
__device__ __forceinline__ float stamped_wait(uint64_t v, const uint64_t *p, uint32_t step)
{
    while ((uint32_t)(v >> 32) != step)
        v = stamped_get(p);
    return __uint_as_float((uint32_t)v);
}

/* All that compute meet the scout: at barrier 2 when an operation's input is there, or most of it, at 3
 * when it has been multiplied (int8's logits: before). */
enum { SCOUT_INPUT = 2, SCOUT_DONE = 3 };
template <int BARRIER> __device__ __forceinline__ void scout_meet()
{
    asm volatile("bar.sync %0, %1;" ::"n"(BARRIER), "n"(32 * (DECODE_WARPS + 1)) : "memory");
}
template <int BARRIER> __device__ __forceinline__ void scout_arrive()
{
    asm volatile("bar.arrive %0, %1;" ::"n"(BARRIER), "n"(32 * (DECODE_WARPS + 1)) : "memory");
}

/* All that compute meet, at barrier 1. */
__device__ __forceinline__ void meet()
{
    asm volatile("bar.sync 1, %0;" ::"n"(32 * DECODE_WARPS) : "memory");
}

#endif
