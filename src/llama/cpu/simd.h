/* The kernels over vectors of any width, included once by each instruction set's file.
 *
 * That file defines before: vec and LANES; TILE_ROWS and TILE_TOKENS, as many sums as fit the
 * registers; VECTOR_ROWS, the sums that keep the adders busy when there is one token, NF4_ROWS of
 * nf4; and the operations v_*. A dot product has one vector of sums, whatever the tile, so that its
 * result does not depend on the tile. */
#include <math.h>
#include <string.h>

#include "llama/cpu/kernels.h"
#include "llama/cpu/loading.h"

#define INLINE static inline __attribute__((always_inline))
/* A loop that is unrolled, so that an array it indexes lives in registers. */
#define EACH(i, count) _Pragma("GCC unroll 8") for (int i = 0; i < (count); i++)

/* From a prefetch of one token's weights to their use. */
enum { AHEAD_BYTES = 16 << 10 };

INLINE size_t size_of(enum llama_precision type)
{
    return type == LLAMA_F32 ? 4 : type == LLAMA_INT8 ? 1 : 2;
}

INLINE vec load_as(const void *data, size_t i, enum llama_precision type)
{
    if (type == LLAMA_F32)
        return v_load((const float *)data + i);
    if (type == LLAMA_F16)
        return v_load_f16((const uint16_t *)data + i);
    if (type == LLAMA_INT8)
        return v_load_i8((const int8_t *)data + i);
    return v_load_bf16((const uint16_t *)data + i);
}

/* The first count < LANES elements, then zeros. */
INLINE vec load_part_as(const void *data, size_t i, size_t count, enum llama_precision type)
{
    float buffer[LANES] = {0};
    size_t size = size_of(type);
    memcpy(buffer, (const unsigned char *)data + i * size, count * size);
    return load_as(buffer, 0, type);
}

INLINE void store_as(void *data, size_t i, vec v, enum llama_precision type)
{
    if (type == LLAMA_F32)
        v_store((float *)data + i, v);
    else if (type == LLAMA_F16)
        v_store_f16((uint16_t *)data + i, v);
    else
        v_store_bf16((uint16_t *)data + i, v);
}

INLINE void store_part_as(void *data, size_t i, size_t count, vec v, enum llama_precision type)
{
    float buffer[LANES];
    size_t size = size_of(type);
    store_as(buffer, 0, v, type);
    memcpy((unsigned char *)data + i * size, buffer, count * size);
}

/* rows x tokens dot products of length columns. */
INLINE void tile(float *out, size_t out_stride, const void *weights, size_t columns, const float *x,
                 int rows, int tokens, enum llama_precision type)
{
    vec sum[TILE_ROWS][TILE_TOKENS];
    vec w[TILE_ROWS];
    size_t c = 0, left = columns % LANES;
    EACH (r, rows) {
        EACH (t, tokens)
            sum[r][t] = v_set(0);
    }
    for (; c + LANES <= columns; c += LANES) {
        EACH (r, rows)
            w[r] = load_as(weights, (size_t)r * columns + c, type);
        EACH (t, tokens) {
            vec v = v_load(x + (size_t)t * columns + c);
            EACH (r, rows)
                sum[r][t] = v_fma(w[r], v, sum[r][t]);
        }
    }
    if (left > 0) {
        EACH (r, rows)
            w[r] = load_part_as(weights, (size_t)r * columns + c, left, type);
        EACH (t, tokens) {
            vec v = load_part_as(x, (size_t)t * columns + c, left, LLAMA_F32);
            EACH (r, rows)
                sum[r][t] = v_fma(w[r], v, sum[r][t]);
        }
    }
    EACH (t, tokens) {
        EACH (r, rows)
            out[(size_t)t * out_stride + (size_t)r] = v_sum(sum[r][t]);
    }
}

