/* The kernels as one reads them in a paper: what the others are tested against. */
#include <math.h>
#include <string.h>

#include "llama/cpu/kernels.h"
#include "llama/cpu/loading.h"
#include "model/half.h"

static float element(const void *data, size_t i, enum llama_precision type)
{
    if (type == LLAMA_F32)
        return ((const float *)data)[i];
    uint16_t half = ((const uint16_t *)data)[i];
    return type == LLAMA_F16 ? half_to_float(half) : bfloat_to_float(half);
}

static void matmul(float *out, size_t out_stride, const void *weights, size_t rows, size_t columns,
                   const float *x, size_t tokens, enum llama_precision type)
{
    for (size_t t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r++) {
            float sum = 0;
            for (size_t c = 0; c < columns; c++)
                sum += element(weights, r * columns + c, type) * x[t * columns + c];
            out[t * out_stride + r] = sum;
        }
    }
}

static void matmul_int8(float *out, size_t out_stride, const int8_t *codes, const float *scales,
                        size_t rows, size_t columns, const float *x, size_t tokens)
{
    for (size_t t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r++) {
            float sum = 0;
            for (size_t c = 0; c < columns; c++)
                sum += (float)codes[r * columns + c] * x[t * columns + c];
            out[t * out_stride + r] = sum * scales[r];
        }
    }
}

static void matmul_nf4(float *out, size_t out_stride, const uint8_t *codes, const float *scales,
                       size_t rows, size_t columns, const float *x, size_t tokens)
{
    for (size_t t = 0; t < tokens; t++) {
        for (size_t r = 0; r < rows; r++) {
            float sum = 0;
            for (size_t c = 0; c < columns; c++) {
                size_t at = r * columns + c; /* rows are whole blocks */
                sum += nf4_code[nf4_at(codes, at)] * scales[at / NF4_BLOCK] * x[t * columns + c];
            }
            out[t * out_stride + r] = sum;
        }
    }
}

static void widen_int8(float *out, const int8_t *codes, float scale, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (float)codes[i] * scale;
}

static void mix(float *out, const float *share, size_t share_stride, size_t heads,
                const void *values, size_t positions, size_t columns, enum llama_precision type)
{
    for (size_t h = 0; h < heads; h++) {
        for (size_t c = 0; c < columns; c++) {
            float sum = 0;
            for (size_t p = 0; p < positions; p++)
                sum += share[h * share_stride + p] * element(values, p * columns + c, type);
            out[h * columns + c] = sum;
        }
    }
}

static void matmul_f32(float *out, size_t out_stride, const void *weights, size_t rows,
                       size_t columns, const float *x, size_t tokens)
{
    matmul(out, out_stride, weights, rows, columns, x, tokens, LLAMA_F32);
}

static void matmul_f16(float *out, size_t out_stride, const void *weights, size_t rows,
                       size_t columns, const float *x, size_t tokens)
{
    matmul(out, out_stride, weights, rows, columns, x, tokens, LLAMA_F16);
}

static void matmul_bf16(float *out, size_t out_stride, const void *weights, size_t rows,
                        size_t columns, const float *x, size_t tokens)
{
    matmul(out, out_stride, weights, rows, columns, x, tokens, LLAMA_BF16);
}

static void mix_f32(float *out, const float *share, size_t share_stride, size_t heads,
                    const void *values, size_t positions, size_t columns)
{
    mix(out, share, share_stride, heads, values, positions, columns, LLAMA_F32);
}

static void mix_f16(float *out, const float *share, size_t share_stride, size_t heads,
                    const void *values, size_t positions, size_t columns)
{
    mix(out, share, share_stride, heads, values, positions, columns, LLAMA_F16);
}

static void mix_bf16(float *out, const float *share, size_t share_stride, size_t heads,
                     const void *values, size_t positions, size_t columns)
{
    mix(out, share, share_stride, heads, values, positions, columns, LLAMA_BF16);
}

static void copy_f32_out(void *out, const float *x, size_t count)
{
    memcpy(out, x, count * sizeof *x);
}

static void copy_f32_in(float *out, const void *x, size_t count)
{
    memcpy(out, x, count * sizeof *out);
}

static void narrow_f16(void *out, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ((uint16_t *)out)[i] = half_from_float(x[i]);
}

static void narrow_bf16(void *out, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ((uint16_t *)out)[i] = bfloat_from_float(x[i]);
}

static void widen_f16(float *out, const void *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = half_to_float(((const uint16_t *)x)[i]);
}

static void widen_bf16(float *out, const void *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = bfloat_to_float(((const uint16_t *)x)[i]);
}

static void rmsnorm(float *out, const float *x, const float *weight, size_t count, float eps)
{
    float sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += x[i] * x[i];
    float factor = 1 / sqrtf(sum / (float)count + eps);
    for (size_t i = 0; i < count; i++)
        out[i] = x[i] * factor * weight[i];
}

static void softmax(float *x, size_t count, float scale)
{
    float max = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++)
        max = fmaxf(max, x[i] * scale);
    for (size_t i = 0; i < count; i++)
        sum += x[i] = expf(x[i] * scale - max);
    for (size_t i = 0; i < count; i++)
        x[i] /= sum;
}

static void silu_mul(float *gate, const float *up, size_t count)
{
    for (size_t i = 0; i < count; i++)
        gate[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

static void add(float *x, const float *y, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] += y[i];
}

const struct kernels kernels_plain = {
    .name = "c",
    .matmul = {matmul_f32, matmul_f16, matmul_bf16},
    .matmul_int8 = matmul_int8,
    .matmul_nf4 = matmul_nf4,
    .widen_int8 = widen_int8,
    .mix = {mix_f32, mix_f16, mix_bf16},
    .narrow = {copy_f32_out, narrow_f16, narrow_bf16},
    .widen = {copy_f32_in, widen_f16, widen_bf16},
    .rmsnorm = rmsnorm,
    .softmax = softmax,
    .silu_mul = silu_mul,
    .add = add,
    LOADING_KERNELS,
};
