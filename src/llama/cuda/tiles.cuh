/* The product of many tokens by a matrix in plain float32, for any card. A block has a tile of
 * sums. Steps of its columns pass through shared memory, columns outermost. Of a step each warp
 * takes some columns, for the whole tile; at the end the warps' sums are added in their order. */
#ifndef PRONY_LLAMA_CUDA_TILES_CUH
#define PRONY_LLAMA_CUDA_TILES_CUH

#include "llama/cuda/element.cuh"

enum {
    TILE_WARPS = 8,
    TILE_TOKENS = 64,
    TILE_ROWS = 32,
    TILE_COLUMNS = 32, /* of a step */
    LANE = 8,          /* tokens, and rows, that a lane has */
    PAD = 4
};
struct tile_step {
    float x[TILE_COLUMNS][TILE_TOKENS + PAD]; /* padded: a step is stored without bank conflicts */
    float w[TILE_COLUMNS][TILE_ROWS + PAD];
};
template <typename T> struct alignas(4 * sizeof(T)) four {
    T element[4];
};

/* Four columns of a row; 0 where the matrix has none. */
template <typename T>
__device__ __forceinline__ float4 four_load(const T *matrix, uint32_t row, uint32_t rows,
                                            uint32_t column, uint32_t columns)
{
    if (row >= rows || column >= columns)
        return make_float4(0, 0, 0, 0);
    const four<T> v = *reinterpret_cast<const four<T> *>(matrix + (size_t)row * columns + column);
    return make_float4(to_float(v.element[0]), to_float(v.element[1]), to_float(v.element[2]),
                       to_float(v.element[3]));
}
template <int WIDTH>
__device__ __forceinline__ void four_store(float (&to)[TILE_COLUMNS][WIDTH], uint32_t column,
                                           uint32_t line, float4 v)
{
    to[column][line] = v.x;
    to[column + 1][line] = v.y;
    to[column + 2][line] = v.z;
    to[column + 3][line] = v.w;
}

/* Eight neighbours of a lane: four, and four in the other half. */
__device__ __forceinline__ void lane_load(float (&v)[LANE], const float *line, uint32_t half)
{
    *reinterpret_cast<float4 *>(v) = *reinterpret_cast<const float4 *>(line);
    *reinterpret_cast<float4 *>(v + 4) = *reinterpret_cast<const float4 *>(line + half);
}
__device__ __forceinline__ uint32_t lane_place(uint32_t part, uint32_t i, uint32_t half)
{
    return part * 4 + i % 4 + i / 4 * half;
}

/* A warp's columns of a step. Lane 8 j + i has the i-th tokens and the j-th rows. */
__device__ __forceinline__ void step_multiply(float (&sum)[LANE][LANE], const tile_step &step)
{
    const uint32_t i = threadIdx.x % 8, j = threadIdx.x / 8 % 4, warp = threadIdx.x / 32;
#pragma unroll
    for (uint32_t n = 0; n < TILE_COLUMNS / TILE_WARPS; n++) {
        const uint32_t c = warp * (TILE_COLUMNS / TILE_WARPS) + n;
        float x[LANE], w[LANE];
        lane_load(x, step.x[c] + i * 4, TILE_TOKENS / 2);
        lane_load(w, step.w[c] + j * 4, TILE_ROWS / 2);
#pragma unroll
        for (int t = 0; t < LANE; t++)
#pragma unroll
            for (int r = 0; r < LANE; r++)
                sum[t][r] = fmaf(x[t], w[r], sum[t][r]);
    }
}

/* total [TILE_TOKENS, TILE_ROWS] = the sums of all warps. */
__device__ __forceinline__ void tile_add(float (*total)[TILE_ROWS + 1],
                                         const float (&sum)[LANE][LANE])
{
    const uint32_t i = threadIdx.x % 8, j = threadIdx.x / 8 % 4, warp = threadIdx.x / 32;
#pragma unroll 1
    for (uint32_t turn = 0; turn < TILE_WARPS; turn++) {
        __syncthreads();
        if (warp != turn)
            continue;
#pragma unroll
        for (int t = 0; t < LANE; t++)
#pragma unroll
            for (int r = 0; r < LANE; r++) {
                float *to =
                    &total[lane_place(i, t, TILE_TOKENS / 2)][lane_place(j, r, TILE_ROWS / 2)];
                *to = turn ? *to + sum[t][r] : sum[t][r];
            }
    }
    __syncthreads();
}

/* out[t, r] = sum over c of weights[r, c] * x[t, c]; columns are a multiple
 * of 4. Grid: tokens / TILE_TOKENS, rows / TILE_ROWS. */
template <typename T>
__device__ void matmul_tiles(float *out, const T *weights, const float *x, uint32_t rows,
                             uint32_t columns, uint32_t tokens)
{
    __shared__ tile_step steps[2];
    const uint32_t token = blockIdx.x * TILE_TOKENS, row = blockIdx.y * TILE_ROWS;
    /* what a thread copies of a step: four columns of two tokens and of a row */
    const uint32_t line = threadIdx.x / 128 * 16 + threadIdx.x % 32 / 2;
    const uint32_t column = (threadIdx.x / 32 % 4 * 2 + threadIdx.x % 2) * 4;
    float sum[LANE][LANE] = {};
    float4 first = four_load(x, token + line, tokens, column, columns);
    float4 second = four_load(x, token + line + TILE_TOKENS / 2, tokens, column, columns);
    float4 weight = four_load(weights, row + line, rows, column, columns);
#pragma unroll 1
    for (uint32_t begin = 0, now = 0; begin < columns; begin += TILE_COLUMNS, now ^= 1) {
        const uint32_t next = begin + TILE_COLUMNS + column;
        four_store(steps[now].x, column, line, first);
        four_store(steps[now].x, column, line + TILE_TOKENS / 2, second);
        four_store(steps[now].w, column, line, weight);
        __syncthreads();
        first = four_load(x, token + line, tokens, next, columns);
        second = four_load(x, token + line + TILE_TOKENS / 2, tokens, next, columns);
        weight = four_load(weights, row + line, rows, next, columns);
        step_multiply(sum, steps[now]);
    }
    float(*total)[TILE_ROWS + 1] = reinterpret_cast<float(*)[TILE_ROWS + 1]>(&steps[0]);
    tile_add(total, sum);
    for (uint32_t i = threadIdx.x; i < TILE_TOKENS * TILE_ROWS; i += 32 * TILE_WARPS) {
        const uint32_t t = i / TILE_ROWS, r = i % TILE_ROWS;
        if (token + t < tokens && row + r < rows)
            out[(size_t)(token + t) * rows + row + r] = total[t][r];
    }
}

#endif
