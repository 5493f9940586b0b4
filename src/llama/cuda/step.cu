/* One token by one kernel after the other, as fast as memory gives the weights: for models that are
 * split over cards, which exchange between them, and cards that have no kernel that stays (decode.cu).
 * Activations and sums are float32. What changes from token to token is in device memory, so that
 * all of it can be recorded once. */
#include "llama/cuda/element.cuh"
#include "llama/cuda/grid.cuh"
#include "llama/cuda/layout.h"

enum { WARPS = 8, THREADS = 32 * WARPS, NORM_WARPS = 32, NORM_THREADS = 32 * NORM_WARPS };

/* x += delta where there is one, out = its norm. Grid: 1. */
extern "C" __global__ void __launch_bounds__(NORM_THREADS)
    step_norm(float *out, float *x, const float *delta, const float *weight, uint32_t hidden,
              float eps)
{
    __shared__ float sums[NORM_WARPS];
    float sum = 0;
    grid_next();
#pragma unroll 4
    for (uint32_t i = threadIdx.x; i < hidden; i += NORM_THREADS) {
        float v = x[i];
        if (delta)
            x[i] = v += delta[i];
        sum += v * v;
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0)
        sums[threadIdx.x / 32] = sum;
    __syncthreads();
    const float factor =
        1 / sqrtf(warp_sum(sums[threadIdx.x % 32]) / (float)hidden + eps);
#pragma unroll 4
    for (uint32_t i = threadIdx.x; i < hidden; i += NORM_THREADS)
        out[i] = x[i] * factor * weight[i];
}

/* The sums of ROWS rows from row on with x, known to all lanes: a lane has the packs lane, lane +
 * 32, ... of the columns, so the order depends on the columns alone. Packs are asked for AHEAD of
 * their turn; the first ones, which nothing changes, before the kernel before has ended. */