/* The given rows for any number of tokens. */
INLINE void tile_row(float *out, size_t out_stride, const void *weights, size_t columns,
                     const float *x, int rows, size_t tokens, enum llama_precision type)
{
    while (tokens >= TILE_TOKENS) {
        tile(out, out_stride, weights, columns, x, rows, TILE_TOKENS, type);
        out += TILE_TOKENS * out_stride;
        x += TILE_TOKENS * columns;
        tokens -= TILE_TOKENS;
    }
    switch (tokens) {
#if TILE_TOKENS > 5
    case 5:
        tile(out, out_stride, weights, columns, x, rows, 5, type);
        break;
    case 4:
        tile(out, out_stride, weights, columns, x, rows, 4, type);
        break;
#endif
    case 3:
        tile(out, out_stride, weights, columns, x, rows, 3, type);
        break;
    case 2:
        tile(out, out_stride, weights, columns, x, rows, 2, type);
        break;
    case 1:
        tile(out, out_stride, weights, columns, x, rows, 1, type);
        break;
    default:
        break;
    }
}

/* VECTOR_ROWS rows for one token, which is all reading. The memory's latency is hidden by fetching
 * ahead, one address after the other, since hardware prefetchers stop at each 4 KiB. */
INLINE void stream(float *out, const unsigned char *weights, size_t columns, const float *x,
                   enum llama_precision type)
{
    vec sum[VECTOR_ROWS];
    size_t bytes = VECTOR_ROWS * columns * size_of(type), c = 0, left = columns % LANES;
    const unsigned char *ahead = weights + (AHEAD_BYTES + bytes - 1) / bytes * bytes;
    EACH (r, VECTOR_ROWS)
        sum[r] = v_set(0);
    for (; c + LANES <= columns; c += LANES) {
        vec v = v_load(x + c);
        EACH (r, VECTOR_ROWS) {
            __builtin_prefetch(ahead);
            ahead += LANES * size_of(type);
            sum[r] = v_fma(load_as(weights, (size_t)r * columns + c, type), v, sum[r]);
        }
    }
    if (left > 0) {
        vec v = load_part_as(x, c, left, LLAMA_F32);
        EACH (r, VECTOR_ROWS)
            sum[r] = v_fma(load_part_as(weights, (size_t)r * columns + c, left, type), v, sum[r]);
    }
    EACH (r, VECTOR_ROWS)
        out[r] = v_sum(sum[r]);
}

INLINE void matmul(float *out, size_t out_stride, const void *weights, size_t rows, size_t columns,
                   const float *x, size_t tokens, enum llama_precision type)
{
    const unsigned char *row = weights;
    size_t row_bytes = columns * size_of(type), r = 0;
    if (tokens == 1) {
        for (; r + VECTOR_ROWS <= rows; r += VECTOR_ROWS)
            stream(out + r, row + r * row_bytes, columns, x, type);
    }
    for (; r + TILE_ROWS <= rows; r += TILE_ROWS)
        tile_row(out + r, out_stride, row + r * row_bytes, columns, x, TILE_ROWS, tokens, type);
    for (; r < rows; r++)
        tile_row(out + r, out_stride, row + r * row_bytes, columns, x, 1, tokens, type);
}

/* Some vectors of columns for a few heads: each value is read once for all of them. */
INLINE void mix_tile(float *out, const float *share, size_t share_stride, int heads,
                     const void *values, size_t positions, size_t columns, int vectors,
                     enum llama_precision type)
{
    vec sum[4][2];
    EACH (h, heads) {
        EACH (i, vectors)
            sum[h][i] = v_set(0);
    }
    for (size_t p = 0; p < positions; p++) {
        EACH (i, vectors) {
            vec v = load_as(values, p * columns + (size_t)i * LANES, type);
            EACH (h, heads)
                sum[h][i] = v_fma(v_set(share[(size_t)h * share_stride + p]), v, sum[h][i]);
        }
    }
    EACH (h, heads) {
        EACH (i, vectors)
            v_store(out + (size_t)h * columns + (size_t)i * LANES, sum[h][i]);
    }
}

