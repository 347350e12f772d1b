/* Vectors of 4 floats: any aarch64. The names are those of vec_avx512.h. */
#include <arm_neon.h>

#define VW 4
#define SG_UNROLL SG_UNROLL_FULLY
#define SG_PASS 1
#define SG_TILE 6

typedef float32x4_t vf; /* (4,) float */
typedef int32x4_t vi;   /* (4,) int32 */

SG_INLINE vf v_load(const float *p) { return vld1q_f32(p); }
SG_INLINE void v_store(float *p, vf a) { vst1q_f32(p, a); }
SG_INLINE vf v_set1(float a) { return vdupq_n_f32(a); }
SG_INLINE vf v_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
SG_INLINE vf v_gt(vf a, vf b, vf x, vf y) { return vbslq_f32(vcgtq_f32(a, b), x, y); }
SG_INLINE vf v_max(vf a, vf b) { return v_gt(a, b, a, b); }
SG_INLINE vf v_min(vf a, vf b) { return v_gt(b, a, a, b); }
SG_INLINE vf v_abs(vf a) { return vabsq_f32(a); }
SG_INLINE vf v_sqrt(vf a) { return vsqrtq_f32(a); }
SG_INLINE vf v_half(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }

SG_INLINE vi v_bits(vf a) { return vreinterpretq_s32_f32(a); }
SG_INLINE vf v_floats(vi a) { return vreinterpretq_f32_s32(a); }
SG_INLINE vi v_shift_left_23(vi a) { return vshlq_n_s32(a, 23); }
SG_INLINE vi v_add_int(vi a, vi b) { return vaddq_s32(a, b); }
SG_INLINE vi v_bytes(const int8_t *p) { return vreinterpretq_s32_s8(vld1q_s8(p)); }
SG_INLINE vi v_set1_int(int32_t a) { return vdupq_n_s32(a); }
SG_INLINE vf v_from_int(vi a) { return vcvtq_f32_s32(a); }

/* u <= 127, so it may be read as signed, and the 16-bit sums of two products do not overflow. */
SG_INLINE vi v_dot4(vi sum, vi u, vi s)
{
    const int8x16_t a = vreinterpretq_s8_s32(u), b = vreinterpretq_s8_s32(s);
    const int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b)), high = vmull_high_s8(a, b);
    return vpadalq_s16(sum, vpaddq_s16(low, high));
}

SG_INLINE int v_all_finite(vf a)
{
    return vminvq_u32(vcltq_f32(vabsq_f32(a), vdupq_n_f32(INFINITY))) != 0;
}
