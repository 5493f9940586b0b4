/* Quantised matrices by kernels that any card has: products, whose sums are float32, and the
 * weights as 16 bits, for the tensor cores. */
#include "llama/cuda/codes.cuh"

enum { WARPS = 8, THREADS = 32 * WARPS, TOKENS = 8 };

/* nf4's values, for every lane. */
enum { TABLE = 16 * 32 };
__device__ __forceinline__ void values_share(float (&shared)[TABLE], const nf4_values &values)
{
    for (uint32_t i = threadIdx.x; i < TABLE; i += THREADS)
        shared[i] = values.code[i / 32];
    __syncthreads();
}

/* A lane's 16 of x. */
__device__ __forceinline__ void lane_x(float (&out)[CODES_LANE], const float *x)
{
#pragma unroll
    for (int i = 0; i < CODES_LANE; i += 4)
        *reinterpret_cast<float4 *>(out + i) = *reinterpret_cast<const float4 *>(x + i);
}
__device__ __forceinline__ void lane_x(float (&out)[CODES_LANE], const half_t *x)
{
#pragma unroll
    for (int i = 0; i < CODES_LANE; i += 8) {
        float eight[8];
        unpack(eight, *reinterpret_cast<const uint4 *>(x + i), half_t());
#pragma unroll
        for (int j = 0; j < 8; j++)
            out[i + j] = eight[j];
    }
}

/* The sum of a lane's weights times x, as far as there are columns; all of them at once where x is
 * aligned. */
template <typename X>
__device__ __forceinline__ float lane_sum(const float (&w)[CODES_LANE], const X *x, uint32_t left,
                                          bool aligned)
{
    float sum = 0, in[CODES_LANE];
    if (aligned && left >= CODES_LANE) {
        lane_x(in, x);
#pragma unroll
        for (int i = 0; i < CODES_LANE; i++)
            sum = fmaf(w[i], in[i], sum);
        return sum;
    }
#pragma unroll
    for (int i = 0; i < CODES_LANE; i++)
        if (i < left)
            sum = fmaf(w[i], to_float(x[i]), sum);
    return sum;
}

/* out[t, r] = sum over c of weights[r, c] * x[t, c]. A block takes a group
 * of rows for TOKENS tokens, its warps the units warp, warp + WARPS, ...: the sum's order depends on
 * the columns alone. Grid: groups, tokens / TOKENS. */
template <typename M, typename X>
__device__ __forceinline__ void multiply(float *out, const X *x, const char *matrix, uint32_t rows,
                                         uint32_t columns, uint32_t tokens,
                                         const nf4_values &values)
{
    __shared__ float table[TABLE], sums[WARPS][TOKENS][CODES_ROWS];
    const codes_kind kind = (codes_kind)M::KIND;
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t row = lane / 4, part = lane % 4 * CODES_LANE;
    const uint32_t first = blockIdx.y * TOKENS;
    const uint32_t count = tokens - first < TOKENS ? tokens - first : TOKENS;
    const bool aligned = columns * sizeof(X) % 16 == 0;
    const char *group = matrix + blockIdx.x * codes_group_bytes(kind, columns);
    float sum[TOKENS] = {};
    if (M::KIND == CODES_NF4)
        values_share(table, values);
    for (uint32_t unit = warp; unit < codes_units(columns); unit += WARPS) {
        const uint32_t c = unit * CODES_COLUMNS + part, left = c < columns ? columns - c : 0;
        float w[CODES_LANE];
        lane_codes(w, group + (size_t)unit * codes_unit_bytes(kind), lane, table + lane, M());
        float scale = M::KIND == CODES_NF4 ? code_scale<M>(group, columns, row, unit) : 1;
#pragma unroll
        for (uint32_t t = 0; t < TOKENS; t++)
            if (t < count)
                sum[t] += lane_sum(w, x + (size_t)(first + t) * columns + c, left, aligned) * scale;
    }
#pragma unroll
    for (uint32_t t = 0; t < TOKENS; t++) {
        sum[t] += __shfl_xor_sync(0xffffffffu, sum[t], 1);
        sum[t] += __shfl_xor_sync(0xffffffffu, sum[t], 2);
        if (part == 0)
            sums[warp][t][row] = sum[t];
    }
    __syncthreads();
    const uint32_t t = threadIdx.x / CODES_ROWS, r = threadIdx.x % CODES_ROWS;
    const uint32_t to_row = blockIdx.x * CODES_ROWS + r;
    if (t >= count || to_row >= rows)
        return;
    float total = 0;
    for (int w = 0; w < WARPS; w++)
        total += sums[w][t][r];
    if (M::KIND == CODES_INT8)
        total *= code_scale<M>(group, columns, r, 0);
    out[(size_t)(first + t) * rows + to_row] = total;
}

/* out [rows, columns] = the weights. A warp takes the units warp, warp + WARPS, ... Grid: groups. */
template <typename M>
__device__ __forceinline__ void unpack_matrix(half_t *out, const char *matrix, uint32_t rows,
                                              uint32_t columns, const nf4_values &values)
{
    __shared__ float table[TABLE];
    const codes_kind kind = (codes_kind)M::KIND;
    const uint32_t lane = threadIdx.x % 32, row = blockIdx.x * CODES_ROWS + lane / 4;
    const char *group = matrix + blockIdx.x * codes_group_bytes(kind, columns);
    if (M::KIND == CODES_NF4)
        values_share(table, values);
    for (uint32_t unit = threadIdx.x / 32; unit < codes_units(columns); unit += WARPS) {
        float w[CODES_LANE];
        __half2 pairs[CODES_LANE / 2];
        lane_codes(w, group + (size_t)unit * codes_unit_bytes(kind), lane, table + lane, M());
        const float scale = code_scale<M>(group, columns, lane / 4, unit);
#pragma unroll
        for (int i = 0; i < CODES_LANE / 2; i++)
            pairs[i] = __floats2half2_rn(w[2 * i] * scale, w[2 * i + 1] * scale);
        uint4 *to = reinterpret_cast<uint4 *>(out + (size_t)row * columns + unit * CODES_COLUMNS +
                                              lane % 4 * CODES_LANE);
        if (row < rows) {
            to[0] = reinterpret_cast<const uint4 *>(pairs)[0];
            to[1] = reinterpret_cast<const uint4 *>(pairs)[1];
        }
    }
}

#define MULTIPLY_KERNEL(M, X, suffix)                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS)                                          \
        multiply_##suffix(float *out, const X *x, const char *matrix, uint32_t rows,               \
                          uint32_t columns, uint32_t tokens,                                       \
                          const __grid_constant__ nf4_values values)                               \
    {                                                                                              \
        multiply<M>(out, x, matrix, rows, columns, tokens, values);                                \
    }
#define UNPACK_KERNEL(M, suffix)                                                                   \
    extern "C" __global__ void __launch_bounds__(THREADS)                                          \
        unpack_##suffix(half_t *out, const char *matrix, uint32_t rows, uint32_t columns,          \
                        const __grid_constant__ nf4_values values)                                 \
    {                                                                                              \
        unpack_matrix<M>(out, matrix, rows, columns, values);                                      \
    }

MULTIPLY_KERNEL(int8_codes, float, int8_f32)
MULTIPLY_KERNEL(int8_codes, half_t, int8_f16)
MULTIPLY_KERNEL(nf4_codes, float, nf4_f32)
MULTIPLY_KERNEL(nf4_codes, half_t, nf4_f16)
UNPACK_KERNEL(int8_codes, int8)
UNPACK_KERNEL(nf4_codes, nf4)
