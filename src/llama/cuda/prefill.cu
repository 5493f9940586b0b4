/* Prompts on the tensor cores, for weights of 16 bits: products of blocks of tokens, and attention
 * in tiles whose scores never leave the multiprocessor (FlashAttention, Dao 2023). Activations that
 * a product takes are rounded to the weights' type; every sum and the residual stream are float32. */
#include "llama/cuda/barrier.cuh"
#include "llama/cuda/element.cuh"
#include "llama/cuda/grid.cuh"
#include "llama/cuda/layout.h"

/* -- what the tensor cores take -- */

/* 16 bytes to shared memory; zeros when there is nothing to copy. */
__device__ __forceinline__ void copy16(void *to, const void *from, bool there)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(there ? 16 : 0));
}
__device__ __forceinline__ void copies_commit()
{
    asm volatile("cp.async.commit_group;");
}
template <int LEFT> __device__ __forceinline__ void copies_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT));
}
/* Four 8 x 8 matrices of 16 bits; lanes 8i to 8i + 7 name the rows of matrix i. */
__device__ __forceinline__ void matrices_load(uint32_t (&r)[4], const void *p)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p)));
}
__device__ __forceinline__ void matrices_load_transposed(uint32_t (&r)[4], const void *p)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p)));
}
/* c [16, 8] += a [16, 16] b [16, 8] */
__device__ __forceinline__ void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                         uint32_t b1, half_t)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, "
                 "%7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                         uint32_t b1, bfloat_t)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, "
                 "%6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* -- products -- */

enum { DEPTH = 64 }; /* columns of a tile: 128 bytes, 8 chunks of 16 */

/* Chunk c of row r of a tile: rows that are read together lie in different banks. */
__device__ __forceinline__ uint32_t chunk_at(uint32_t row, uint32_t chunk, uint32_t chunks)
{
    return (row * chunks + (chunk ^ (row & 7))) * 8;
}

/* out [tokens, rows] = x [tokens, columns] weights [rows, columns]^T in float32, or gated: [tokens,
 * rows / 2] = silu(even row) * odd row, of the weights' type. A block computes BM tokens by BN rows,
 * a warp WM by WN of them. Grid: tokens / BM, rows / BN, parts: each part has its share of the columns
 * and its own out. */
template <typename T, int BM, int BN, int WM, int WN, int STAGES>
__device__ __forceinline__ void product(void *out, const T *x, const T *weights, uint32_t tokens,
                                        uint32_t rows, uint32_t columns, uint32_t gated)
{
    enum { WARPS = BM / WM * (BN / WN), THREADS = 32 * WARPS, TM = WM / 16, TN = WN / 8 };
    extern __shared__ __align__(128) unsigned char shared[];
    T *tiles = reinterpret_cast<T *>(shared); /* [STAGES, BM + BN, DEPTH] */
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t m0 = blockIdx.x * BM, n0 = blockIdx.y * BN;
    const uint32_t wm = warp % (BM / WM) * WM, wn = warp / (BM / WM) * WN;
    const uint32_t begin = columns / DEPTH * blockIdx.z / gridDim.z;
    const uint32_t steps = columns / DEPTH * (blockIdx.z + 1) / gridDim.z - begin;

    auto fetch = [&](uint32_t step) {
        if (step < steps) {
            T *tile = tiles + step % STAGES * (BM + BN) * DEPTH;
#pragma unroll
            for (int i = 0; i < (BM + BN) * 8 / THREADS; i++) {
                uint32_t at = i * THREADS + threadIdx.x, row = at / 8, chunk = at % 8;
                bool token = row < BM;
                uint32_t index = token ? m0 + row : n0 + row - BM;
                bool there = index < (token ? tokens : rows);
                const T *from = (token ? x : weights) + (size_t)(there ? index : 0) * columns +
                                (begin + step) * DEPTH + chunk * 8;
                copy16(tile + chunk_at(row, chunk, 8), from, there);
            }
        }
        copies_commit();
    };

    float c[TM][TN][4] = {};
    grid_next();
    grid_wait();
#pragma unroll
    for (int i = 0; i < STAGES - 1; i++)
        fetch(i);
    for (uint32_t step = 0; step < steps; step++) {
        copies_wait<STAGES - 2>();
        __syncthreads();
        fetch(step + STAGES - 1);
        const T *a_tile = tiles + step % STAGES * (BM + BN) * DEPTH, *b_tile = a_tile + BM * DEPTH;
#pragma unroll
        for (int k = 0; k < DEPTH / 16; k++) {
            uint32_t a[TM][4], b[TN / 2][4];
#pragma unroll
            for (int i = 0; i < TM; i++)
                matrices_load(a[i], a_tile + chunk_at(wm + i * 16 + lane % 16, k * 2 + lane / 16, 8));
#pragma unroll
            for (int j = 0; j < TN / 2; j++)
                matrices_load(b[j], b_tile + chunk_at(wn + j * 16 + lane / 16 * 8 + lane % 8,
                                                      k * 2 + lane / 8 % 2, 8));
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int j = 0; j < TN; j++)
                    multiply(c[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1], T());
        }
    }
    copies_wait<0>();

