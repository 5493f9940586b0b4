/* Conversions between float32 and the 16-bit floats: IEEE binary16 (F16) and bfloat16 (BF16).
 * Widening is exact; narrowing rounds to nearest, ties to even. NaN stays a (quiet) NaN. */
#ifndef PRONY_MODEL_HALF_H
#define PRONY_MODEL_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31;
    uint32_t fraction = half & 0x3ff;
    if (exponent == 0) /* zero or subnormal: fraction * 2^-24, exact in float32 */
        return float_from_bits(sign | float_bits((float)fraction * 0x1p-24f));
    if (exponent == 31)
        return float_from_bits(sign | 0x7f800000 | (fraction ? 0x400000 : 0) | fraction << 13);
    return float_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

static inline uint16_t half_from_float(float value)
{
    uint32_t bits = float_bits(value);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (bits >> 13 & 0x1ff));
    if (bits >= 0x477ff000) /* 65520 and above round to infinity */
        return sign | 0x7c00;
    if (bits < 0x38800000) { /* below 2^-14: the sum's last bit is worth 2^-24, a subnormal's */
        float sum = float_from_bits(bits) + 0.5f;
        return (uint16_t)(sign | (float_bits(sum) - 0x3f000000));
    }
    bits += 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | (bits - (112u << 23)) >> 13);
}

static inline float bfloat_to_float(uint16_t bfloat)
{
    return float_from_bits((uint32_t)bfloat << 16);
}

static inline uint16_t bfloat_from_float(float value)
{
    uint32_t bits = float_bits(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#endif
