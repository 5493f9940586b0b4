/* Causal attention of a prompt's tokens by Hopper's tensor cores, in tiles whose scores never leave
 * the registers (FlashAttention, Dao 2023; Shah et al. 2024). A warp has the copy engine bring keys
 * and values; each warpgroup computes 64 tokens of one head, and multiplies the next keys while it
 * takes the exponentials of the last scores. */
#include "llama/cuda/attend.h"
#include "llama/cuda/grid.cuh"
#include "llama/cuda/wgmma.cuh"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

__device__ __forceinline__ float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

template <typename T, int SIZE> struct attention {
    enum {
        GROUPS = ATTEND_GROUPS(SIZE),
        SLOTS = ATTEND_SLOTS(SIZE),
        BLOCKS = SIZE / 64,        /* of 64 columns, one beside the other */
        QUERY = 64 * 128 * BLOCKS, /* bytes of a warpgroup's tokens */
        BLOCK = ATTEND_KEYS * 128, /* bytes of 64 columns of a tile */
        SLOT = BLOCK * BLOCKS,
        SCORES = ATTEND_KEYS / 2, /* of a thread: two rows */
        SUMS = SIZE / 2
    };
    const attend_arguments &a;
    unsigned char *query, *slots;
    uint64_t *ready, *full, *empty;
    uint32_t head, q0, steps; /* the head, the first token, and tiles of keys for all of them */

    __device__ __forceinline__ attention(const attend_arguments &arguments, unsigned char *shared)
        : a(arguments)
    {
        query = shared + (1024 - shared_address(shared) % 1024) % 1024;
        slots = query + GROUPS * QUERY;
        full = reinterpret_cast<uint64_t *>(slots + SLOTS * SLOT);
        empty = full + SLOTS;
        ready = empty + SLOTS;
        head = blockIdx.x;
        q0 = (gridDim.y - 1 - blockIdx.y) * ATTEND_TOKENS(SIZE); /* the longest begin first */
        uint32_t end = q0 + ATTEND_TOKENS(SIZE) < a.tokens ? q0 + ATTEND_TOKENS(SIZE) : a.tokens;
        steps = (a.position + end + ATTEND_KEYS - 1) / ATTEND_KEYS;
        if (threadIdx.x < SLOTS) {
            barrier_init(full + threadIdx.x, 1);
            barrier_init(empty + threadIdx.x, 4 * GROUPS);
        }
        if (threadIdx.x == 0)
            barrier_init(ready, 1);
        barriers_publish();
        __syncthreads();
    }

    /* Keys and values in the order in which they are used: K0, K1, V0, K2, V1, ... */
    __device__ __forceinline__ uint32_t keys_at(uint32_t n) const
    {
        return n == 0 ? 0 : 2 * n - 1;
    }
    __device__ __forceinline__ uint32_t values_at(uint32_t n) const
    {
        return n + 1 == steps ? 2 * n + 1 : 2 * n + 2;
    }

    __device__ __forceinline__ void fill(uint32_t i, const tensor_map *map, uint32_t n)
    {
        uint32_t slot = i % SLOTS, layer = a.layer * a.kv_heads + head / a.group;
        barrier_wait(empty + slot, (i / SLOTS & 1) ^ 1);
        barrier_expect(full + slot, SLOT);
#pragma unroll
        for (int b = 0; b < BLOCKS; b++)
#pragma unroll
            for (int half = 0; half < ATTEND_KEYS / 64; half++)
                tile_copy(slots + slot * SLOT + b * BLOCK + half * 64 * 128, map, b * 64,
                          n * ATTEND_KEYS + half * 64, layer, full + slot);
    }
    __device__ __forceinline__ void load()
    {
        grid_wait();
        barrier_expect(ready, GROUPS * QUERY);
#pragma unroll
        for (int g = 0; g < GROUPS; g++)
#pragma unroll
            for (int b = 0; b < BLOCKS; b++)
                tile_copy(query + g * QUERY + b * 64 * 128, &a.query, b * 64, head,
                          a.first + q0 + g * 64, ready);
        fill(0, &a.keys, 0);
        for (uint32_t n = 1; n < steps; n++) {
            fill(keys_at(n), &a.keys, n);
            fill(values_at(n - 1), &a.values, n - 1);
        }
        fill(values_at(steps - 1), &a.values, steps - 1);
    }

    __device__ __forceinline__ void await_slot(uint32_t i)
    {
        barrier_wait(full + i % SLOTS, i / SLOTS & 1);
    }
    __device__ __forceinline__ void release(uint32_t i)
    {
        if (threadIdx.x % 32 == 0)
            barrier_arrive(empty + i % SLOTS);
    }

    /* score = the queries times the keys in slot i */
    __device__ __forceinline__ void score_begin(float (&score)[SCORES], uint32_t group, uint32_t i)
    {
        sums_hold(score);
        products_begin();
#pragma unroll
        for (int k = 0; k < SIZE / 16; k++)
            group_multiply(score,
                           tile_descriptor(query + group * QUERY + k / 4 * 64 * 128) + k % 4 * 2,
                           tile_descriptor(slots + i % SLOTS * SLOT + k / 4 * BLOCK) + k % 4 * 2,
                           k > 0, half_t());
        products_end();
    }
    /* sum += the shares times the values in slot i */
    __device__ __forceinline__ void mix_begin(float (&sum)[SUMS], uint32_t (&share)[SCORES / 2],
                                              uint32_t i, bool add)
    {
        sums_hold(sum);
        products_begin();
#pragma unroll
        for (int k = 0; k < ATTEND_KEYS / 16; k++)
            group_mix(sum, share + k * 4,
                      columns_descriptor(slots + i % SLOTS * SLOT + k * 16 * 128, BLOCK),
                      add || k > 0);
        products_end();
    }

    /* Hides what comes after a token, and takes exponentials; keep is what sums so far are worth.
     */
    __device__ __forceinline__ void softmax(float (&score)[SCORES], float (&max)[2],
                                            float (&total)[2], float (&keep)[2], uint32_t first,
                                            uint32_t seen)
    {
        uint32_t lane = threadIdx.x % 32;
        if (first + ATTEND_KEYS > seen) { /* seen: the position of the warpgroup's first token */
            uint32_t row = seen + threadIdx.x / 32 % 4 * 16 + lane / 4;
#pragma unroll
            for (int i = 0; i < SCORES; i++) {
                uint32_t p = first + i / 4 * 8 + lane % 4 * 2 + i % 2;
                score[i] = p <= row + i / 2 % 2 * 8 ? score[i] : -INFINITY;
            }
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float next = max[half], sum = 0;
#pragma unroll
            for (int i = half * 2; i < SCORES; i += 4)
                next = fmaxf(next, fmaxf(score[i], score[i + 1]));
            next = fmaxf(next, __shfl_xor_sync(0xffffffffu, next, 1));
            next = fmaxf(next, __shfl_xor_sync(0xffffffffu, next, 2));
            keep[half] = exp2_fast(max[half] - next);
            max[half] = next;
#pragma unroll
            for (int i = half * 2; i < SCORES; i += 4) {
                score[i] = exp2_fast(score[i] - next);
                score[i + 1] = exp2_fast(score[i + 1] - next);
                sum += score[i] + score[i + 1];
            }
            total[half] = total[half] * keep[half] + sum;
        }
    }
    __device__ __forceinline__ void shares_take(uint32_t (&share)[SCORES / 2],
                                                const float (&score)[SCORES])
    {
#pragma unroll
        for (int i = 0; i < SCORES / 2; i++) {
            __half2 pair = __floats2half2_rn(score[2 * i], score[2 * i + 1]);
            share[i] = *reinterpret_cast<uint32_t *>(&pair);
        }
    }

    __device__ __forceinline__ void compute(uint32_t group)
    {
        const uint32_t seen = a.position + q0 + group * 64;
        uint32_t mine = (seen + 64 + ATTEND_KEYS - 1) / ATTEND_KEYS;
        mine = mine < steps ? mine : steps;
        float score[SCORES], sum[SUMS], max[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0}, keep[2];
        uint32_t share[SCORES / 2];
        barrier_wait(ready, 0);
        await_slot(0);
        score_begin(score, group, 0);
        sums_hold(score);
        products_wait<0>();
        sums_hold(score);
        release(0);
        softmax(score, max, total, keep, 0, seen);
        shares_take(share, score);
        for (uint32_t n = 1; n < mine; n++) {
            await_slot(keys_at(n));
            score_begin(score, group, keys_at(n));
            await_slot(values_at(n - 1));
            mix_begin(sum, share, values_at(n - 1), n > 1);
            products_wait<1>();
            sums_hold(score);
            release(keys_at(n));
            softmax(score, max, total, keep, n * ATTEND_KEYS, seen);
            products_wait<0>();
            sums_hold(sum);
            sums_hold(share);
            release(values_at(n - 1));
#pragma unroll
            for (int i = 0; i < SUMS; i++)
                sum[i] *= keep[i / 2 % 2];
            shares_take(share, score);
        }
        await_slot(values_at(mine - 1));
        mix_begin(sum, share, values_at(mine - 1), mine > 1);
        products_wait<0>();
        sums_hold(sum);
        sums_hold(share);
        release(values_at(mine - 1));
        /* tiles that others of the block need */
        for (uint32_t i = 2 * mine - 1; i < 2 * steps && mine < steps; i++)
            if (i != values_at(mine - 1)) {
                await_slot(i);
                release(i);
            }
        store(sum, total, group);
    }

    __device__ __forceinline__ void store(const float (&sum)[SUMS], const float (&total)[2],
                                          uint32_t group)
    {
        uint32_t lane = threadIdx.x % 32;
        uint32_t t = q0 + group * 64 + threadIdx.x / 32 % 4 * 16 + lane / 4;
#pragma unroll
        for (int half = 0; half < 2; half++, t += 8) {
            float all = total[half];
            all += __shfl_xor_sync(0xffffffffu, all, 1);
            all += __shfl_xor_sync(0xffffffffu, all, 2);
            float share = 1 / all;
            if (t >= a.tokens)
                continue;
            T *to = (T *)a.mixed + ((size_t)t * a.heads + head) * SIZE + lane % 4 * 2;
#pragma unroll
            for (int j = 0; j < SIZE / 8; j++) {
                T pair[2] = {from_float<T>(sum[j * 4 + half * 2] * share),
                             from_float<T>(sum[j * 4 + half * 2 + 1] * share)};
                *reinterpret_cast<uint32_t *>(to + j * 8) = *reinterpret_cast<uint32_t *>(pair);
            }
        }
    }
};