#pragma unroll
    for (int i = 0; i < TM; i++) {
#pragma unroll
        for (int j = 0; j < TN; j++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                uint32_t m = m0 + wm + i * 16 + half * 8 + lane / 4;
                uint32_t n = n0 + wn + j * 8 + lane % 4 * 2;
                float low = c[i][j][half * 2], high = c[i][j][half * 2 + 1];
                if (m >= tokens || n >= rows)
                    continue;
                if (gated) {
                    ((T *)out)[(size_t)m * (rows / 2) + n / 2] =
                        from_float<T>(low / (1 + __expf(-low)) * high);
                } else {
                    float2 *to = reinterpret_cast<float2 *>(
                        (float *)out + ((size_t)blockIdx.z * tokens + m) * rows + n);
                    *to = make_float2(low, high);
                }
            }
        }
    }
}

/* The same for one token, a warp for ONE_ROWS rows: as fast as memory gives the weights. Grid: rows
 * / (8 * ONE_ROWS). */
enum { ONE_ROWS = 4 };
template <typename T>
__device__ __forceinline__ void product_one(float *out, const T *x, const T *weights, uint32_t rows,
                                            uint32_t columns)
{
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t row = (blockIdx.x * 8 + threadIdx.x / 32) * ONE_ROWS;
    float sum[ONE_ROWS] = {};
    grid_next();
    grid_wait();
#pragma unroll 2
    for (uint32_t c = lane * 8; c < columns; c += 256) {
        float in[8];
        unpack(in, *reinterpret_cast<const uint4 *>(x + c), T());
#pragma unroll
        for (int i = 0; i < ONE_ROWS; i++) {
            uint32_t r = row + i < rows ? row + i : rows - 1;
            float w[8];
            unpack(w, __ldcs(reinterpret_cast<const uint4 *>(weights + (size_t)r * columns + c)), T());
#pragma unroll
            for (int j = 0; j < 8; j++)
                sum[i] = fmaf(w[j], in[j], sum[i]);
        }
    }
#pragma unroll
    for (int i = 0; i < ONE_ROWS; i++) {
        float all = warp_sum(sum[i]);
        if (lane == 0 && row + i < rows)
            out[row + i] = all;
    }
}

/* -- attention -- */

enum { QUERIES = 64, KEYS = 64 }; /* of a tile */

/* mixed [tokens, heads, SIZE] for 64 tokens of one head, a warp for 16 of them; q [tokens, heads,
 * SIZE] is rotated and scaled, keys and values are the layer's. Grid: tiles, the last tokens' first;
 * heads. */
