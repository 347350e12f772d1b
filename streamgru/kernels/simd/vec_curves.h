/* The functions that are rarer than sigmoid, tanh and relu, in vectors. They stay out of line: what a network mostly
 * computes shall not be long because of what it could compute. A NaN comes out as one.
 */
#if defined(__GNUC__)
#define SG_OUT_OF_LINE static __attribute__((noinline))
#else
#define SG_OUT_OF_LINE static __declspec(noinline)
#endif

#define SG_SMALLEST 0x1p-126f /* normal number */
#define SG_FAR_LEFT (-200.0f) /* where x * sigmoid(x) and its like have long been 0, and x is not infinite */

/* 0 where x is a number, NaN where it is none. */
SG_INLINE vf v_unless_nan(vf x) { return clamp(x, 0.0f, 0.0f); }

/* e^x - 1 for x <= 0 */
SG_INLINE vf v_expm1(vf x)
{
    const sg_reduced e = reduce(clamp(x, -SG_LARGEST, 0.0f));
    return v_fma(e.scale, e.expm1, e.scale - v_set1(1.0f));
}

/* e^x for any x: half of it, then twice that, since 2^128 is no float and e^88.7 is one */
SG_INLINE vf v_exp_any(vf x)
{
    const sg_reduced e = reduce(clamp(x, -80.0f, 89.0f));
    const vf half = v_floats(v_add_int(v_bits(e.scale), v_set1_int(-(1 << 23))));
    const vf y = v_fma(half, e.expm1, half);
    return v_gt(x, v_set1(0.0f), y + y, v_exp(x));
}

/* 2 atanh(s) = log((1 + s) / (1 - s)), |s| <= 1/3; minimax in the relative error: below 1.1e-10 */
SG_INLINE vf v_twice_atanh(vf s)
{
    const vf t = s * s;
    vf p = v_set1(0x1.f58614p-4f);
    p = v_fma(p, t, v_set1(0x1.b5bedcp-4f));
    p = v_fma(p, t, v_set1(0x1.2517d4p-3f));
    p = v_fma(p, t, v_set1(0x1.999604p-3f));
    p = v_fma(p, t, v_set1(0x1.55555ap-2f));
    return v_fma(p * t, s + s, s + s);
}

/* log x = n ln 2 + log m with m from about 0.7 to 1.4; -infinity at 0 and for subnormal x */
SG_INLINE vf v_log(vf x)
{
    const vf magic = v_set1(12582912.0f); /* as in reduce() */
    /* the bits of a float, taken as an integer, are its logarithm, roughly */
    const vf rough = v_from_int(v_add_int(v_bits(x), v_set1_int(-(127 << 23)))) * v_set1(0x1p-23f);
    const vf shifted = rough + magic, n = shifted - magic;
    const vf m = v_floats(v_add_int(v_bits(x), v_shift_left_23(v_bits(magic - n))));
    const vf f = m - v_set1(1.0f), log_m = v_twice_atanh(f / (v_set1(2.0f) + f));
    const vf y = v_fma(n, v_set1(0x1.62e430p-1f), v_fma(n, v_set1(-0x1.05c610p-29f), log_m));
    const vf or_infinite = v_gt(v_set1(SG_SMALLEST), x, v_set1(-INFINITY), v_gt(x, v_set1(FLT_MAX), x, y));
    return v_gt(v_set1(0.0f), x, v_set1(NAN), or_infinite) + v_unless_nan(x);
}

/* log(1 + e^x) = max(x, 0) + log(1 + u), u = e^-|x| */
SG_INLINE vf v_softplus(vf x)
{
    const vf u = v_exp(v_set1(0.0f) - v_abs(x));
    return v_max(v_set1(0.0f), x) + v_twice_atanh(u / (v_set1(2.0f) + u));
}

/* erfc(a) e^(a^2) / 2 for a >= 0, in t = 1 / (1 + a / 2) (Hastings 1955); minimax in the relative error up to a = 10:
 * below 6e-8. It falls to 0 with t. */
