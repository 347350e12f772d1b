/* What some CPUs lack: a fused multiply-add, and 16-bit floats. Exact, in plain C. */
#ifndef STREAMGRU_HALF_AND_FMA_H
#define STREAMGRU_HALF_AND_FMA_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__clang__)
#define SG_UNROLL_FULLY _Pragma("clang loop unroll(full)")
#else
#define SG_UNROLL_FULLY _Pragma("GCC unroll 32")
#endif

#if defined(__GNUC__)
#define SG_INLINE static inline __attribute__((always_inline, unused))
#else
#define SG_INLINE static __inline
#endif

SG_INLINE int32_t bits_of_float(float a)
{
    int32_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}

SG_INLINE float float_of_bits(int32_t bits)
{
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

/* a * b + c, rounded once. In double the product is exact and the sum is not; where it is not, its
 * last bit is set, so that rounding to float cannot fall on a tie that is none ("rounding to odd",
 * Boldo and Melquiond 2008). libm's fmaf, where it is software, sets the rounding mode meanwhile. */
SG_INLINE float fma_exact(float a, float b, float c)
{
#if defined(__FP_FAST_FMAF)
    return __builtin_fmaf(a, b, c);
#else
    const double product = (double)a * b, sum = product + c, back = sum - product;
    const double lost = (product - (sum - back)) + (c - back); /* Knuth's TwoSum: exact */
    double odd = sum;
    if (lost < 0 || lost > 0) {
        uint64_t bits;
        memcpy(&bits, &sum, sizeof bits);
        if ((bits & 1) == 0)
            bits += (lost > 0) == (sum > 0) ? 1 : (uint64_t)-1;
        memcpy(&odd, &bits, sizeof odd);
    }
    return (float)odd;
#endif
}

/* A finite IEEE 754 binary16 as a float. Exact. */
SG_INLINE float half_to_float(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;
    if (rest < 0x0400) /* zero or subnormal: a multiple of 2^-24 */
        return sign ? -((float)rest * 0x1p-24f) : (float)rest * 0x1p-24f;
    return float_of_bits((int32_t)(sign | ((rest << 13) + ((127u - 15u) << 23))));
}

#endif