INLINE void mix_heads(float *out, const float *share, size_t share_stride, int heads,
                      const void *values, size_t positions, size_t columns,
                      enum llama_precision type)
{
    const unsigned char *data = values;
    size_t size = size_of(type), c = 0;
    for (; c + 2 * LANES <= columns; c += 2 * LANES)
        mix_tile(out + c, share, share_stride, heads, data + c * size, positions, columns, 2, type);
    for (; c + LANES <= columns; c += LANES)
        mix_tile(out + c, share, share_stride, heads, data + c * size, positions, columns, 1, type);
    if (c == columns)
        return;
    for (int h = 0; h < heads; h++) {
        vec sum = v_set(0);
        for (size_t p = 0; p < positions; p++) {
            vec v = load_part_as(data, p * columns + c, columns - c, type);
            sum = v_fma(v_set(share[(size_t)h * share_stride + p]), v, sum);
        }
        store_part_as(out, (size_t)h * columns + c, columns - c, sum, LLAMA_F32);
    }
}

INLINE void mix(float *out, const float *share, size_t share_stride, size_t heads,
                const void *values, size_t positions, size_t columns, enum llama_precision type)
{
    for (; heads >= 4; heads -= 4) {
        mix_heads(out, share, share_stride, 4, values, positions, columns, type);
        out += 4 * columns;
        share += 4 * share_stride;
    }
    switch (heads) {
    case 3:
        mix_heads(out, share, share_stride, 3, values, positions, columns, type);
        break;
    case 2:
        mix_heads(out, share, share_stride, 2, values, positions, columns, type);
        break;
    case 1:
        mix_heads(out, share, share_stride, 1, values, positions, columns, type);
        break;
    default:
        break;
    }
}

INLINE void narrow(void *out, const float *x, size_t count, enum llama_precision type)
{
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        store_as(out, i, v_load(x + i), type);
    if (i < count)
        store_part_as(out, i, count - i, load_part_as(x, i, count - i, LLAMA_F32), type);
}

INLINE void widen(float *out, const void *x, size_t count, enum llama_precision type)
{
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        v_store(out + i, load_as(x, i, type));
    if (i < count)
        store_part_as(out, i, count - i, load_part_as(x, i, count - i, type), LLAMA_F32);
}

static void rmsnorm(float *out, const float *x, const float *weight, size_t count, float eps)
{
    vec sum = v_set(0);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        sum = v_fma(v_load(x + i), v_load(x + i), sum);
    if (i < count) {
        vec v = load_part_as(x, i, count - i, LLAMA_F32);
        sum = v_fma(v, v, sum);
    }
    float factor = 1 / sqrtf(v_sum(sum) / (float)count + eps);
    for (i = 0; i + LANES <= count; i += LANES)
        v_store(out + i, v_mul(v_mul(v_load(x + i), v_set(factor)), v_load(weight + i)));
    for (; i < count; i++)
        out[i] = x[i] * factor * weight[i];
}

/* e^x = 2^n e^r with |r| <= ln(2)/2, where Taylor's polynomial of degree 7 is off by less than
 * 2^-27. x is held within what float32 can express. */
INLINE vec v_exp(vec x)
{
    static const float coefficient[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1};
    x = v_min(v_max(x, v_set(-87.0f)), v_set(88.0f));
    vec n = v_round(v_mul(x, v_set(1.44269504f)));
    /* ln(2) in two parts, the first of few bits: n times it is exact. */
    vec r = v_fma(n, v_set(-0.693359375f), x);
    r = v_fma(n, v_set(2.12194440e-4f), r);
    vec y = v_set(1.0f / 5040);
    EACH (i, 7)
        y = v_fma(y, r, v_set(coefficient[i]));
    return v_mul(y, v_pow2(n));
}

