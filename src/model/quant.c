#include "model/quant.h"

#include "model/half.h"

enum { BLOCK = 32 };

static float scale_at(const uint8_t *bytes)
{
    return half_to_float((uint16_t)(bytes[0] | bytes[1] << 8));
}

/* {d, 16 bytes}: the low nibbles are weights 0-15, the high ones 16-31, all less 8. */
static void q4_0(const uint8_t *block, float *out)
{
    float d = scale_at(block);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)((block[2 + i] & 15) - 8) * d;
        out[i + 16] = (float)((block[2 + i] >> 4) - 8) * d;
    }
}

/* {d, m, 16 bytes}: nibble * d + m. */
static void q4_1(const uint8_t *block, float *out)
{
    float d = scale_at(block), m = scale_at(block + 2);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)(block[4 + i] & 15) * d + m;
        out[i + 16] = (float)(block[4 + i] >> 4) * d + m;
    }
}

/* The fifth bits of 32 weights, one bit each, lowest first. */
static int fifth_bit(const uint8_t *high, int i)
{
    return (high[i / 8] >> (i % 8) & 1) << 4;
}

/* {d, 4 bytes of fifth bits, 16 bytes}, all less 16. */
static void q5_0(const uint8_t *block, float *out)
{
    float d = scale_at(block);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)(((block[6 + i] & 15) | fifth_bit(block + 2, i)) - 16) * d;
        out[i + 16] = (float)(((block[6 + i] >> 4) | fifth_bit(block + 2, i + 16)) - 16) * d;
    }
}

/* {d, m, 4 bytes of fifth bits, 16 bytes}. */
static void q5_1(const uint8_t *block, float *out)
{
    float d = scale_at(block), m = scale_at(block + 2);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)((block[8 + i] & 15) | fifth_bit(block + 4, i)) * d + m;
        out[i + 16] = (float)((block[8 + i] >> 4) | fifth_bit(block + 4, i + 16)) * d + m;
    }
}

/* {d, 32 int8}. */
static void q8_0(const uint8_t *block, float *out)
{
    float d = scale_at(block);
    for (int i = 0; i < BLOCK; i++)
        out[i] = (float)(int8_t)block[2 + i] * d;
}

/* Q4_K and Q5_K pack eight 6-bit scales and eight 6-bit minima into 12 bytes: the first four of
 * each in the low six bits of bytes 0-3 and 4-7, the rest in nibbles of bytes 8-11 with their two
 * top bits in the top bits of bytes 0-7. */
static void scale_and_minimum(const uint8_t *packed, int i, int *scale, int *minimum)
{
    if (i < 4) {
        *scale = packed[i] & 63;
        *minimum = packed[i + 4] & 63;
    } else {
        *scale = (packed[i + 4] & 15) | (packed[i - 4] >> 6) << 4;
        *minimum = (packed[i + 4] >> 4) | (packed[i] >> 6) << 4;
    }
}

/* {d, dmin, 12 bytes of scales, 128 bytes}: 32 bytes hold two groups of 32, low nibbles first. */
static void q4_k(const uint8_t *block, float *out)
{
    float d = scale_at(block), dmin = scale_at(block + 2);
    for (int group = 0; group < 8; group++) {
        const uint8_t *nibbles = block + 16 + group / 2 * 32;
        int scale, minimum, shift = group % 2 * 4;
        scale_and_minimum(block + 4, group, &scale, &minimum);
        float step = d * (float)scale, low = dmin * (float)minimum;
        for (int i = 0; i < 32; i++)
            *out++ = step * (float)(nibbles[i] >> shift & 15) - low;
    }
}

/* {d, dmin, 12 bytes of scales, 32 bytes of fifth bits, 128 bytes}: bit g of byte i of the fifth
 * bits belongs to weight i of group g. */
static void q5_k(const uint8_t *block, float *out)
{
    float d = scale_at(block), dmin = scale_at(block + 2);
    const uint8_t *high = block + 16;
    for (int group = 0; group < 8; group++) {
        const uint8_t *nibbles = block + 48 + group / 2 * 32;
        int scale, minimum, shift = group % 2 * 4;
        scale_and_minimum(block + 4, group, &scale, &minimum);
        float step = d * (float)scale, low = dmin * (float)minimum;
        for (int i = 0; i < 32; i++) {
            int q = (nibbles[i] >> shift & 15) | (high[i] >> group & 1) << 4;
            *out++ = step * (float)q - low;
        }
    }
}

/* {128 bytes of low nibbles, 64 bytes of top bits, 16 int8 scales, d}: each half of the block is
 * four groups of 32 over the same 64 bytes of nibbles and 32 of top bits; a scale for 16. */
static void q6_k(const uint8_t *block, float *out)
{
    float d = scale_at(block + 208);
    for (int group = 0; group < 8; group++) {
        const uint8_t *low = block + group / 4 * 64 + group % 2 * 32;
        const uint8_t *high = block + 128 + group / 4 * 32;
        int low_shift = group % 4 / 2 * 4, high_shift = group % 4 * 2;
        for (int i = 0; i < 32; i++) {
            int q = (low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4;
            float step = d * (float)(int8_t)block[192 + group * 2 + i / 16];
            *out++ = step * (float)(q - 32);
        }
    }
}

void quant_to_f32(enum tensor_type type, const void *blocks, uint64_t count, float *out)
{
    static void (*const dequantise[TENSOR_TYPES])(const uint8_t *, float *) = {
        [TENSOR_Q4_0] = q4_0, [TENSOR_Q4_1] = q4_1, [TENSOR_Q5_0] = q5_0, [TENSOR_Q5_1] = q5_1,
        [TENSOR_Q8_0] = q8_0, [TENSOR_Q4_K] = q4_k, [TENSOR_Q5_K] = q5_k, [TENSOR_Q6_K] = q6_k,
    };
    uint32_t block = tensor_type_block(type), block_bytes = tensor_type_block_bytes(type);
    const uint8_t *from = blocks;
    for (uint64_t i = 0; i < count; i += block, from += block_bytes)
        dequantise[type](from, out + i);
}
