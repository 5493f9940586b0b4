#include "llama/quantize.h"

#include <math.h>
#include <string.h>

#include "model/half.h"

/* Dettmers et al. 2023, "QLoRA: Efficient Finetuning of Quantized LLMs", appendix E. */
const float nf4_code[NF4_CODES] = {-1.0f,
                                   -0.6961928009986877f,
                                   -0.5250730514526367f,
                                   -0.39491748809814453f,
                                   -0.28444138169288635f,
                                   -0.18477343022823334f,
                                   -0.09105003625154495f,
                                   0.0f,
                                   0.07958029955625534f,
                                   0.16093020141124725f,
                                   0.24611230194568634f,
                                   0.33791524171829224f,
                                   0.44070982933044434f,
                                   0.5626170039176941f,
                                   0.7229568362236023f,
                                   1.0f};

enum { NF4_ZERO = 7, INT8_MOST = 127 };

static float largest(const float *x, size_t count)
{
    float most = 0;
    for (size_t i = 0; i < count; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    return most;
}

/* Ties to even, of what lies below 2^22: float32 has no room for a fraction beyond 2^23. rintf is a
 * call on processors that are not known to have an instruction for it. */
static float nearest_whole(float x)
{
    return (x + 0x1.8p23f) - 0x1.8p23f;
}

float quantize_int8_scale(const float *row, size_t columns)
{
    return largest(row, columns) / INT8_MOST;
}

void quantize_int8_codes(int8_t *codes, float scale, const float *weights, size_t count)
{
    memset(codes, 0, count);
    for (size_t i = 0; scale > 0 && i < count; i++) {
        float code = weights[i] / scale;
        code = code < INT8_MOST ? code : INT8_MOST;
        codes[i] = (int8_t)nearest_whole(code > -INT8_MOST ? code : -INT8_MOST);
    }
}

void quantize_int8(int8_t *codes, float *scale, const float *row, size_t columns)
{
    *scale = quantize_int8_scale(row, columns);
    quantize_int8_codes(codes, *scale, row, columns);
}

/* How many of the midpoints between neighbours lie below x: a search of four steps. */
static unsigned nearest(const float midpoint[NF4_CODES - 1], float x)
{
    unsigned at = 0;
    for (unsigned step = NF4_CODES / 2; step > 0; step /= 2)
        at += x > midpoint[at + step - 1] ? step : 0;
    return at;
}

void quantize_nf4(uint8_t *codes, float *scales, const float *weights, size_t count)
{
    float midpoint[NF4_CODES - 1];
    for (size_t i = 0; i < NF4_CODES - 1; i++)
        midpoint[i] = (nf4_code[i] + nf4_code[i + 1]) / 2;
    memset(codes, 0, count / 2);
    for (size_t block = 0; block < count / NF4_BLOCK; block++) {
        const float *x = weights + block * NF4_BLOCK;
        uint8_t *to = codes + block * NF4_BYTES;
        float scale = scales[block] = largest(x, NF4_BLOCK);
        for (size_t i = 0; i < NF4_BLOCK; i++) {
            unsigned code = scale > 0 ? nearest(midpoint, x[i] / scale) : NF4_ZERO;
            to[i % 16 * 2 + i / 32] |= (uint8_t)(code << i / 16 % 2 * 4);
        }
    }
}

void quantize_q8_0(float *row, size_t columns)
{
    for (size_t block = 0; block < columns; block += Q8_0_BLOCK) {
        float *x = row + block, step = largest(x, Q8_0_BLOCK) / INT8_MOST;
        float per_step = step > 0 ? 1 / step : 0, held = half_to_float(half_from_float(step));
        for (size_t i = 0; i < Q8_0_BLOCK; i++)
            x[i] = roundf(x[i] * per_step) * held;
    }
}
