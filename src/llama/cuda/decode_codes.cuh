/* Quantised matrix times vector in the decode kernel, by the tensor cores: two groups of rows at a
 * time, as they lie (codes.h). int8's codes are exact in float16, nf4's values the nearest ones; of a
 * vector's element the tensor cores take the nearest float16 and, as another vector, what is left of
 * it, so that about 22 bits of it count. */
#ifndef PRONY_LLAMA_CUDA_DECODE_CODES_CUH
#define PRONY_LLAMA_CUDA_DECODE_CODES_CUH

#include "llama/cuda/decode_block.cuh"

/* Four elements as the tensor cores take them: the nearest float16s, and the rests. */
__device__ __forceinline__ uint4 halves_split(float4 v)
{
    __half2 near[2] = {__floats2half2_rn(v.x, v.y), __floats2half2_rn(v.z, v.w)};
    float2 low = __half22float2(near[0]), high = __half22float2(near[1]);
    __half2 rest[2] = {__floats2half2_rn(v.x - low.x, v.y - low.y),
                       __floats2half2_rn(v.z - high.x, v.w - high.y)};
    const uint2 a = *reinterpret_cast<uint2 *>(near), b = *reinterpret_cast<uint2 *>(rest);
    return make_uint4(a.x, a.y, b.x, b.y);
}

/* Where in a unit of a vector a lane's columns lie, half of its 16: 8 nearest float16s, or their rests.
 * What 8 lanes read at a time, and 16 write, is in banks of its own. */
__device__ __forceinline__ uint32_t halves_at(uint32_t quarter, uint32_t half, uint32_t rest)
{
    return half * 32 + (half ^ rest) * 16 + quarter * 4;
}

/* d [16, 8] += w [16, 16] x [8, 16]^T. Lane 4 i + j has columns 2 j and 2 j + 1 of rows i and i + 8 of
 * w, columns 2 j + 8 and 2 j + 9 of these rows, the same columns of row i of x, and columns 2 j and
 * 2 j + 1 of rows i and i + 8 of the sums. */
__device__ __forceinline__ void halves_multiply(float (&d)[4], const uint32_t (&w)[4], uint2 x)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3]), "r"(x.x), "r"(x.y));
}

template <typename F, int SIZE> struct decode_codes : decode_block<F, SIZE> {
    DECODE_BLOCK(base);
    __device__ __forceinline__ decode_codes(const base &b) : base(b)
    {
    }

    /* Two of a word's four int8, each with 1152 more, as float16: 1024 + (q + 128) has q + 128 as its
     * last bits. */
    template <uint32_t WHICH> __device__ __forceinline__ static uint32_t int8_pair(uint32_t word)
    {
        return __byte_perm(word ^ 0x80808080u, 0x64646464u, WHICH);
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
    /* The values of byte i of a word, two codes of nf4: its place in the table is a product of bytes,
     * one instruction. */
    __device__ __forceinline__ uint32_t nf4_pair(uint32_t word, uint32_t i) const
    {
        uint32_t pair, at = __dp4a(word, (uint32_t)(32 * sizeof pair) << 8 * i, table);
        asm("ld.shared.u32 %0, [%1];" : "=r"(pair) : "r"(at)); /* the table never changes */
        return pair;
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
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const uint32_t low = j < 2 ? a[n].x : a[n].y, high = j < 2 ? b[n].x : b[n].y;
                const uint32_t i = j % 2 * 2;
                const uint32_t w[4] = {nf4_pair(low, i), nf4_pair(high, i), nf4_pair(low, i + 1),
                                       nf4_pair(high, i + 1)};
                halves_multiply(d, w, x[n][j]);
            }
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