template <typename T, int SIZE>
__device__ __forceinline__ void attend(const attend_arguments &arguments)
{
    enum { GROUPS = ATTEND_GROUPS(SIZE) };
    extern __shared__ unsigned char shared[];
    attention<T, SIZE> attention(arguments, shared);
    grid_next();
    uint32_t group = threadIdx.x / 128;
    if (group == GROUPS) {
        registers_give<GROUPS == 3 ? 32 : 40>();
        if (threadIdx.x == 128 * GROUPS)
            attention.load();
    } else {
        registers_take<GROUPS == 3 ? 160 : 232>();
        attention.compute(group);
    }
}
#define ATTEND_KERNEL(T, suffix, size)                                                             \
    extern "C" __global__ void __launch_bounds__(ATTEND_THREADS(size), 1)                          \
        attend_wide_##size##_##suffix(const __grid_constant__ attend_arguments arguments)          \
    {                                                                                              \
        attend<T, size>(arguments);                                                                \
    }
#else
#define ATTEND_KERNEL(T, suffix, size)                                                             \
    extern "C" __global__ void attend_wide_##size##_##suffix(                                      \
        const __grid_constant__ attend_arguments arguments)                                        \
    {                                                                                              \
    }
#endif

ATTEND_KERNEL(half_t, f16, 64)
ATTEND_KERNEL(half_t, f16, 128)
ATTEND_KERNEL(bfloat_t, bf16, 64)
ATTEND_KERNEL(bfloat_t, bf16, 128)
