/* Vectors of 4 floats: any x86-64, without FMA. The names are those of vec_avx512.h. */
#include <emmintrin.h>

#define VW 4
#define SG_UNROLL /* the exact v_fma is long */
#define SG_PASS 1
#define SG_TILE 2

typedef __m128 vf;  /* (4,) float */
typedef __m128i vi; /* (4,) int32 */

SG_INLINE vf v_load(const float *p) { return _mm_loadu_ps(p); }
SG_INLINE void v_store(float *p, vf a) { _mm_storeu_ps(p, a); }
SG_INLINE vf v_set1(float a) { return _mm_set1_ps(a); }
SG_INLINE vf v_max(vf a, vf b) { return _mm_max_ps(a, b); }
SG_INLINE vf v_min(vf a, vf b) { return _mm_min_ps(a, b); }
SG_INLINE vf v_abs(vf a) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), a); }
SG_INLINE vf v_sqrt(vf a) { return _mm_sqrt_ps(a); }

SG_INLINE vf v_gt(vf a, vf b, vf x, vf y)
{
    const vf mask = _mm_cmpgt_ps(a, b);
    return _mm_or_ps(_mm_and_ps(mask, x), _mm_andnot_ps(mask, y));
}

/* a * b + c in double, rounded to odd: then rounding to float gives what one rounding would
 * (Boldo and Melquiond 2008). See fma_exact in half_and_fma.h for the steps. */
SG_INLINE __m128d v_fma_odd(__m128d a, __m128d b, __m128d c)
{
    const __m128d product = _mm_mul_pd(a, b), sum = _mm_add_pd(product, c), back = _mm_sub_pd(sum, product);
    const __m128d lost = _mm_add_pd(_mm_sub_pd(product, _mm_sub_pd(sum, back)), _mm_sub_pd(c, back));
    const __m128d zero = _mm_setzero_pd(), sign = _mm_set1_pd(-0.0);
    const __m128d inexact = _mm_or_pd(_mm_cmplt_pd(lost, zero), _mm_cmpgt_pd(lost, zero));
    const __m128i one = _mm_set_epi32(0, 1, 0, 1), bits = _mm_castpd_si128(sum);
    const __m128i even = _mm_andnot_si128(bits, one);
    const __m128d apart = _mm_cmplt_pd(_mm_xor_pd(lost, _mm_and_pd(sum, sign)), zero);
    /* 1 or -1 where a bit was lost and the last one kept is even, else 0 */
    const __m128i toward = _mm_or_si128(_mm_castpd_si128(apart), one);
    const __m128i spread = _mm_sub_epi64(_mm_setzero_si128(), even);
    const __m128i step = _mm_and_si128(_mm_and_si128(toward, spread), _mm_castpd_si128(inexact));
    return _mm_castsi128_pd(_mm_add_epi64(bits, step));
}

SG_INLINE vf v_fma(vf a, vf b, vf c)
{
    const __m128d low = v_fma_odd(_mm_cvtps_pd(a), _mm_cvtps_pd(b), _mm_cvtps_pd(c));
    const vf ah = _mm_movehl_ps(a, a), bh = _mm_movehl_ps(b, b), ch = _mm_movehl_ps(c, c);
    const __m128d high = v_fma_odd(_mm_cvtps_pd(ah), _mm_cvtps_pd(bh), _mm_cvtps_pd(ch));
    return _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
}

SG_INLINE vf v_half(const uint16_t *p)
{
    return _mm_setr_ps(half_to_float(p[0]), half_to_float(p[1]), half_to_float(p[2]), half_to_float(p[3]));
}

SG_INLINE vi v_bits(vf a) { return _mm_castps_si128(a); }
SG_INLINE vf v_floats(vi a) { return _mm_castsi128_ps(a); }
SG_INLINE vi v_shift_left_23(vi a) { return _mm_slli_epi32(a, 23); }
SG_INLINE vi v_add_int(vi a, vi b) { return _mm_add_epi32(a, b); }
SG_INLINE vi v_bytes(const int8_t *p) { return _mm_loadu_si128((const __m128i *)p); }
SG_INLINE vi v_set1_int(int32_t a) { return _mm_set1_epi32(a); }
SG_INLINE vf v_from_int(vi a) { return _mm_cvtepi32_ps(a); }

SG_INLINE vi v_dot4(vi sum, vi u, vi s)
{
    const __m128i zero = _mm_setzero_si128();
    const __m128i low = _mm_srai_epi16(_mm_unpacklo_epi8(zero, s), 8);
    const __m128i high = _mm_srai_epi16(_mm_unpackhi_epi8(zero, s), 8);
    const vf a = _mm_castsi128_ps(_mm_madd_epi16(_mm_unpacklo_epi8(u, zero), low));
    const vf b = _mm_castsi128_ps(_mm_madd_epi16(_mm_unpackhi_epi8(u, zero), high));
    const __m128i even = _mm_castps_si128(_mm_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0)));
    const __m128i odd = _mm_castps_si128(_mm_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 3, 1)));
    return _mm_add_epi32(sum, _mm_add_epi32(even, odd));
}

SG_INLINE int v_all_finite(vf a)
{
    return _mm_movemask_ps(_mm_cmplt_ps(v_abs(a), _mm_set1_ps(INFINITY))) == 0xf;
}
