/* NEON as every aarch64 has it: four lanes, 32 registers. */
#if defined(__aarch64__)
#include <arm_neon.h>
#include <stdint.h>

typedef float32x4_t vec;
#define LANES 4
#define TILE_ROWS 4
#define TILE_TOKENS 6
#define VECTOR_ROWS 8

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