template <typename T, int ROWS>
__device__ __forceinline__ void rows_sum(float (&sum)[ROWS], const T *weights, const float *x,
                                         uint32_t row, uint32_t rows, uint32_t columns)
{
    enum { PACK = pack<T>::COUNT, STEP = 32 * PACK, AHEAD = 4 / ROWS };
    const uint32_t lane = threadIdx.x % 32;
    const T *from[ROWS];
    uint4 next[AHEAD][ROWS];
#pragma unroll
    for (int i = 0; i < ROWS; i++) {
        sum[i] = 0;
        from[i] = weights + (size_t)(row + i < rows ? row + i : rows - 1) * columns;
    }
    auto ask = [&](int n, int i, uint32_t c) {
        if (c < columns)
            next[n][i] = __ldcs(reinterpret_cast<const uint4 *>(from[i] + c));
    };
#pragma unroll
    for (int n = 0; n < AHEAD; n++)
#pragma unroll
        for (int i = 0; i < ROWS; i++)
            ask(n, i, lane * PACK + n * STEP);
    grid_next();
    grid_wait();
    for (uint32_t first = lane * PACK; first < columns; first += AHEAD * STEP) {
#pragma unroll
        for (int n = 0; n < AHEAD; n++) {
            const uint32_t c = first + n * STEP;
            if (c >= columns)
                break;
            float in[PACK], w[PACK];
#pragma unroll
            for (int j = 0; j < PACK; j += 4)
                *reinterpret_cast<float4 *>(in + j) = *reinterpret_cast<const float4 *>(x + c + j);
#pragma unroll
            for (int i = 0; i < ROWS; i++) {
                unpack(w, next[n][i], T());
                ask(n, i, c + AHEAD * STEP);
#pragma unroll
                for (int j = 0; j < PACK; j++)
                    sum[i] = fmaf(w[j], in[j], sum[i]);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < ROWS; i++)
        sum[i] = warp_sum(sum[i]);
}

/* out [rows] = weights [rows, columns] x; or gated: [rows / 2] = silu(even row) * odd row. A warp
 * takes ROWS rows. Grid: rows / (WARPS * ROWS). */
template <typename T, int ROWS>
__device__ __forceinline__ void product(float *out, const T *weights, const float *x, uint32_t rows,
                                        uint32_t columns)
{
    const uint32_t row = (blockIdx.x * WARPS + threadIdx.x / 32) * ROWS;
    float sum[ROWS];
    rows_sum<T, ROWS>(sum, weights, x, row, rows, columns);
    if (threadIdx.x % 32 != 0)
        return;
#pragma unroll
    for (int i = 0; i < ROWS; i++)
        if (row + i < rows)
            out[row + i] = sum[i];
}
template <typename T, int ROWS>
__device__ __forceinline__ void product_gated(float *out, const T *weights, const float *x,
                                              uint32_t rows, uint32_t columns)
{
    const uint32_t row = (blockIdx.x * WARPS + threadIdx.x / 32) * ROWS;
    float sum[ROWS];
    rows_sum<T, ROWS>(sum, weights, x, row, rows, columns);
    if (threadIdx.x % 32 != 0)
        return;
#pragma unroll
    for (int i = 0; i < ROWS; i += 2)
        if (row + i < rows)
            out[(row + i) / 2] = sum[i] / (1 + expf(-sum[i])) * sum[i + 1];
}

/* -- attention -- */

enum { AT_ONCE = 4, WIDEST = 256 }; /* positions of a warp; elements of a head */

/* A lane's PARTS elements of a row. */
template <int PARTS>
__device__ __forceinline__ void lane_load(float (&out)[PARTS], const half_t *row)
{
#pragma unroll
    for (int i = 0; i < PARTS; i += 2) {
        float2 v = __half22float2(*reinterpret_cast<const __half2 *>(row + i));
        out[i] = v.x;
        out[i + 1] = v.y;
    }
}
template <int PARTS> __device__ __forceinline__ void lane_load(float (&out)[PARTS], const float *row)
{
#pragma unroll
    for (int i = 0; i < PARTS; i += 2)
        *reinterpret_cast<float2 *>(out + i) = *reinterpret_cast<const float2 *>(row + i);
}

/* What a block knows of the token: its query, scaled, and its key and value as the cache has them. */
struct token_rows {
    float q[WIDEST], k[WIDEST], v[WIDEST];
};

/* Rotates q and k of a head by the token's position. */
template <typename C>
__device__ __forceinline__ void token_rotate(token_rows &now, const float *qkv,
                                             const float *frequency, const cuda_shape &s,
                                             uint32_t position)
{
    const uint32_t group = s.heads / s.kv_heads, half = s.head_size / 2, size = s.head_size;
    const float *of = qkv + (size_t)(blockIdx.x / group) * qkv_head_rows(&s);
    const float *q = of + blockIdx.x % group * size, *k = of + group * size, *v = k + size;
    const float scale = 1 / sqrtf((float)size);
    for (uint32_t i = threadIdx.x; i < half; i += THREADS) {
        float sine, cosine;
        sincosf((float)position * frequency[i], &sine, &cosine);
        now.q[i] = (q[i] * cosine - q[i + half] * sine) * scale;
        now.q[i + half] = (q[i] * sine + q[i + half] * cosine) * scale;
        now.k[i] = to_float(from_float<C>(k[i] * cosine - k[i + half] * sine));
        now.k[i + half] = to_float(from_float<C>(k[i] * sine + k[i + half] * cosine));
    }
    for (uint32_t i = threadIdx.x; i < size; i += THREADS)
        now.v[i] = to_float(from_float<C>(v[i]));
    __syncthreads();
}

/* What has been attended to: the shares' sum of values, the largest score, the sum of shares. */
template <int PARTS> struct attended {
    float sum[PARTS], max, total;
};

/* A warp's positions of [begin, end), AT_ONCE of them, then those WARPS * AT_ONCE further on. */
template <typename C, int PARTS>
__device__ __forceinline__ void warp_attend(attended<PARTS> &a, const token_rows &now, const C *keys,
                                            const C *values, uint32_t size, uint32_t position,
                                            uint32_t begin, uint32_t end)
{
    const uint32_t warp = threadIdx.x / 32, at = threadIdx.x % 32 * PARTS;
    const bool there = at < size;
    for (uint32_t first = begin + warp * AT_ONCE; first < end; first += WARPS * AT_ONCE) {
        float k[AT_ONCE][PARTS] = {}, v[AT_ONCE][PARTS] = {}, score[AT_ONCE], next = a.max;
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) {
            const uint32_t p = first + j;
            if (there && p < end && p != position) {
                lane_load<PARTS>(k[j], keys + (size_t)p * size + at);
                lane_load<PARTS>(v[j], values + (size_t)p * size + at);
            } else if (there && p == position) {
                lane_load<PARTS>(k[j], now.k + at);
                lane_load<PARTS>(v[j], now.v + at);
            }
        }
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) {
            score[j] = 0;
#pragma unroll
            for (int i = 0; i < PARTS; i++)
                if (there)
                    score[j] = fmaf(now.q[at + i], k[j][i], score[j]);
            score[j] = warp_sum(score[j]);
            score[j] = first + j < end ? score[j] : -INFINITY;
            next = fmaxf(next, score[j]);
        }
        const float keep = expf(a.max - next);
        a.max = next;
        a.total *= keep;
#pragma unroll
        for (int i = 0; i < PARTS; i++)
            a.sum[i] *= keep;
#pragma unroll
        for (int j = 0; j < AT_ONCE; j++) {
            const float share = expf(score[j] - next);
            a.total += share;
#pragma unroll
            for (int i = 0; i < PARTS; i++)
                a.sum[i] = fmaf(share, v[j][i], a.sum[i]);
        }
    }
}

/* Element i of so many parts [parts, size + 2] merged: above over below is attention's. */
struct merged {
    float above, below, max;
};
__device__ __forceinline__ merged merge(const volatile float *parts, uint32_t count, uint32_t size,
                                        uint32_t i)
{
    merged m = {0, 0, -INFINITY};
    for (uint32_t n = 0; n < count; n++)
        m.max = fmaxf(m.max, parts[n * (size + 2) + size]);
    for (uint32_t n = 0; n < count; n++) {
        const volatile float *part = parts + n * (size + 2);
        const float share = expf(part[size] - m.max);
        m.above += share * part[i];
        m.below += share * part[size + 1];
    }
    return m;
}

