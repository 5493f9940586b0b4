/* Quantised matrix times vector in the decode kernel, by the tensor cores: int8 as whole numbers
 * (digits.cuh), nf4 as halves (halves.cuh); two groups of rows at a time, as they lie (codes.h). */
#ifndef PRONY_LLAMA_CUDA_DECODE_CODES_CUH
#define PRONY_LLAMA_CUDA_DECODE_CODES_CUH

#include "llama/cuda/decode_block.cuh"
#include "llama/cuda/digits.cuh"
#include "llama/cuda/halves.cuh"
#include "llama/cuda/power_scale.cuh"

enum { CODES_PAIR = 2 }; /* groups of rows that are multiplied at a time */

/* What a lane has of a pair of groups, of which it multiplies its warp's units, */
template <typename M> struct codes_held {
};
template <> struct codes_held<int8_codes> {
    uint4 codes[CODES_PAIR][CODES_WARP_UNITS];
};
template <> struct codes_held<nf4_codes> {
    uint2 codes[CODES_PAIR][CODES_WARP_UNITS];
    float scale[CODES_WARP_UNITS]; /* of this lane's group: the first if it is even */
};
/* of the vector, */
template <typename M> struct codes_input {
};
template <> struct codes_input<int8_codes> {
    uint2 digits[CODES_WARP_UNITS];
    float weight;
};
template <> struct codes_input<nf4_codes> {
    uint2 halves[CODES_WARP_UNITS][4];
    float weight;
};
/* and of what the tensor cores make of both. */
template <typename M> struct codes_found {
};
template <> struct codes_found<int8_codes> {
    int32_t sums[CODES_PAIR][4];
};
template <> struct codes_found<nf4_codes> {
    float sums[CODES_WARP_UNITS][4], scale[CODES_WARP_UNITS];
};

