/* Vectors of one float: plain C, for every compiler. The names are those of vec_avx512.h. */
#define VW 1
#define SG_UNROLL /* the exact v_fma is long */
#define SG_PASS 1
#define SG_TILE 2

typedef float vf;
typedef int32_t vi;

SG_INLINE vf v_load(const float *p) { return *p; }
SG_INLINE void v_store(float *p, vf a) { *p = a; }
SG_INLINE vf v_set1(float a) { return a; }
SG_INLINE vf v_fma(vf a, vf b, vf c) { return fma_exact(a, b, c); }
SG_INLINE vf v_max(vf a, vf b) { return a > b ? a : b; }
SG_INLINE vf v_min(vf a, vf b) { return a < b ? a : b; }
SG_INLINE vf v_gt(vf a, vf b, vf x, vf y) { return a > b ? x : y; }
SG_INLINE vf v_abs(vf a) { return fabsf(a); }
SG_INLINE vf v_sqrt(vf a) { return sqrtf(a); }
SG_INLINE vf v_half(const uint16_t *p) { return half_to_float(*p); }

SG_INLINE vi v_bits(vf a) { return bits_of_float(a); }
SG_INLINE vf v_floats(vi a) { return float_of_bits(a); }
SG_INLINE vi v_shift_left_23(vi a) { return (vi)((uint32_t)a << 23); }
SG_INLINE vi v_add_int(vi a, vi b) { return (vi)((uint32_t)a + (uint32_t)b); }
SG_INLINE vi v_bytes(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return four;
}

SG_INLINE vi v_set1_int(int32_t a) { return a; }
SG_INLINE vf v_from_int(vi a) { return (float)a; }

SG_INLINE vi v_dot4(vi sum, vi u, vi s)
{
    for (int i = 0; i < 4; i++)
        sum += ((u >> 8 * i) & 127) * (int8_t)((uint32_t)s >> 8 * i);
    return sum;
}

SG_INLINE int v_all_finite(vf a) { return fabsf(a) < INFINITY; }
