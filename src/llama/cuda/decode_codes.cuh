/* Quantised matrix times vector in the decode kernel, by the tensor cores: int8 as whole numbers
 * (digits.cuh), nf4 as halves (halves.cuh); two groups of rows at a time, as they lie (codes.h). */
#ifndef PRONY_LLAMA_CUDA_DECODE_CODES_CUH
#define PRONY_LLAMA_CUDA_DECODE_CODES_CUH

#include "llama/cuda/decode_block.cuh"
#include "llama/cuda/digits.cuh"
#include "llama/cuda/halves.cuh"

template <typename F, int SIZE> struct decode_codes : decode_block<F, SIZE> {
    DECODE_BLOCK(base);
    __device__ __forceinline__ decode_codes(const base &b) : base(b)
    {
    }

    __device__ __forceinline__ void stage_release()
    {
        __syncwarp();
        if (lane == 0)
            barrier_arrive(&m->empty[stage]);
        stage_next();
    }

    /* This lane's sum of a row, lane / 4, over its warp's units of the next stage, of which the first
     * group's first is given. The even columns of what the tensor cores make are of the vector's
     * nearest, the odd ones of its rests; the first two lanes of a row have the two groups' sums. */
    __device__ __forceinline__ float nf4_units(const uint2 (&x)[CODES_WARP_UNITS][4],
                                               const char *first, uint32_t units)
    {
        enum { PIECE = CODES_PIECE * NF4_UNIT, SCALES = NF4_UNIT - CODES_SCALES };
        const bool second = lane % 2 != 0; /* group */
        uint2 a[CODES_WARP_UNITS], b[CODES_WARP_UNITS];
        float scale[CODES_WARP_UNITS], sum = 0;
#pragma unroll
        for (int n = 0; n < CODES_WARP_UNITS; n++) {
            const char *unit = first + n * NF4_UNIT;
            a[n] = *reinterpret_cast<const uint2 *>(unit + lane * 8);
            b[n] = *reinterpret_cast<const uint2 *>(unit + PIECE + lane * 8);
            scale[n] = *reinterpret_cast<const float *>(unit + (second ? PIECE : 0) + SCALES +
                                                        lane / 4 * 4);
            if (n >= units) /* what lies there is old */
                scale[n] = 0;
        }
        stage_release();
#pragma unroll
        for (int n = 0; n < CODES_WARP_UNITS; n++) {
            float d[4] = {};
            nf4_multiply(d, a[n], b[n], x[n], table);
            sum = fmaf(second ? d[2] + d[3] : d[0] + d[1], scale[n], sum);
        }
        return sum;
    }

    /* A warp's units of a piece, at offset in each of its stages, times those of the vector that are
     * given, of which there are so many. The sums go to, or are added to, what is given for the
     * first group. Two stages at a time: a lane has a part of a row of each, lane / 4. */
    __device__ __forceinline__ void groups_multiply(const float *vector, uint32_t units,
                                                    uint32_t groups, uint32_t offset, bool add,
                                                    float *to, int8_codes)
    {
        const uint32_t row = lane / 4, quarter = lane % 4;
        uint2 x[CODES_WARP_UNITS];
#pragma unroll
        for (int n = 0; n < CODES_WARP_UNITS; n++)
            x[n] = n < units ? digits_get(vector + n * CODES_COLUMNS, lane) : make_uint2(0, 0);
        const float weight = digits_weight(lane) * m->quantum[warp];
        /* the first two lanes of a row store its sums of the two stages */
        to += (row + quarter % 2 * CODES_ROWS) * CODES_SUMS;
#pragma unroll 1
        for (uint32_t g = 0; g < groups; g += 2) {
            const bool two = g + 1 < groups; /* else what is read of the second is not used */
            const uint32_t first = stage, second = stage + 1 == p.stages ? 0 : stage + 1;
            barrier_wait(&m->full[first], parity);
            stage_next();
            if (two) {
                barrier_wait(&m->full[second], parity);
                stage_next();
            }
            uint4 w[2][CODES_WARP_UNITS];
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int n = 0; n < CODES_WARP_UNITS; n++)
                    w[i][n] = *reinterpret_cast<const uint4 *>(stages + (i ? second : first) * SLOT +
                                                               offset + n * INT8_UNIT +
                                                               lane * CODES_LANE);
            __syncwarp();
            if (lane <= two)
                barrier_arrive(&m->empty[lane ? second : first]);
            float part[2];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                int32_t d[4] = {};
#pragma unroll
                for (int n = 0; n < CODES_WARP_UNITS; n++)
                    digits_multiply(d, w[i][n], x[n]);
                part[i] = (float)digits_part(d, lane) * weight;
            }
            float sum = quarter % 2 ? part[1] : part[0];
            sum += __shfl_xor_sync(0xffffffffu, quarter % 2 ? part[0] : part[1], 1);
            sum += __shfl_xor_sync(0xffffffffu, sum, 2);
            if (quarter < 2 && g + quarter < groups)
                *to = add ? *to + sum : sum;
            to += 2 * CODES_ROWS * CODES_SUMS;
        }
    }

    __device__ __forceinline__ void groups_multiply(const float *vector, uint32_t units,
                                                    uint32_t groups, uint32_t offset, bool add,
                                                    float *to, nf4_codes)
    {
        const uint32_t row = lane / 4, quarter = lane % 4;
        uint2 x[CODES_WARP_UNITS][4]; /* two rows of the nearest and of the rests, for each group */
#pragma unroll
        for (int n = 0; n < CODES_WARP_UNITS; n++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                uint4 v = make_uint4(0, 0, 0, 0);
                if (n < units && row < 2 * NF4_GROUPS)
                    v = *reinterpret_cast<const uint4 *>(
                        vector + n * CODES_COLUMNS + halves_at(quarter, half, row % 2));
                x[n][2 * half] = make_uint2(v.x, v.y);
                x[n][2 * half + 1] = make_uint2(v.z, v.w);
            }
        /* the first two lanes of a row store those of the two groups */
        to += (row + quarter % 2 * CODES_ROWS) * CODES_SUMS;
#pragma unroll 1
        for (uint32_t g = 0; g < groups; g += NF4_GROUPS) {
            barrier_wait(&m->full[stage], parity);
            const float sum = nf4_units(x, stages + stage * SLOT + offset, units);
            if (quarter < NF4_GROUPS && g + quarter < groups)
                *to = add ? *to + sum : sum;
            to += NF4_GROUPS * CODES_ROWS * CODES_SUMS;
        }
    }

    /* sums[row * CODES_SUMS + warp], the rows counted from 0. */
    template <typename M>
    __device__ __forceinline__ void codes_product(uint32_t rows, uint32_t columns, float *sums)
    {
        const codes_tiling t = codes_tiling_of(columns);
#pragma unroll 1
        for (uint32_t piece = 0; piece < t.pieces; piece++) {
            const range mine = codes_warp_units(codes_piece_units(&t, piece), warp);
            groups_multiply(vector + (piece * CODES_PIECE + mine.begin) * CODES_COLUMNS,
                            mine.end - mine.begin, rows / CODES_ROWS,
                            mine.begin * codes_unit_bytes((codes_kind)M::KIND), piece > 0,
                            sums + warp, M());
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
