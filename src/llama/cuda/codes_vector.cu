/* Quantised matrices times one vector, as fast as memory gives the codes: what a token by steps
 * (step.h) takes. Sums are the tensor cores' float32.
 *
 * A block on each multiprocessor takes pairs of groups of rows (codes.h), one after the other, and each
 * of its warps the same part of every pair's units, which it asks for AHEAD of their turn, over the
 * borders of pairs. The first ones, which nothing changes, are asked for before the kernel before has
 * ended. The vector is in shared memory as halves (halves.cuh). */
#include "llama/cuda/barrier.cuh"
#include "llama/cuda/codes.cuh"
#include "llama/cuda/grid.cuh"
#include "llama/cuda/halves.cuh"

enum { WARPS = CODES_VECTOR_WARPS, THREADS = 32 * WARPS, PAIR_ROWS = 2 * CODES_ROWS };

/* What a lane has of a unit of both groups, LANE bytes of the codes of each: of nf4 with the scales of
 * its rows. There are registers for so many BLOCKS on a multiprocessor: where it is two, the next
 * kernel's first codes come while this one ends; nf4 is faster with twice the registers. */
template <typename M> struct unit_codes;
template <> struct unit_codes<int8_codes> {
    enum { AHEAD = 4, BLOCKS = 2, BYTES = INT8_UNIT, LANE = sizeof(uint4) };
    uint4 low, high;
};
template <> struct unit_codes<nf4_codes> {
    enum { AHEAD = 8, BLOCKS = 1, BYTES = NF4_UNIT, LANE = sizeof(uint2) };
    uint2 low, high;
    float low_scale, high_scale;
};

/* at is where this lane's codes of the first group are. */
__device__ __forceinline__ void unit_load(unit_codes<int8_codes> &u, const char *at,
                                          uint64_t to_high, uint32_t)
{
    u.low = __ldcs(reinterpret_cast<const uint4 *>(at));
    u.high = __ldcs(reinterpret_cast<const uint4 *>(at + to_high));
}
__device__ __forceinline__ void unit_load(unit_codes<nf4_codes> &u, const char *at,
                                          uint64_t to_high, uint32_t to_scale)
{
    u.low = __ldcs(reinterpret_cast<const uint2 *>(at));
    u.high = __ldcs(reinterpret_cast<const uint2 *>(at + to_high));
    u.low_scale = __ldcs(reinterpret_cast<const float *>(at + to_scale));
    u.high_scale = __ldcs(reinterpret_cast<const float *>(at + to_high + to_scale));
}

/* sum += the unit times x, of row lane / 4 of each group. Only the first lane of a row has it. */
__device__ __forceinline__ void unit_multiply(float2 &sum, const unit_codes<int8_codes> &u,
                                              const uint2 (&x)[4], uint32_t)
{
    const uint32_t low[4] = {u.low.x, u.low.y, u.low.z, u.low.w};
    const uint32_t high[4] = {u.high.x, u.high.y, u.high.z, u.high.w};
    const __half2 more = __float2half2_rn(1152);
    float d[4] = {};
    auto exact = [&](uint32_t pair) {
        const __half2 q = __hsub2(*reinterpret_cast<const __half2 *>(&pair), more);
        return *reinterpret_cast<const uint32_t *>(&q);
    };
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const uint32_t w[4] = {exact(int8_pair<0x4140>(low[j])), exact(int8_pair<0x4140>(high[j])),
                               exact(int8_pair<0x4342>(low[j])), exact(int8_pair<0x4342>(high[j]))};
        halves_multiply(d, w, x[j]);
    }
    sum.x += d[0] + d[1];
    sum.y += d[2] + d[3];
}
__device__ __forceinline__ void unit_multiply(float2 &sum, const unit_codes<nf4_codes> &u,
                                              const uint2 (&x)[4], uint32_t table)
{
    float d[4] = {};
    nf4_multiply(d, u.low, u.high, x, table);
    sum.x = fmaf(d[0] + d[1], u.low_scale, sum.x);
    sum.y = fmaf(d[2] + d[3], u.high_scale, sum.y);
}

/* vector = x as halves, and 0 behind it, as far as the units of all warps go. */
__device__ __forceinline__ void vector_take(float *vector, const float *x, uint32_t columns,
                                            uint32_t held)
{
    for (uint32_t i = threadIdx.x * 4; i < held; i += THREADS * 4)
        halves_put(vector, i, i < columns ? *reinterpret_cast<const float4 *>(x + i)
                                          : make_float4(0, 0, 0, 0));
    __syncthreads();
}
/* 16 columns of a unit of the vector, whose half 0 is at: the first four lanes of eight have the
 * nearest float16s, the others the rests. */
__device__ __forceinline__ void halves_get(uint2 (&x)[4], uint32_t at)
{
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0].x), "=r"(x[0].y), "=r"(x[1].x), "=r"(x[1].y)
                 : "r"(at));
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[2].x), "=r"(x[2].y), "=r"(x[3].x), "=r"(x[3].y)
                 : "r"(at ^ HALVES_OTHER));
}

