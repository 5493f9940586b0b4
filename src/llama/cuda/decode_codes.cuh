/* Quantised matrix times vector in the decode kernel, by the tensor cores (halves.cuh): two groups of
 * rows at a time, as they lie (codes.h). */
#ifndef PRONY_LLAMA_CUDA_DECODE_CODES_CUH
#define PRONY_LLAMA_CUDA_DECODE_CODES_CUH

#include "llama/cuda/decode_block.cuh"
#include "llama/cuda/halves.cuh"

template <typename F, int SIZE> struct decode_codes : decode_block<F, SIZE> {
    DECODE_BLOCK(base);
    __device__ __forceinline__ decode_codes(const base &b) : base(b)
    {
    }

    /* What int8's sums start from, so that the 1152 are gone: of nf4 nothing. */
    __device__ __forceinline__ static void bias_make(float (&bias)[4],
                                                     const uint2 (&x)[INT8_WARP_UNITS][4],
                                                     int8_codes)
    {
        const uint32_t less = 0xe480e480u, w[4] = {less, less, less, less}; /* -1152 */
#pragma unroll
        for (int j = 0; j < 4; j++)
            halves_multiply(bias, w, x[0][j]);
    }
    __device__ __forceinline__ static void bias_make(float (&)[4],
                                                     const uint2 (&)[NF4_WARP_UNITS][4], nf4_codes)
    {
    }
    __device__ __forceinline__ void stage_release()
    {
        __syncwarp();
        if (lane == 0)
            barrier_arrive(&m->empty[stage]);
        stage_next();
    }

    /* This lane's sums of a row of each group, lane / 4, over its warp's units of the next stage, of
     * which the first group's first is given. The even columns of what the tensor cores make are of
     * the vector's nearest, the odd ones of its rests; only the first two lanes of a row have them. */
    __device__ __forceinline__ float2 units_multiply(const uint2 (&x)[INT8_WARP_UNITS][4],
                                                     const float (&bias)[4], const char *first,
                                                     uint32_t, int8_codes)
    {
        enum { PIECE = DECODE_WARPS * INT8_WARP_UNITS * INT8_UNIT };
        const uint4 a = *reinterpret_cast<const uint4 *>(first + lane * 16);
        const uint4 b = *reinterpret_cast<const uint4 *>(first + PIECE + lane * 16);
        stage_release();
        const uint32_t low[4] = {a.x, a.y, a.z, a.w}, high[4] = {b.x, b.y, b.z, b.w};
        float d[2][4] = {{bias[0], bias[1], bias[2], bias[3]}};
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const uint32_t w[4] = {int8_pair<0x4140>(low[j]), int8_pair<0x4140>(high[j]),
                                   int8_pair<0x4342>(low[j]), int8_pair<0x4342>(high[j])};
            halves_multiply(d[j % 2], w, x[0][j]);
        }
        return make_float2((d[0][0] + d[0][1]) + (d[1][0] + d[1][1]),
                           (d[0][2] + d[0][3]) + (d[1][2] + d[1][3]));
    }
    __device__ __forceinline__ float2 units_multiply(const uint2 (&x)[NF4_WARP_UNITS][4],
                                                     const float (&)[4], const char *first,
                                                     uint32_t units, nf4_codes)
    {
        enum { PIECE = DECODE_WARPS * NF4_WARP_UNITS * NF4_UNIT, SCALES = NF4_UNIT - CODES_SCALES };
        uint2 a[NF4_WARP_UNITS], b[NF4_WARP_UNITS];
        float2 scale[NF4_WARP_UNITS], sum = make_float2(0, 0);
#pragma unroll
        for (int n = 0; n < NF4_WARP_UNITS; n++) {
            const char *unit = first + n * NF4_UNIT;
            a[n] = *reinterpret_cast<const uint2 *>(unit + lane * 8);
            b[n] = *reinterpret_cast<const uint2 *>(unit + PIECE + lane * 8);
            scale[n].x = *reinterpret_cast<const float *>(unit + SCALES + lane / 4 * 4);
            scale[n].y = *reinterpret_cast<const float *>(unit + PIECE + SCALES + lane / 4 * 4);
            if (n >= units) /* what lies there is old */
                scale[n] = make_float2(0, 0);
        }
        stage_release();
#pragma unroll
        for (int n = 0; n < NF4_WARP_UNITS; n++) {
            float d[4] = {};
            nf4_multiply(d, a[n], b[n], x[n], table);
            sum.x = fmaf(d[0] + d[1], scale[n].x, sum.x);
            sum.y = fmaf(d[2] + d[3], scale[n].y, sum.y);
        }
        return sum;
    }

    /* sums[row * CODES_SUMS + warp], the rows counted from 0. */
    template <typename M>
    __device__ __forceinline__ void codes_product(uint32_t rows, uint32_t columns, float *sums)
    {
        enum { UNITS = M::WARP_UNITS };
        const codes_kind kind = (codes_kind)M::KIND;
        const codes_tiling t = codes_tiling_of(kind, columns);
        const uint32_t groups = rows / CODES_ROWS, row = lane / 4, quarter = lane % 4;
#pragma unroll 1
        for (uint32_t piece = 0; piece < t.pieces; piece++) {
            uint32_t units = t.units - piece * t.width;
            units = units < t.width ? units : t.width;
            const range mine = codes_warp_units(kind, units, warp);
            uint2 x[UNITS][4]; /* two rows of the nearest and of the rests: a pair for each group */
            const float *from = vector + (piece * t.width + mine.begin) * CODES_COLUMNS;
#pragma unroll
            for (int n = 0; n < UNITS; n++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    uint4 v = make_uint4(0, 0, 0, 0);
                    if (mine.begin + n < mine.end && row < 2 * CODES_GROUPS)
                        v = *reinterpret_cast<const uint4 *>(
                            from + n * CODES_COLUMNS + halves_at(quarter, half, row % 2));
                    x[n][2 * half] = make_uint2(v.x, v.y);
                    x[n][2 * half + 1] = make_uint2(v.z, v.w);
                }
            float bias[4] = {};
            bias_make(bias, x, M());
            const uint32_t offset = mine.begin * codes_unit_bytes(kind);
            /* the first two lanes of a row store those of the two groups */
            float *to = sums + (row + quarter % 2 * CODES_ROWS) * CODES_SUMS + warp;
#pragma unroll 1
            for (uint32_t g = 0; g < groups; g += CODES_GROUPS) {
                barrier_wait(&m->full[stage], parity);
                const float2 both = units_multiply(x, bias, stages + stage * SLOT + offset,
                                                   mine.end - mine.begin, M());
                const float sum = quarter ? both.y : both.x;
                if (quarter < CODES_GROUPS && g + quarter < groups)
                    *to = piece ? *to + sum : sum;
                to += CODES_GROUPS * CODES_ROWS * CODES_SUMS;
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
