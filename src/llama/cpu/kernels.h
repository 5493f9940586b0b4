/* The arithmetic of a transformer, once for each instruction set behind one table.
 *
 * Weights are F32, F16, BF16, int8 or nf4, the KV cache is one of the first three; activations are
 * float32, and so is every sum.
 * Each output element is summed in an order that depends on the number of columns alone: not on
 * the rows or tokens computed beside it, hence not on how work is split over threads or blocks.
 * Pointers need the alignment of their element type only. */
#ifndef PRONY_LLAMA_CPU_KERNELS_H
#define PRONY_LLAMA_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "llama/llama.h"

enum { KERNEL_TYPES = LLAMA_BF16 + 1 };

struct kernels {
    const char *name;

    /* out[t * out_stride + r] = sum over c of weights[r, c] * x[t, c].
     * weights [rows, columns] and x [tokens, columns] are contiguous. */
    void (*matmul[KERNEL_TYPES])(float *out, size_t out_stride, const void *weights, size_t rows,
                                 size_t columns, const float *x, size_t tokens);

    /* The same of codes and their scales (llama/quantize.h); of nf4, columns are whole blocks. */
    void (*matmul_int8)(float *out, size_t out_stride, const int8_t *codes, const float *scales,
                        size_t rows, size_t columns, const float *x, size_t tokens);
    void (*matmul_nf4)(float *out, size_t out_stride, const uint8_t *codes, const float *scales,
                       size_t rows, size_t columns, const float *x, size_t tokens);
    /* out[i] = codes[i] * scale */
    void (*widen_int8)(float *out, const int8_t *codes, float scale, size_t count);

    /* out[h, c] = sum over p of share[h * share_stride + p] * values[p, c]: attention's mean of
     * the values. out [heads, columns] and values [positions, columns] are contiguous. */
    void (*mix[KERNEL_TYPES])(float *out, const float *share, size_t share_stride, size_t heads,
                              const void *values, size_t positions, size_t columns);

    /* Quantising, laid out as llama/quantize.h has it, by all tables to the same bit: int8's scale
     * of a row, and codes [count] of some of its weights; nf4 of whole blocks, codes [count / 2]
     * and scales [count / NF4_BLOCK]. */
    float (*int8_scale)(const float *row, size_t columns);
    void (*int8_codes)(int8_t *codes, float scale, const float *weights, size_t count);
    void (*nf4_codes)(uint8_t *codes, float *scales, const float *weights, size_t count);
    /* Values of a made-up matrix, to the bit as model/noise.h has them. */
    void (*noise)(float *out, uint64_t key, uint64_t index, size_t count, float scale);

    /* To and from float32; narrowing rounds to nearest, ties to even. */
    void (*narrow[KERNEL_TYPES])(void *out, const float *x, size_t count);
    void (*widen[KERNEL_TYPES])(float *out, const void *x, size_t count);

    /* out[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i] */
    void (*rmsnorm)(float *out, const float *x, const float *weight, size_t count, float eps);
    /* x[i] = exp(scale * x[i] - max) / sum, in place. */
    void (*softmax)(float *x, size_t count, float scale);
    /* gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i] */
    void (*silu_mul)(float *gate, const float *up, size_t count);
    /* x[i] += y[i] */
    void (*add)(float *x, const float *y, size_t count);
};

/* Bytes of one element of what is no code. */
static inline size_t llama_precision_bytes(enum llama_precision precision)
{
    return precision == LLAMA_F32 ? 4 : 2;
}

/* The table called name, or the machine's best for NULL. STATUS_USAGE: no such table;
 * STATUS_UNSUPPORTED: this processor lacks its instructions. */
enum status kernels_find(const struct kernels **kernels, const char *name, struct error *err);

/* Rounds float32 to what a precision can hold. */
void kernels_round(const struct kernels *kernels, enum llama_precision precision, float *data,
                   size_t count);

/* The i-th table that this processor can run, plain C first; NULL beyond the last. */
const struct kernels *kernels_at(size_t i);

extern const struct kernels kernels_plain;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2, kernels_avx512;
#elif defined(__aarch64__)
extern const struct kernels kernels_neon;
#endif

#endif
