/* AVX-512 F, BW, VL and DQ: sixteen lanes, 32 registers. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>

#include "llama/quantize.h"

typedef __m512 vec;
#define LANES 16
#define TILE_ROWS 4
#define TILE_TOKENS 6
#define VECTOR_ROWS 2
#define NF4_ROWS 4

static inline vec v_set(float x)
{
    return _mm512_set1_ps(x);
}

static inline vec v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

static inline void v_store(float *p, vec v)
{
    _mm512_storeu_ps(p, v);
}

static inline vec v_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
}

static inline void v_store_f16(uint16_t *p, vec v)
{
    _mm256_storeu_si256((void *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

static inline vec v_load_bf16(const uint16_t *p)
{
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

/* Rounds to nearest even by an addition that carries; a NaN would carry into nonsense. */
static inline void v_store_bf16(uint16_t *p, vec v)
{
    __m512i bits = _mm512_castps_si512(v);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
    _mm256_storeu_si256((void *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
}

static inline vec v_load_i8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p)));
}

/* The code's values times a block's scale: a table that an instruction looks all lanes up in. */
struct v_nf4 {
    __m512i codes;
    vec values;
};

static inline struct v_nf4 v_nf4_block(const uint8_t *codes, float scale)
{
    __m256i bytes = _mm256_loadu_si256((const void *)codes);
    return (struct v_nf4){_mm512_cvtepu16_epi32(bytes),
                          _mm512_mul_ps(_mm512_loadu_ps(nf4_code), _mm512_set1_ps(scale))};
}

static inline vec v_nf4_part(const struct v_nf4 *block, int i)
{
    return _mm512_permutexvar_ps(_mm512_srli_epi32(block->codes, 4 * (unsigned)i), block->values);
}

static inline vec v_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

static inline vec v_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

static inline vec v_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}

static inline vec v_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}

static inline vec v_div(vec a, vec b)
{
    return _mm512_div_ps(a, b);
}

static inline vec v_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

static inline vec v_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}

static inline vec v_round(vec v)
{
    return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vec v_pow2(vec n)
{
    return _mm512_scalef_ps(_mm512_set1_ps(1), n);
}

static inline float v_sum(vec v)
{
    return _mm512_reduce_add_ps(v);
}

static inline float v_largest(vec v)
{
    return _mm512_reduce_max_ps(v);
}

#include "llama/cpu/simd.h"

const struct kernels kernels_avx512 = KERNELS_TABLE("avx512");
#endif
