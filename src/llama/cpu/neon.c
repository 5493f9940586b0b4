/* NEON as every aarch64 has it: four lanes, 32 registers. */
#if defined(__aarch64__)
#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#include "llama/quantize.h"

typedef float32x4_t vec;
#define LANES 4
#define TILE_ROWS 4
#define TILE_TOKENS 6
#define VECTOR_ROWS 8
#define NF4_ROWS 4

static inline vec v_set(float x)
{
    return vdupq_n_f32(x);
}

static inline vec v_load(const float *p)
{
    return vld1q_f32(p);
}

static inline void v_store(float *p, vec v)
{
    vst1q_f32(p, v);
}

static inline vec v_load_f16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

static inline void v_store_f16(uint16_t *p, vec v)
{
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}

static inline vec v_load_bf16(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}

/* Rounds to nearest even by an addition that carries; a NaN would carry into nonsense. */
static inline void v_store_bf16(uint16_t *p, vec v)
{
    uint32x4_t bits = vreinterpretq_u32_f32(v);
    uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    vst1_u16(p, vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), rounded, quiet), 16));
}

static inline vec v_load_i8(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    int8x8_t bytes = vreinterpret_s8_s32(vdup_n_s32(four));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))));
}

/* A block's codes, 16 bytes for each 16 weights, and its scale. */
struct v_nf4 {
    uint8x16_t codes[4];
    vec scale;
};

static inline struct v_nf4 v_nf4_block(const uint8_t *codes, float scale)
{
    uint8x16x2_t bytes = vld2q_u8(codes);
    uint8x16_t four_bits = vdupq_n_u8(15);
    return (struct v_nf4){{vandq_u8(bytes.val[0], four_bits), vshrq_n_u8(bytes.val[0], 4),
                           vandq_u8(bytes.val[1], four_bits), vshrq_n_u8(bytes.val[1], 4)},
                          vdupq_n_f32(scale)};
}

/* Tables have bytes: each of the four that make a value is looked up by itself. */
static inline vec v_nf4_part(const struct v_nf4 *block, int i)
{
    uint8x16x4_t table = vld4q_u8((const uint8_t *)nf4_code);
    uint8x16_t code = block->codes[i / 4];
    uint8x16_t a = vqtbl1q_u8(table.val[0], code), b = vqtbl1q_u8(table.val[1], code);
    uint8x16_t c = vqtbl1q_u8(table.val[2], code), d = vqtbl1q_u8(table.val[3], code);
    uint16x8_t low = vreinterpretq_u16_u8(i % 4 < 2 ? vzip1q_u8(a, b) : vzip2q_u8(a, b));
    uint16x8_t high = vreinterpretq_u16_u8(i % 4 < 2 ? vzip1q_u8(c, d) : vzip2q_u8(c, d));
    uint16x8_t value = i % 2 == 0 ? vzip1q_u16(low, high) : vzip2q_u16(low, high);
    return vmulq_f32(vreinterpretq_f32_u16(value), block->scale);
}

static inline vec v_fma(vec a, vec b, vec c)
{
    return vfmaq_f32(c, a, b);
}

static inline vec v_add(vec a, vec b)
{
    return vaddq_f32(a, b);
}

static inline vec v_sub(vec a, vec b)
{
    return vsubq_f32(a, b);
}

static inline vec v_mul(vec a, vec b)
{
    return vmulq_f32(a, b);
}

static inline vec v_div(vec a, vec b)
{
    return vdivq_f32(a, b);
}

static inline vec v_max(vec a, vec b)
{
    return vmaxq_f32(a, b);
}

static inline vec v_min(vec a, vec b)
{
    return vminq_f32(a, b);
}

static inline vec v_round(vec v)
{
    return vrndnq_f32(v);
}

static inline vec v_pow2(vec n)
{
    int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
}

static inline float v_sum(vec v)
{
    return vaddvq_f32(v);
}

static inline float v_largest(vec v)
{
    return vmaxvq_f32(v);
}

#include "llama/cpu/simd.h"

const struct kernels kernels_neon = KERNELS_TABLE("neon");
#endif