template <typename F, int SIZE> struct decode_codes : decode_block<F, SIZE> {
    DECODE_BLOCK(base);
    __device__ __forceinline__ decode_codes(const base &b) : base(b)
    {
    }

    /* -- pairs of groups, from the ring -- */

    /* int8: each group has a stage; what is read of one that is not there is not used. */
    __device__ __forceinline__ void pair_take(codes_held<int8_codes> &held, bool both)
    {
        const uint32_t at[CODES_PAIR] = {stage, stage + 1 == p.stages ? 0 : stage + 1};
        const uint32_t offset = warp * (CODES_WARP_UNITS * INT8_UNIT) + lane * CODES_LANE;
        barrier_wait(&m->full[at[0]], parity);
        stage_next();
        if (both) {
            barrier_wait(&m->full[at[1]], parity);
            stage_next();
        }
#pragma unroll
        for (int i = 0; i < CODES_PAIR; i++)
#pragma unroll
            for (int n = 0; n < CODES_WARP_UNITS; n++)
                held.codes[i][n] = *reinterpret_cast<const uint4 *>(stages + at[i] * SLOT + offset +
                                                                    n * INT8_UNIT);
        __syncwarp();
        if (lane <= both)
            barrier_arrive(&m->empty[lane ? at[1] : at[0]]);
    }
    /* nf4: a stage has both; what is read of one that is not there is not used. */
    __device__ __forceinline__ void pair_take(codes_held<nf4_codes> &held, bool)
    {
        enum { PIECE = CODES_PIECE * NF4_UNIT, SCALES = NF4_UNIT - CODES_SCALES };
        barrier_wait(&m->full[stage], parity);
        const char *first = stages + stage * SLOT + warp * (CODES_WARP_UNITS * NF4_UNIT);
#pragma unroll
        for (int n = 0; n < CODES_WARP_UNITS; n++) {
            const char *unit = first + n * NF4_UNIT;
#pragma unroll
            for (int i = 0; i < CODES_PAIR; i++)
                held.codes[i][n] =
                    *reinterpret_cast<const uint2 *>(unit + i * PIECE + lane * CODES_LANE / 2);
            held.scale[n] = *reinterpret_cast<const float *>(unit + lane % 2 * PIECE + SCALES +
                                                             lane / 4 * 4);
        }
        __syncwarp();
        if (lane == 0)
            barrier_arrive(&m->empty[stage]);
        stage_next();
    }

    /* -- the vector -- */

    /* What this lane has of so many units. */
    __device__ __forceinline__ void input_get(codes_input<int8_codes> &x, const float *vector,
                                              uint32_t units)
    {
#pragma unroll
        for (int n = 0; n < CODES_WARP_UNITS; n++)
            x.digits[n] =
                n < units ? digits_get(vector + n * CODES_COLUMNS, lane) : make_uint2(0, 0);
        x.weight = digits_weight(lane) * m->quantum[warp];
    }
    /* Two rows of the nearest and of the rests, for each group. */
    __device__ __forceinline__ void input_get(codes_input<nf4_codes> &x, const float *vector,
                                              uint32_t units)
    {
        const uint32_t row = lane / 4, quarter = lane % 4;
#pragma unroll
        for (int n = 0; n < CODES_WARP_UNITS; n++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                uint4 v = make_uint4(0, 0, 0, 0);
                if (n < units && row < 2 * CODES_PAIR)
                    v = *reinterpret_cast<const uint4 *>(vector + n * CODES_COLUMNS +
                                                         halves_at(quarter, half, row % 2));
                x.halves[n][2 * half] = make_uint2(v.x, v.y);
                x.halves[n][2 * half + 1] = make_uint2(v.z, v.w);
            }
        x.weight = m->quantum[warp];
    }

    /* -- their products -- */

    __device__ __forceinline__ void pair_multiply(codes_found<int8_codes> &found,
                                                  const codes_held<int8_codes> &held,
                                                  const codes_input<int8_codes> &x)
    {
#pragma unroll
        for (int i = 0; i < CODES_PAIR; i++)
#pragma unroll
            for (int n = 0; n < CODES_WARP_UNITS; n++)
                digits_multiply(found.sums[i], held.codes[i][n], x.digits[n]);
    }
    /* The even columns of what the tensor cores make are of the vector's nearest, the odd ones of its
     * rests. */
    __device__ __forceinline__ void pair_multiply(codes_found<nf4_codes> &found,
                                                  const codes_held<nf4_codes> &held,
                                                  const codes_input<nf4_codes> &x)
    {
#pragma unroll
        for (int n = 0; n < CODES_WARP_UNITS; n++) {
            nf4_multiply(found.sums[n], held.codes[0][n], held.codes[1][n], x.halves[n], table);
            found.scale[n] = held.scale[n];
        }
    }

    /* Of row lane / 4 the first lane's is of the first group, the second's of the second. */
    __device__ __forceinline__ float pair_sum(const codes_found<int8_codes> &found,
                                              const codes_input<int8_codes> &x, uint32_t)
    {
        float part[CODES_PAIR];
#pragma unroll
        for (int i = 0; i < CODES_PAIR; i++)
            part[i] = (float)digits_part(found.sums[i], lane) * x.weight;
        const bool second = lane % 2 != 0;
        float sum = second ? part[1] : part[0];
        sum += __shfl_xor_sync(0xffffffffu, second ? part[0] : part[1], 1);
        return sum + __shfl_xor_sync(0xffffffffu, sum, 2);
    }
    /* The scale of a unit that is not there is old. */
    __device__ __forceinline__ float pair_sum(const codes_found<nf4_codes> &found,
                                              const codes_input<nf4_codes> &x, uint32_t units)
    {
        const bool second = lane % 2 != 0;
        float sum = 0;
#pragma unroll
        for (int n = 0; n < CODES_WARP_UNITS; n++) {
            const float (&d)[4] = found.sums[n];
            if (n < units)
                sum = fmaf(second ? d[2] + d[3] : d[0] + d[1], found.scale[n], sum);
        }
        return sum * x.weight;
    }

    /* sums[row * CODES_SUMS + warp], the rows counted from 0. The first pair is held already; the
     * next one is taken while one is multiplied. */
    template <typename M>
    __device__ __forceinline__ void codes_product(uint32_t rows, uint32_t columns, float *sums,
                                                  codes_held<M> &held)
    {
        const codes_tiling t = codes_tiling_of(columns);
        const uint32_t groups = rows / CODES_ROWS, quarter = lane % 4;
#pragma unroll 1
        for (uint32_t piece = 0; piece < t.pieces; piece++) {
            const range mine = codes_warp_units(codes_piece_units(&t, piece), warp);
            const uint32_t units = mine.end - mine.begin;
            codes_input<M> x;
            input_get(x, vector + (piece * CODES_PIECE + mine.begin) * CODES_COLUMNS, units);
            float *to = sums + warp + (lane / 4 + quarter % 2 * CODES_ROWS) * CODES_SUMS;
#pragma unroll 1
            for (uint32_t g = 0; g < groups; g += CODES_PAIR) {
                const bool stores = quarter < CODES_PAIR && g + quarter < groups;
                float sum = stores && piece > 0 ? *to : 0; /* asked for before it is needed */
                codes_found<M> found = {};
                pair_multiply(found, held, x);
                const bool more = g + CODES_PAIR < groups;
                if (more || piece + 1 < t.pieces)
                    pair_take(held, (more ? g + CODES_PAIR : 0) + 1 < groups);
                sum += pair_sum(found, x, units);
                if (stores)
                    *to = sum;
                to += CODES_PAIR * CODES_ROWS * CODES_SUMS;
            }
        }
    }

    __device__ __forceinline__ float codes_sum(const float *sums, uint32_t row) const
    {
        float sum[4] = {};
#pragma unroll
        for (int i = 0; i < DECODE_WARPS; i++)
            sum[i % 4] += sums[row * CODES_SUMS + i];
        return (sum[0] + sum[1]) + (sum[2] + sum[3]);
    }
};

#endif
