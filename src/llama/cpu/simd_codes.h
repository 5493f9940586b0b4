/* Products of quantised matrices over vectors of any width: the part of simd.h that includes it.
 *
 * An instruction set's file defines v_load_i8, and of nf4 a block as it is read (struct v_nf4,
 * v_nf4_block) and its weights vector by vector (v_nf4_part). */
#include "llama/quantize.h"

/* A loop that is unrolled for the parts of a block of nf4, up to 16. */
#define ALL_OF(i, count) _Pragma("GCC unroll 16") for (int i = 0; i < (count); i++)

/* Codes as they are; each row's sum is scaled when it is there. */
static void matmul_int8(float *out, size_t out_stride, const int8_t *codes, const float *scales,
                        size_t rows, size_t columns, const float *x, size_t tokens)
{
    matmul(out, out_stride, codes, rows, columns, x, tokens, LLAMA_INT8);
    for (size_t t = 0; t < tokens; t++)
        for (size_t r = 0; r < rows; r++)
            out[t * out_stride + r] *= scales[r];
}

/* rows x tokens dot products, the codes made weights on their way. A single token's are fetched
 * ahead, as in stream(). */
INLINE void nf4_tile(float *out, size_t out_stride, const uint8_t *codes, const float *scales,
                     size_t columns, const float *x, int rows, int tokens)
{
    _Static_assert(NF4_ROWS >= TILE_ROWS, "room for the rows of a tile");
    vec sum[NF4_ROWS][TILE_TOKENS], w[NF4_ROWS];
    struct v_nf4 block[NF4_ROWS];
    size_t blocks = columns / NF4_BLOCK, row_bytes = columns / 2;
    size_t bytes = (size_t)rows * row_bytes;
    const uint8_t *ahead = codes + (AHEAD_BYTES + bytes - 1) / bytes * bytes;
    EACH (r, rows) {
        EACH (t, tokens)
            sum[r][t] = v_set(0);
    }
    for (size_t b = 0; b < blocks; b++) {
        EACH (r, rows) {
            block[r] = v_nf4_block(codes + (size_t)r * row_bytes + b * NF4_BYTES,
                                   scales[(size_t)r * blocks + b]);
            if (tokens == 1)
                __builtin_prefetch(ahead);
            ahead += NF4_BYTES;
        }
        ALL_OF(i, NF4_BLOCK / LANES)
        {
            EACH (r, rows)
                w[r] = v_nf4_part(&block[r], i);
            EACH (t, tokens) {
                vec v = v_load(x + (size_t)t * columns + b * NF4_BLOCK + (size_t)i * LANES);
                EACH (r, rows)
                    sum[r][t] = v_fma(w[r], v, sum[r][t]);
            }
        }
    }
    EACH (t, tokens) {
        EACH (r, rows)
            out[(size_t)t * out_stride + (size_t)r] = v_sum(sum[r][t]);
    }
}

/* The given rows for any number of tokens. */
INLINE void nf4_rows(float *out, size_t out_stride, const uint8_t *codes, const float *scales,
                     size_t columns, const float *x, int rows, size_t tokens)
{
    for (; tokens >= TILE_TOKENS; tokens -= TILE_TOKENS) {
        nf4_tile(out, out_stride, codes, scales, columns, x, rows, TILE_TOKENS);
        out += TILE_TOKENS * out_stride;
        x += TILE_TOKENS * columns;
    }
    for (; tokens > 0; tokens--) {
        nf4_tile(out, out_stride, codes, scales, columns, x, rows, 1);
        out += out_stride;
        x += columns;
    }
}

static void matmul_nf4(float *out, size_t out_stride, const uint8_t *codes, const float *scales,
                       size_t rows, size_t columns, const float *x, size_t tokens)
{
    size_t blocks = columns / NF4_BLOCK, row_bytes = columns / 2, r = 0;
    if (tokens == 1) {
        for (; r + NF4_ROWS <= rows; r += NF4_ROWS)
            nf4_tile(out + r, out_stride, codes + r * row_bytes, scales + r * blocks, columns, x,
                     NF4_ROWS, 1);
    }
    for (; r + TILE_ROWS <= rows; r += TILE_ROWS)
        nf4_rows(out + r, out_stride, codes + r * row_bytes, scales + r * blocks, columns, x,
                 TILE_ROWS, tokens);
    for (; r < rows; r++)
        nf4_rows(out + r, out_stride, codes + r * row_bytes, scales + r * blocks, columns, x, 1,
                 tokens);
}

static void widen_int8(float *out, const int8_t *codes, float scale, size_t count)
{
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        v_store(out + i, v_mul(v_load_i8(codes + i), v_set(scale)));
    for (; i < count; i++)
        out[i] = (float)codes[i] * scale;
}
