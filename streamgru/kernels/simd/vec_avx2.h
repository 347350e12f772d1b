/* Vectors of 8 floats: AVX2 with FMA and F16C. The names are those of vec_avx512.h. */
#include <immintrin.h>

#define VW 8
#define SG_UNROLL SG_UNROLL_FULLY
#define SG_PASS 1
#define SG_TILE 6

typedef __m256 vf;  /* (8,) float */
typedef __m256i vi; /* (8,) int32 */

SG_INLINE vf v_load(const float *p) { return _mm256_loadu_ps(p); }
SG_INLINE void v_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
SG_INLINE vf v_set1(float a) { return _mm256_set1_ps(a); }
SG_INLINE vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
SG_INLINE vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
SG_INLINE vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
SG_INLINE vf v_gt(vf a, vf b, vf x, vf y) { return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_GT_OQ)); }
SG_INLINE vf v_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
SG_INLINE vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }
SG_INLINE vf v_half(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }

SG_INLINE vi v_bits(vf a) { return _mm256_castps_si256(a); }
SG_INLINE vf v_floats(vi a) { return _mm256_castsi256_ps(a); }
SG_INLINE vi v_shift_left_23(vi a) { return _mm256_slli_epi32(a, 23); }
SG_INLINE vi v_add_int(vi a, vi b) { return _mm256_add_epi32(a, b); }
SG_INLINE vi v_bytes(const int8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
SG_INLINE vi v_set1_int(int32_t a) { return _mm256_set1_epi32(a); }
SG_INLINE vf v_from_int(vi a) { return _mm256_cvtepi32_ps(a); }

/* The 16-bit sums of two products cannot saturate: u <= 127 and |s| <= 127. */
SG_INLINE vi v_dot4(vi sum, vi u, vi s)
{
    const vi pairs = _mm256_maddubs_epi16(u, s);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

SG_INLINE int v_all_finite(vf a)
{
    return _mm256_movemask_ps(_mm256_cmp_ps(v_abs(a), _mm256_set1_ps(INFINITY), _CMP_LT_OQ)) == 0xff;
}