static void softmax(float *x, size_t count, float scale)
{
    vec largest = v_set(-INFINITY), total = v_set(0);
    float max, sum;
    size_t i = 0, whole = count / LANES * LANES;
    for (; i < whole; i += LANES)
        largest = v_max(largest, v_load(x + i));
    max = v_largest(largest);
    for (; i < count; i++)
        max = x[i] > max ? x[i] : max;
    vec shift = v_set(-max * scale);
    for (i = 0; i < whole; i += LANES) {
        vec e = v_exp(v_fma(v_load(x + i), v_set(scale), shift));
        total = v_add(total, e);
        v_store(x + i, e);
    }
    sum = v_sum(total);
    if (i < count) {
        vec e = v_exp(v_fma(load_part_as(x, i, count - i, LLAMA_F32), v_set(scale), shift));
        store_part_as(x, i, count - i, e, LLAMA_F32);
        for (; i < count; i++)
            sum += x[i];
    }
    vec factor = v_set(1 / sum);
    for (i = 0; i < whole; i += LANES)
        v_store(x + i, v_mul(v_load(x + i), factor));
    for (; i < count; i++)
        x[i] *= 1 / sum;
}

INLINE vec silu_times(vec gate, vec up)
{
    vec one = v_set(1);
    return v_mul(v_div(gate, v_add(one, v_exp(v_sub(v_set(0), gate)))), up);
}

static void silu_mul(float *gate, const float *up, size_t count)
{
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        v_store(gate + i, silu_times(v_load(gate + i), v_load(up + i)));
    if (i < count) {
        vec g = load_part_as(gate, i, count - i, LLAMA_F32);
        vec u = load_part_as(up, i, count - i, LLAMA_F32);
        store_part_as(gate, i, count - i, silu_times(g, u), LLAMA_F32);
    }
}

static void add(float *x, const float *y, size_t count)
{
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        v_store(x + i, v_add(v_load(x + i), v_load(y + i)));
    for (; i < count; i++)
        x[i] += y[i];
}

#include "llama/cpu/simd_codes.h"

#define KERNELS_OF(suffix, type)                                                                   \
    static void matmul_##suffix(float *out, size_t out_stride, const void *weights, size_t rows,   \
                                size_t columns, const float *x, size_t tokens)                     \
    {                                                                                              \
        matmul(out, out_stride, weights, rows, columns, x, tokens, type);                          \
    }                                                                                              \
    static void mix_##suffix(float *out, const float *share, size_t share_stride, size_t heads,    \
                             const void *values, size_t positions, size_t columns)                 \
    {                                                                                              \
        mix(out, share, share_stride, heads, values, positions, columns, type);                    \
    }                                                                                              \
    static void narrow_##suffix(void *out, const float *x, size_t count)                           \
    {                                                                                              \
        narrow(out, x, count, type);                                                               \
    }                                                                                              \
    static void widen_##suffix(float *out, const void *x, size_t count)                            \
    {                                                                                              \
        widen(out, x, count, type);                                                                \
    }

KERNELS_OF(f32, LLAMA_F32)
KERNELS_OF(f16, LLAMA_F16)
KERNELS_OF(bf16, LLAMA_BF16)

#define KERNELS_TABLE(table_name)                                                                  \
    {                                                                                              \
        .name = table_name, .matmul = {matmul_f32, matmul_f16, matmul_bf16},                       \
        .matmul_int8 = matmul_int8, .matmul_nf4 = matmul_nf4, .widen_int8 = widen_int8,            \
        .mix = {mix_f32, mix_f16, mix_bf16}, .narrow = {narrow_f32, narrow_f16, narrow_bf16},      \
        .widen = {widen_f32, widen_f16, widen_bf16}, .rmsnorm = rmsnorm, .softmax = softmax,       \
        .silu_mul = silu_mul, .add = add, LOADING_KERNELS,                                         \
    }
