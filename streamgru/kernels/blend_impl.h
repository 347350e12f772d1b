/* Included by activations.h once per type: REAL, NAME(f) and FADED are set there. */

/* x[n] := clip(x, -limit, limit), in place */
static inline void NAME(sg_clip)(REAL limit, ptrdiff_t n, REAL *x /* (n,) */)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        REAL y = x[i] < -limit ? -limit : x[i];
        x[i] = y > limit ? limit : y;
    }
}

/* h_next := (1 - z) * n + z * h, the linear interpolation of a GRU. A state that has faded to nearly nothing
 * becomes 0, so that its products with weights never are subnormal, which is slow. */
static inline void NAME(sg_blend)(ptrdiff_t n_hid, const REAL *z, const REAL *n, const REAL *h,
                                  REAL *h_next) /* all (n_hid,); h_next may be n or h */
{
    for (ptrdiff_t i = 0; i < n_hid; i++) {
        const REAL mixed = ((REAL)1 - z[i]) * n[i] + z[i] * h[i];
        h_next[i] = mixed < FADED && mixed > -FADED ? (REAL)0 : mixed;
    }
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
