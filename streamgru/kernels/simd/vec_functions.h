/* Sigmoid, tanh and exp in vectors: additions, multiplications, divisions and fused multiply-adds alone.
 *
 * IEEE 754 rounds each of these in one way, so that every instruction set gives the same bits. All
 * rest on e^t - 1 = 2^n (e^r - 1) + (2^n - 1) with n = round(t / ln 2) and |r| <= ln(2) / 2.
 */

#define SG_LARGEST 87.3365402f /* the last float of which e^-x is no subnormal number */
#define SG_INFINITE 88.8f      /* 2^n is infinite, and e^r > 1, so that e^SG_INFINITE is infinite and no NaN */

typedef struct {
    vf scale; /* 2^n */
    vf expm1; /* e^r - 1 */
} sg_reduced;

/* t in [-SG_LARGEST, SG_LARGEST], or SG_INFINITE, or NaN, which goes on into expm1. */
SG_INLINE sg_reduced reduce(vf t)
{
    const vf magic = v_set1(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    const vf shifted = v_fma(t, v_set1(0x1.715476p0f), magic), n = shifted - magic;
    const vf r = v_fma(n, v_set1(0x1.05c610p-29f), v_fma(n, v_set1(-0x1.62e430p-1f), t)); /* t - n ln 2 */
    /* minimax in the relative error of e^r - 1: below 1.4e-8 */
    vf q = v_set1(0x1.6bebfep-10f);
    q = v_fma(q, r, v_set1(0x1.1227b0p-7f));
    q = v_fma(q, r, v_set1(0x1.555674p-5f));
    q = v_fma(q, r, v_set1(0x1.5554b0p-3f));
    q = v_fma(q, r, v_set1(0x1.fffffep-2f));
    sg_reduced e;
    e.expm1 = v_fma(q, r * r, r);
    e.scale = v_floats(v_add_int(v_shift_left_23(v_bits(shifted)), v_set1_int(127 << 23)));
    return e;
}

SG_INLINE vf clamp(vf x, float low, float high)
{
    return v_min(v_set1(high), v_max(v_set1(low), x));
}

/* 1 / (1 + e^-x); 0 where it would be subnormal. */
SG_INLINE vf v_sigmoid(vf x)
{
    const vf t = v_max(v_set1(-SG_LARGEST), v_set1(0.0f) - x);
    const sg_reduced e = reduce(v_gt(t, v_set1(SG_LARGEST), v_set1(SG_INFINITE), t));
    return v_set1(1.0f) / (v_set1(1.0f) + v_fma(e.scale, e.expm1, e.scale));
}

/* (e^2x - 1) / (e^2x + 1), from e^2x - 1, which keeps its digits around 0. */
SG_INLINE vf v_tanh(vf x)
{
    const sg_reduced e = reduce(clamp(x + x, -20.0f, 20.0f)); /* beyond, it is 1 in every digit */
    const vf expm1 = v_fma(e.scale, e.expm1, e.scale - v_set1(1.0f));
    return expm1 / (expm1 + v_set1(2.0f));
}

/* e^x for x <= 0; 0 where it would be subnormal. */
SG_INLINE vf v_exp(vf x)
{
    const sg_reduced e = reduce(clamp(x, -SG_LARGEST, 0.0f));
    return v_gt(v_set1(-SG_LARGEST), x, v_set1(0.0f), v_fma(e.scale, e.expm1, e.scale));
}

#include "vec_curves.h"

SG_INLINE vf v_activate(const sg_activation *f, vf x)
{
    switch (f->kind) {
    case SG_LINEAR:
        return x;
    case SG_SIGMOID:
        return v_sigmoid(x);
    case SG_TANH:
        return v_tanh(x);
    case SG_HARD_SIGMOID: {
        const vf line = x * v_set1((float)f->alpha) + v_set1((float)f->beta);
        return clamp(line, 0.0f, 1.0f);
    }
    case SG_RELU:
        return v_max(v_set1(0.0f), x);
    default:
        return v_curve(f, x);
    }
}

/* Over an array of any length; what is left over goes through a vector of its own. */
#define SG_OVER_ARRAY(n, x, y, expression)                                                                             \
    do {                                                                                                               \
        ptrdiff_t i_ = 0;                                                                                              \
        for (; i_ + VW <= (n); i_ += VW) {                                                                             \
            const vf y = v_load((x) + i_);                                                                             \
            v_store((x) + i_, expression);                                                                             \
        }                                                                                                              \
        if (i_ < (n)) {                                                                                                \
            float rest_[VW] = {0};                                                                                     \
            memcpy(rest_, (x) + i_, (size_t)((n) - i_) * sizeof(float));                                               \
            const vf y = v_load(rest_);                                                                                \
            v_store(rest_, expression);                                                                                \
            memcpy((x) + i_, rest_, (size_t)((n) - i_) * sizeof(float));                                               \
        }                                                                                                              \
    } while (0)

static void activate(const sg_activation *f, ptrdiff_t n, float *x /* (n,) */)
{
    SG_OVER_ARRAY(n, x, value, v_activate(f, value));
}

static void exp_negative(ptrdiff_t n, float *x /* (n,) */)
{
    SG_OVER_ARRAY(n, x, value, v_exp(value));
}

static ptrdiff_t first_nonfinite(ptrdiff_t n, const float *x /* (n,) */)
{
    ptrdiff_t i = 0;
    while (i + VW <= n && v_all_finite(v_load(x + i)))
        i += VW;
    int bad = 0;
    for (ptrdiff_t k = i; k < n; k++)
        bad |= !(fabsf(x[k]) < INFINITY);
    while (bad && fabsf(x[i]) < INFINITY)
        i++;
    return bad ? i : -1;
}