/* out = the rows of a pair, or of gated ones silu(even) * odd, by a warp, of all warps' sums. */
template <typename M, bool GATED>
__device__ __forceinline__ void pair_give(float *out, const float (&sums)[WARPS][PAIR_ROWS],
                                          const char *matrix, uint32_t pair, uint32_t rows,
                                          uint32_t columns, uint32_t lane)
{
    const uint32_t in = lane % PAIR_ROWS, row = pair * PAIR_ROWS + in;
    float scale = 1, sum = 0;
    if (M::KIND == CODES_INT8 && row < rows)
        scale = code_scale<M>(matrix, columns, row, 0);
#pragma unroll
    for (uint32_t w = 0; w < WARPS / 2; w++)
        sum += sums[lane / PAIR_ROWS * (WARPS / 2) + w][in];
    sum = (sum + __shfl_down_sync(0xffffffffu, sum, PAIR_ROWS)) * scale;
    const float odd = __shfl_down_sync(0xffffffffu, sum, 1);
    if (lane >= PAIR_ROWS || row >= rows)
        return;
    if (!GATED)
        out[row] = sum;
    else if (row % 2 == 0)
        out[row / 2] = sum / (1 + expf(-sum)) * odd;
}

/* The units that a lane asks for, of one pair after the other; a pair's last warps may have fewer. */
template <typename M> struct unit_queue {
    const char *at;
    uint64_t group_bytes;
    uint32_t pair, end, groups;
    uint32_t first, round, rounds, units;
    uint32_t to_scale;

    __device__ __forceinline__ void ask(unit_codes<M> &u)
    {
        enum { BYTES = unit_codes<M>::BYTES };
        if (pair >= end)
            return;
        if (first + round < units)
            unit_load(u, at, 2 * pair + 1 < groups ? group_bytes : 0, to_scale);
        at += BYTES;
        if (++round < rounds)
            return;
        round = 0;
        pair++;
        at += 2 * group_bytes - rounds * BYTES;
    }
};

template <typename M>
__device__ __forceinline__ unit_queue<M> queue_begin(const char *matrix, uint32_t rows,
                                                     uint32_t columns, range pairs, uint32_t warp,
                                                     uint32_t lane)
{
    enum { BYTES = unit_codes<M>::BYTES, LANE = unit_codes<M>::LANE };
    const uint32_t rounds = codes_vector_columns(columns) / (WARPS * CODES_COLUMNS);
    const uint64_t group_bytes = codes_group_bytes((codes_kind)M::KIND, columns);
    const uint32_t first = warp * rounds;
    return {
        matrix + 2 * pairs.begin * group_bytes + first * BYTES + lane * LANE,
        group_bytes, pairs.begin, pairs.end, codes_groups(rows),
        first, 0, rounds, codes_units(columns),
        NF4_UNIT - CODES_SCALES + lane / 4 * 4 - lane * LANE,
    };
}

template <typename M, bool GATED>
__device__ __forceinline__ void codes_vector(float *out, const float *x, const char *matrix,
                                             uint32_t rows, uint32_t columns,
                                             const nf4_values &values)
{
    enum { AHEAD = unit_codes<M>::AHEAD };
    extern __shared__ __align__(256) float vector[]; /* [rounds * WARPS units], then nf4's table */
    __shared__ float sums[2][WARPS][PAIR_ROWS];
    static_assert(sizeof sums == CODES_VECTOR_SUMS, "what the host leaves room for");
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const uint32_t held = codes_vector_columns(columns);
    const range mine = rows_share((codes_groups(rows) + 1) / 2, 1, blockIdx.x, gridDim.x);
    unit_queue<M> queue = queue_begin<M>(matrix, rows, columns, mine, warp, lane);
    unit_codes<M> codes[AHEAD] = {};
#pragma unroll
    for (int n = 0; n < AHEAD; n++)
        queue.ask(codes[n]);
    uint32_t *table = reinterpret_cast<uint32_t *>(vector + held);
    if (M::KIND == CODES_NF4)
        table_fill(table, values, THREADS);
    grid_next();
    grid_wait();
    vector_take(vector, x, columns, held);
    uint32_t table_at; /* volatile: not looked up before the table is there */
    asm volatile("mov.u32 %0, %1;" : "=r"(table_at) : "r"(shared_address(table + lane)));
    uint32_t x_at = shared_address(vector + queue.first * CODES_COLUMNS +
                                   halves_at(lane % 4, 0, lane / 4 % 2));
    uint32_t done = 0;
    uint2 of_x[4] = {}; /* a column of the sums is of the nearest, the next one of the rests */
    float2 sum = make_float2(0, 0);
    for (uint32_t pair = mine.begin; pair < mine.end;)
#pragma unroll
        for (int n = 0; n < AHEAD; n++) {
            if (lane < 8)
                halves_get(of_x, x_at);
            unit_multiply(sum, codes[n], of_x, table_at);
            queue.ask(codes[n]);
            x_at += CODES_COLUMNS * sizeof(float);
            if (++done < queue.rounds)
                continue;
            float *to = &sums[pair % 2][warp][lane / 4];
            if (lane % 4 == 0) {
                to[0] = sum.x;
                to[CODES_ROWS] = sum.y;
            }
            __syncthreads();
            if (warp == pair % WARPS)
                pair_give<M, GATED>(out, sums[pair % 2], matrix, pair, rows, columns, lane);
            sum = make_float2(0, 0);
            x_at -= queue.rounds * CODES_COLUMNS * sizeof(float);
            done = 0;
            if (++pair == mine.end)
                return;
        }
}

#define VECTOR_KERNEL(M, GATED, name)                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS, unit_codes<M>::BLOCKS)                   \
        codes_##name(float *out, const float *x, const char *matrix, uint32_t rows,                \
                     uint32_t columns, const __grid_constant__ nf4_values values)                  \
    {                                                                                              \
        codes_vector<M, GATED>(out, x, matrix, rows, columns, values);                             \
    }

VECTOR_KERNEL(int8_codes, false, vector_int8)
VECTOR_KERNEL(int8_codes, true, gated_int8)
VECTOR_KERNEL(nf4_codes, false, vector_nf4)
VECTOR_KERNEL(nf4_codes, true, gated_nf4)