SG_INLINE vf v_half_erfcx(vf a)
{
    const vf t = v_set1(1.0f) / v_fma(a, v_set1(0.5f), v_set1(1.0f));
    vf p = v_set1(-0x1.c2fafap-5f);
    p = v_fma(p, t, v_set1(0x1.0e3ca4p-2f));
    p = v_fma(p, t, v_set1(-0x1.c412c8p-2f));
    p = v_fma(p, t, v_set1(0x1.c4ffecp-3f));
    p = v_fma(p, t, v_set1(0x1.17cc0ep-6f));
    p = v_fma(p, t, v_set1(0x1.733330p-3f));
    p = v_fma(p, t, v_set1(0x1.ff93b8p-3f));
    p = v_fma(p, t, v_set1(0x1.1fd844p-2f));
    p = v_fma(p, t, v_set1(0x1.20fea4p-2f));
    p = v_fma(p, t, v_set1(-0x1.936956p-18f));
    return p * v_set1(0.5f);
}

/* x times the share of a normal distribution that lies below x: erfc(-x / sqrt(2)) / 2 */
SG_INLINE vf v_gelu(vf x)
{
    const vf y = clamp(x, -20.0f, 20.0f), half = v_set1(0.5f);
    const vf square = y * y, lost = v_fma(y, y, v_set1(0.0f) - square);
    const vf e = v_exp(v_set1(0.0f) - square * half);
    const vf tail = (e - e * lost * half) * v_half_erfcx(v_abs(y) * v_set1((float)SG_HALF_ROOT));
    return v_max(v_set1(SG_FAR_LEFT), x) * v_gt(x, v_set1(0.0f), v_set1(1.0f) - tail, tail);
}

SG_INLINE vf v_gelu_tanh(vf x)
{
    const vf y = v_max(v_set1(SG_FAR_LEFT), x);
    const vf cubic = v_fma(y * y * y, v_set1((float)SG_GELU_CUBE), y);
    return y * v_sigmoid(v_set1((float)SG_GELU_SLOPE) * cubic);
}

SG_OUT_OF_LINE vf v_curve(const sg_activation *f, vf x)
{
    const vf zero = v_set1(0.0f), one = v_set1(1.0f), a = v_set1((float)f->alpha), b = v_set1((float)f->beta);
    switch (f->kind) {
    case SG_LEAKY_RELU:
        return v_gt(x, zero, x, a * x);
    case SG_THRESHOLDED_RELU:
        return v_gt(x, a, x, v_unless_nan(x));
    case SG_ELU:
        return v_gt(x, zero, x, a * v_expm1(x));
    case SG_SELU:
        return v_gt(x, zero, v_set1((float)SG_SELU_SCALE) * x,
                    v_set1((float)(SG_SELU_SCALE * SG_SELU_ALPHA)) * v_expm1(x));
    case SG_SOFTSIGN: {
        const vf y = clamp(x, -0x1p60f, 0x1p60f); /* an infinity would end as NaN */
        return y / (one + v_abs(y));
    }
    case SG_SOFTPLUS:
        return v_softplus(x);
    case SG_SCALED_TANH:
        return a * v_tanh(b * x);
    case SG_AFFINE:
        return a * x + b;
    case SG_CLIP:
        return clamp(x, (float)f->alpha, (float)f->beta);
    case SG_SWISH:
        return v_max(v_set1(SG_FAR_LEFT), x) * v_sigmoid(x);
    case SG_GELU:
        return v_gelu(x);
    case SG_GELU_TANH:
        return v_gelu_tanh(x);
    case SG_EXP:
        return v_exp_any(x);
    case SG_LOG:
        return v_log(x);
    case SG_SQRT:
        return v_sqrt(x);
    case SG_ABS:
        return v_abs(x);
    default:
        return x;
    }
}
