/* Vectors of 16 floats: AVX-512 with VNNI, as every CPU since Ice Lake and Zen 4 has it.
 *
 * Each vec_*.h gives the same names to its instruction set, and each name rounds as IEEE 754 says:
 *   vf, vi        VW floats, VW int32; + - * / work on both
 *   v_fma         a * b + c, rounded once
 *   v_max, v_min  a > b ? a : b and a < b ? a : b, so b where a number is NaN
 *   v_gt          a > b ? x : y, so y where a number is NaN
 *   v_dot4        int32 += four products of unsigned by signed bytes, in every lane
 * SG_PASS gates by SG_TILE streams is what the registers hold while a batch is multiplied; SG_UNROLL stands
 * before loops over registers.
 */
#include <immintrin.h>

#define VW 16
#define SG_UNROLL SG_UNROLL_FULLY
#define SG_PASS 3
#define SG_TILE 8

typedef __m512 vf;  /* (16,) float */
typedef __m512i vi; /* (16,) int32 */

SG_INLINE vf v_load(const float *p) { return _mm512_loadu_ps(p); }
SG_INLINE void v_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
SG_INLINE vf v_set1(float a) { return _mm512_set1_ps(a); }
SG_INLINE vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
SG_INLINE vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
SG_INLINE vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
SG_INLINE vf v_gt(vf a, vf b, vf x, vf y) { return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), y, x); }
SG_INLINE vf v_abs(vf a) { return _mm512_abs_ps(a); }
SG_INLINE vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
/* In halves: the conversion of 16 at a time is slow on Zen 4. */
SG_INLINE vf v_half(const uint16_t *p)
{
    const __m256 low = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
    const __m256 high = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8)));
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}

SG_INLINE vi v_bits(vf a) { return _mm512_castps_si512(a); }
SG_INLINE vf v_floats(vi a) { return _mm512_castsi512_ps(a); }
SG_INLINE vi v_shift_left_23(vi a) { return _mm512_slli_epi32(a, 23); }
SG_INLINE vi v_add_int(vi a, vi b) { return _mm512_add_epi32(a, b); }
SG_INLINE vi v_bytes(const int8_t *p) { return _mm512_loadu_si512(p); }
SG_INLINE vi v_set1_int(int32_t a) { return _mm512_set1_epi32(a); }
SG_INLINE vf v_from_int(vi a) { return _mm512_cvtepi32_ps(a); }

/* Not _mm512_dpbusd_epi32: around that, gcc 12 copies every sum from register to register in the loop. */
SG_INLINE vi v_dot4(vi sum, vi u, vi s)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "v"(s));
    return sum;
}

SG_INLINE int v_all_finite(vf a)
{
    return _mm512_cmp_ps_mask(_mm512_abs_ps(a), _mm512_set1_ps(INFINITY), _CMP_LT_OQ) == 0xffff;
}