/* mixed [heads, size] of a token, whose key and value go to the cache; keys and values are the
 * layer's. Up to gridDim.y blocks share a head's positions, LEAST or more each, and leave their
 * parts [heads, gridDim.y, size + 2]; the last to end merges them, and leaves ended 0. Grid: heads,
 * splits. */
template <typename C, int PARTS>
__device__ __forceinline__ void attend(float *mixed, float *parts, uint32_t *ended,
                                       const float *qkv, C *keys, C *values, const float *frequency,
                                       const cuda_shape &s, const token_state *state)
{
    enum { LEAST = 64 };
    __shared__ token_rows now;
    __shared__ float shares[WARPS * (WIDEST + 2)];
    __shared__ bool last;
    grid_next();
    grid_wait();
    const uint32_t head = blockIdx.x, split = blockIdx.y, size = s.head_size;
    const uint32_t group = s.heads / s.kv_heads, kv = head / group, warp = threadIdx.x / 32;
    const uint32_t position = state->position, count = position + 1;
    const uint32_t most = (count + LEAST - 1) / LEAST;
    const uint32_t splits = most < gridDim.y ? most : gridDim.y;
    if (split >= splits)
        return;
    token_rotate<C>(now, qkv, frequency, s, position);
    C *k = keys + (size_t)kv * s.context * size, *v = values + (size_t)kv * s.context * size;
    for (uint32_t i = threadIdx.x; i < size && split == 0 && head % group == 0; i += THREADS) {
        k[(size_t)position * size + i] = from_float<C>(now.k[i]);
        v[(size_t)position * size + i] = from_float<C>(now.v[i]);
    }
    attended<PARTS> a = {{}, -INFINITY, 0};
    warp_attend<C, PARTS>(a, now, k, v, size, position, (uint32_t)((uint64_t)count * split / splits),
                          (uint32_t)((uint64_t)count * (split + 1) / splits));
    float *mine = shares + warp * (size + 2);
#pragma unroll
    for (int i = 0; i < PARTS; i++)
        if (threadIdx.x % 32 * PARTS + i < size)
            mine[threadIdx.x % 32 * PARTS + i] = a.sum[i];
    if (threadIdx.x % 32 == 0) {
        mine[size] = a.max;
        mine[size + 1] = a.total;
    }
    __syncthreads();
    float *part = parts + ((size_t)head * gridDim.y + split) * (size + 2);
    for (uint32_t i = threadIdx.x; i < size; i += THREADS) {
        const merged m = merge(shares, WARPS, size, i);
        if (splits == 1)
            mixed[(size_t)head * size + i] = m.above / m.below;
        part[i] = m.above;
        part[size] = m.max; /* the same of all threads */
        part[size + 1] = m.below;
    }
    if (splits == 1)
        return;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicInc(ended + head, splits - 1) == splits - 1;
        __threadfence();
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; last && i < size; i += THREADS) {
        const merged m = merge(parts + (size_t)head * gridDim.y * (size + 2), splits, size, i);
        mixed[(size_t)head * size + i] = m.above / m.below;
    }
}

#define PRODUCT_KERNELS(T, suffix)                                                                 \
    extern "C" __global__ void __launch_bounds__(THREADS)                                          \
        step_product_1_##suffix(float *out, const T *weights, const float *x, uint32_t rows,       \
                                uint32_t columns)                                                  \
    {                                                                                              \
        product<T, 1>(out, weights, x, rows, columns);                                             \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS)                                          \
        step_product_4_##suffix(float *out, const T *weights, const float *x, uint32_t rows,       \
                                uint32_t columns)                                                  \
    {                                                                                              \
        product<T, 4>(out, weights, x, rows, columns);                                             \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS)                                          \
        step_gated_##suffix(float *out, const T *weights, const float *x, uint32_t rows,           \
                            uint32_t columns)                                                      \
    {                                                                                              \
        product_gated<T, 4>(out, weights, x, rows, columns);                                       \
    }
#define ATTEND_KERNEL(C, PARTS, name)                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS)                                          \
        step_attend_##name(float *mixed, float *parts, uint32_t *ended, const float *qkv, C *keys, \
                           C *values, const float *frequency, const cuda_shape s,                  \
                           const token_state *state)                                               \
    {                                                                                              \
        attend<C, PARTS>(mixed, parts, ended, qkv, keys, values, frequency, s, state);             \
    }

PRODUCT_KERNELS(float, f32)
PRODUCT_KERNELS(half_t, f16)
PRODUCT_KERNELS(bfloat_t, bf16)
ATTEND_KERNEL(half_t, 2, 64_f16)
ATTEND_KERNEL(half_t, 4, 128_f16)
ATTEND_KERNEL(half_t, 8, 256_f16)
ATTEND_KERNEL(float, 2, 64_f32)
ATTEND_KERNEL(float, 4, 128_f32)
ATTEND_KERNEL(float, 8, 256_f32)