template <typename T, int SIZE>
__device__ __forceinline__ void attend(T *mixed, const half_t *q_in, const half_t *keys,
                                       const half_t *values, const cuda_shape &s, uint32_t tokens,
                                       uint32_t position)
{
    enum { CHUNKS = SIZE / 8, TILE = KEYS * SIZE };
    extern __shared__ __align__(128) unsigned char shared[];
    half_t *tiles = reinterpret_cast<half_t *>(shared); /* q, then 2 x (keys, values) */
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32, head = blockIdx.y;
    const uint32_t q0 = (gridDim.x - 1 - blockIdx.x) * QUERIES;
    const uint32_t kv = head / (s.heads / s.kv_heads);
    const uint32_t last = position + (q0 + QUERIES < tokens ? q0 + QUERIES : tokens);
    const uint32_t steps = (last + KEYS - 1) / KEYS;
    const size_t base = (size_t)kv * s.context * SIZE;

    auto fetch = [&](uint32_t step) {
        if (step < steps) {
            half_t *to = tiles + TILE + step % 2 * 2 * TILE;
#pragma unroll 4
            for (int i = threadIdx.x; i < KEYS * CHUNKS; i += 128) {
                uint32_t row = i / CHUNKS, chunk = i % CHUNKS, p = step * KEYS + row;
                size_t from = base + (size_t)(p < last ? p : 0) * SIZE + chunk * 8;
                copy16(to + chunk_at(row, chunk, CHUNKS), keys + from, p < last);
                copy16(to + TILE + chunk_at(row, chunk, CHUNKS), values + from, p < last);
            }
        }
        copies_commit();
    };
    grid_next();
    grid_wait();
#pragma unroll 4
    for (int i = threadIdx.x; i < QUERIES * CHUNKS; i += 128) {
        uint32_t row = i / CHUNKS, chunk = i % CHUNKS, t = q0 + row < tokens ? q0 + row : 0;
        copy16(tiles + chunk_at(row, chunk, CHUNKS),
               q_in + ((size_t)t * s.heads + head) * SIZE + chunk * 8, q0 + row < tokens);
    }
    copies_commit();
    fetch(0);
    copies_wait<1>();
    __syncthreads();
    uint32_t q[SIZE / 16][4];
#pragma unroll
    for (int k = 0; k < SIZE / 16; k++)
        matrices_load(q[k],
                      tiles + chunk_at(warp * 16 + lane % 16, k * 2 + lane / 16, CHUNKS));

    float out[SIZE / 8][4] = {}, max[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
    for (uint32_t step = 0; step < steps; step++) {
        fetch(step + 1);
        copies_wait<1>();
        __syncthreads();
        const half_t *k_tile = tiles + TILE + step % 2 * 2 * TILE, *v_tile = k_tile + TILE;
        float score[KEYS / 8][4] = {};
#pragma unroll
        for (int k = 0; k < SIZE / 16; k++) {
#pragma unroll
            for (int j = 0; j < KEYS / 16; j++) {
                uint32_t b[4];
                matrices_load(b, k_tile + chunk_at(j * 16 + lane / 16 * 8 + lane % 8,
                                                   k * 2 + lane / 8 % 2, CHUNKS));
                multiply(score[2 * j], q[k], b[0], b[1], half_t());
                multiply(score[2 * j + 1], q[k], b[2], b[3], half_t());
            }
        }
#pragma unroll
        for (int half = 0; half < 2; half++) { /* this lane's two tokens */
            uint32_t seen = position + q0 + warp * 16 + half * 8 + lane / 4;
            float next = max[half];
#pragma unroll
            for (int j = 0; j < KEYS / 8; j++) {
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    uint32_t p = step * KEYS + j * 8 + lane % 4 * 2 + e;
                    float &x = score[j][half * 2 + e];
                    x = p <= seen ? x : -INFINITY;
                    next = fmaxf(next, x);
                }
            }
            next = fmaxf(next, __shfl_xor_sync(0xffffffffu, next, 1));
            next = fmaxf(next, __shfl_xor_sync(0xffffffffu, next, 2));
            float keep = exp2f(max[half] - next), sum = 0;
            max[half] = next;
#pragma unroll
            for (int j = 0; j < KEYS / 8; j++) {
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    float &x = score[j][half * 2 + e];
                    x = exp2f(x - next);
                    sum += x;
                }
            }
            total[half] = total[half] * keep + sum;
#pragma unroll
            for (int j = 0; j < SIZE / 8; j++) {
                out[j][half * 2] *= keep;
                out[j][half * 2 + 1] *= keep;
            }
        }
#pragma unroll
        for (int k = 0; k < KEYS / 16; k++) {
            uint32_t a[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                __half2 pair = __floats2half2_rn(score[2 * k + i / 2][i % 2 * 2],
                                                 score[2 * k + i / 2][i % 2 * 2 + 1]);
                a[i] = *reinterpret_cast<uint32_t *>(&pair);
            }
#pragma unroll
            for (int j = 0; j < SIZE / 16; j++) {
                uint32_t b[4];
                matrices_load_transposed(
                    b, v_tile + chunk_at(k * 16 + lane % 16, j * 2 + lane / 16, CHUNKS));
                multiply(out[2 * j], a, b[0], b[1], half_t());
                multiply(out[2 * j + 1], a, b[2], b[3], half_t());
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        uint32_t t = q0 + warp * 16 + half * 8 + lane / 4;
        float sum = total[half];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        if (t >= tokens)
            continue;
        T *to = mixed + ((size_t)t * s.heads + head) * SIZE + lane % 4 * 2;
#pragma unroll
        for (int j = 0; j < SIZE / 8; j++) {
            to[j * 8] = from_float<T>(out[j][half * 2] / sum);
            to[j * 8 + 1] = from_float<T>(out[j][half * 2 + 1] / sum);
        }
    }
}

#define PREFILL_KERNELS(T, suffix)                                                                 \
    extern "C" __global__ void __launch_bounds__(256)                                              \
        product_large_##suffix(void *out, const T *x, const T *weights, uint32_t tokens,           \
                               uint32_t rows, uint32_t columns, uint32_t gated)                     \
    {                                                                                              \
        product<T, 128, 128, 64, 32, 3>(out, x, weights, tokens, rows, columns, gated);             \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256)                                              \
        product_small_##suffix(void *out, const T *x, const T *weights, uint32_t tokens,           \
                               uint32_t rows, uint32_t columns, uint32_t gated)                     \
    {                                                                                              \
        product<T, 128, 32, 32, 16, 4>(out, x, weights, tokens, rows, columns, gated);              \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) product_one_##suffix(                        \
        float *out, const T *x, const T *weights, uint32_t rows, uint32_t columns)                 \
    {                                                                                              \
        product_one(out, x, weights, rows, columns);                                               \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(128)                                              \
        attend_64_##suffix(T *mixed, const half_t *q, const half_t *keys, const half_t *values,   \
                           cuda_shape s, uint32_t tokens, uint32_t position)                       \
    {                                                                                              \
        attend<T, 64>(mixed, q, keys, values, s, tokens, position);                              \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(128)                                              \
        attend_128_##suffix(T *mixed, const half_t *q, const half_t *keys, const half_t *values,  \
                            cuda_shape s, uint32_t tokens, uint32_t position)                      \
    {                                                                                              \
        attend<T, 128>(mixed, q, keys, values, s, tokens, position);                             \
    }

PREFILL_KERNELS(half_t, f16)
PREFILL_KERNELS(bfloat_t, bf16)
