/* AVX2 with FMA and F16C: eight lanes, 16 registers. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>

#include "llama/quantize.h"

typedef __m256 vec;
#define LANES 8
#define TILE_ROWS 2
#define TILE_TOKENS 6
#define VECTOR_ROWS 4
#define NF4_ROWS 4

static inline vec v_set(float x)
{
    return _mm256_set1_ps(x);
}

static inline vec v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

static inline void v_store(float *p, vec v)
{
    _mm256_storeu_ps(p, v);
}

static inline vec v_load_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
}

static inline void v_store_f16(uint16_t *p, vec v)
{
    _mm_storeu_si128((void *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

static inline vec v_load_bf16(const uint16_t *p)
{
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

/* Rounds to nearest even by an addition that carries; a NaN would carry into nonsense. */
static inline void v_store_bf16(uint16_t *p, vec v)
{
    __m256i bits = _mm256_castps_si256(v);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    __m128i low_half = _mm256_castsi256_si128(high);
    __m128i high_half = _mm256_extracti128_si256(high, 1);
    _mm_storeu_si128((void *)p, _mm_packus_epi32(low_half, high_half));
}

static inline vec v_load_i8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p)));
}

/* The code's values times a block's scale, in two tables of eight, and the codes of the even and
 * the odd vectors. */
struct v_nf4 {
    __m256i codes[2];
    vec low, high;
};

static inline struct v_nf4 v_nf4_block(const uint8_t *codes, float scale)
{
    vec factor = _mm256_set1_ps(scale);
    const __m128i *bytes = (const void *)codes;
    return (struct v_nf4){{_mm256_cvtepu16_epi32(_mm_loadu_si128(bytes)),
                           _mm256_cvtepu16_epi32(_mm_loadu_si128(bytes + 1))},
                          _mm256_mul_ps(_mm256_loadu_ps(nf4_code), factor),
                          _mm256_mul_ps(_mm256_loadu_ps(nf4_code + 8), factor)};
}

/* The table is chosen by a code's highest bit, moved to where a float has its sign. */
static inline vec v_nf4_part(const struct v_nf4 *block, int i)
{
    __m256i codes = block->codes[i % 2];
    __m256i index = _mm256_srli_epi32(codes, i / 2 * 4);
    vec upper = _mm256_castsi256_ps(_mm256_slli_epi32(codes, 28 - i / 2 * 4));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(block->low, index),
                            _mm256_permutevar8x32_ps(block->high, index), upper);
}

static inline vec v_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

static inline vec v_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}

static inline vec v_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}

static inline vec v_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}

static inline vec v_div(vec a, vec b)
{
    return _mm256_div_ps(a, b);
}

static inline vec v_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

static inline vec v_min(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}

static inline vec v_round(vec v)
{
    return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vec v_pow2(vec n)
{
    __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}

static inline float v_sum(vec v)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static inline float v_largest(vec v)
{
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

#include "llama/cpu/simd.h"

const struct kernels kernels_avx2 = KERNELS_TABLE("avx2");
#endif
