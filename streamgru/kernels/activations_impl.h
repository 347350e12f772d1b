/* Included by activations.h once per type: REAL, NAME(f), EXP and TANH are set there. */

/* x[n] := f(x), in place. exp overflows to infinity for large negative x, and 1 / inf is the
 * right sigmoid, so no range check is needed. */
static inline void NAME(sg_activate)(sg_activation f, ptrdiff_t n, REAL *x /* (n,) */)
{
    const REAL alpha = (REAL)f.alpha, beta = (REAL)f.beta;
    ptrdiff_t i;
    switch (f.kind) {
    case SG_SIGMOID:
        for (i = 0; i < n; i++)
            x[i] = (REAL)1 / ((REAL)1 + EXP(-x[i]));
        break;
    case SG_TANH:
        for (i = 0; i < n; i++)
            x[i] = TANH(x[i]);
        break;
    case SG_HARD_SIGMOID:
        for (i = 0; i < n; i++) {
            REAL y = alpha * x[i] + beta;
            y = y < (REAL)0 ? (REAL)0 : y;
            x[i] = y > (REAL)1 ? (REAL)1 : y;
        }
        break;
    case SG_RELU:
        for (i = 0; i < n; i++)
            x[i] = x[i] < (REAL)0 ? (REAL)0 : x[i];
        break;
    default:
        break;
    }
}

/* x[n] := clip(x, -limit, limit), in place */
static inline void NAME(sg_clip)(REAL limit, ptrdiff_t n, REAL *x /* (n,) */)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        REAL y = x[i] < -limit ? -limit : x[i];
        x[i] = y > limit ? limit : y;
    }
}

/* h_next := (1 - z) * n + z * h, the linear interpolation of a GRU */
static inline void NAME(sg_blend)(ptrdiff_t n_hid, const REAL *z, const REAL *n, const REAL *h,
                                  REAL *h_next) /* all (n_hid,); h_next may be n or h */
{
    for (ptrdiff_t i = 0; i < n_hid; i++)
        h_next[i] = ((REAL)1 - z[i]) * n[i] + z[i] * h[i];
}

/* The index of the first element that is NaN or infinite, or -1. x - x is 0 exactly for finite x,
 * and the sum over a whole vector is NaN if one element is not: one branch for the common case. */
static inline ptrdiff_t NAME(sg_first_nonfinite)(ptrdiff_t n, const REAL *x /* (n,) */)
{
    REAL zero = 0;
    ptrdiff_t i;
    for (i = 0; i < n; i++)
        zero += x[i] - x[i];
    if (zero == (REAL)0)
        return -1;
    for (i = 0; i < n; i++)
        if (!(x[i] - x[i] == (REAL)0))
            return i;
    return -1;
}
