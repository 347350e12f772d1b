/* Activations, clip and the blend, for float and double. Plain C, no Python.h.
 *
 * Built with -ffp-contract=off: every operation below rounds once, on its own, so that the
 * gates that a trace shows recombine to the state of a step bit for bit. The activations of float
 * are those of the packed kernels (simd/vec_functions.h), whatever multiplies the matrices.
 */
#ifndef STREAMGRU_ACTIVATIONS_H
#define STREAMGRU_ACTIVATIONS_H

#include <math.h>
#include <stddef.h>

enum sg_activation_kind {       /* a and b are alpha and beta */
    SG_LINEAR,           /* x                                                      */
    SG_SIGMOID,          /* 1 / (1 + exp(-x))                                      */
    SG_TANH,             /* tanh(x)                                                */
    SG_HARD_SIGMOID,     /* clip(a * x + b, 0, 1)                                  */
    SG_RELU,             /* max(x, 0)                                              */
    SG_LEAKY_RELU,       /* x if x > 0 else a * x                                  */
    SG_THRESHOLDED_RELU, /* x if x > a else 0                                      */
    SG_ELU,              /* x if x > 0 else a * (exp(x) - 1)                       */
    SG_SELU,             /* SG_SELU_SCALE * (x if x > 0 else SG_SELU_ALPHA * (exp(x) - 1)) */
    SG_SOFTSIGN,         /* x / (1 + |x|)                                          */
    SG_SOFTPLUS,         /* log(1 + exp(x))                                        */
    SG_SCALED_TANH,      /* a * tanh(b * x)                                        */
    SG_AFFINE,           /* a * x + b                                              */
    SG_CLIP,             /* min(max(x, a), b)                                      */
    SG_SWISH,            /* x / (1 + exp(-x))                                      */
    SG_GELU,             /* x * (1 + erf(x / sqrt(2))) / 2                         */
    SG_GELU_TANH,        /* x / (1 + exp(-SG_GELU_SLOPE * (x + SG_GELU_CUBE * x^3))) */
    SG_EXP,
    SG_LOG,
    SG_SQRT,
    SG_ABS
};

typedef struct {
    int kind;
    double alpha, beta;
} sg_activation;

/* Klambauer et al. 2017, equation 14: the fixed point of mean 0 and variance 1 */
#define SG_SELU_ALPHA 1.6732632423543772
#define SG_SELU_SCALE 1.0507009873554805
/* Hendrycks and Gimpel 2016, section 2; 2 sqrt(2 / pi), since (1 + tanh u) / 2 is 1 / (1 + exp(-2 u)) */
#define SG_GELU_SLOPE 1.5957691216057308
#define SG_GELU_CUBE 0.044715
#define SG_HALF_ROOT 0.70710678118654752 /* 1 / sqrt(2) */

/* exp overflows to infinity for large negative x, and 1 / inf is the right sigmoid, so no range check is needed. */
static inline double sg_sigmoid_f64(double x) { return 1.0 / (1.0 + exp(-x)); }

static inline double sg_between(double x, double low, double high)
{
    const double y = x < low ? low : x;
    return y > high ? high : y;
}

static inline double sg_function_f64(const sg_activation *f, double x)
{
    switch (f->kind) {
    case SG_SIGMOID: return sg_sigmoid_f64(x);
    case SG_TANH: return tanh(x);
    case SG_HARD_SIGMOID: return sg_between(f->alpha * x + f->beta, 0.0, 1.0);
    case SG_RELU: return x < 0.0 ? 0.0 : x;
    case SG_LEAKY_RELU: return x > 0.0 ? x : f->alpha * x;
    case SG_THRESHOLDED_RELU: return x <= f->alpha ? 0.0 : x;
    case SG_ELU: return x > 0.0 ? x : f->alpha * expm1(x);
    case SG_SELU: return SG_SELU_SCALE * (x > 0.0 ? x : SG_SELU_ALPHA * expm1(x));
    case SG_SOFTSIGN: return fabs(x) < INFINITY ? x / (1.0 + fabs(x)) : sg_between(x, -1.0, 1.0);
    case SG_SOFTPLUS: return (x < 0.0 ? 0.0 : x) + log1p(exp(-fabs(x)));
    case SG_SCALED_TANH: return f->alpha * tanh(f->beta * x);
    case SG_AFFINE: return f->alpha * x + f->beta;
    case SG_CLIP: return sg_between(x, f->alpha, f->beta);
    case SG_SWISH: return x < -1e3 ? 0.0 : x * sg_sigmoid_f64(x);
    case SG_GELU: return x < -1e3 ? 0.0 : x * (0.5 * erfc(-SG_HALF_ROOT * x));
    case SG_GELU_TANH: return x < -1e3 ? 0.0 : x * sg_sigmoid_f64(SG_GELU_SLOPE * (x + SG_GELU_CUBE * x * x * x));
    case SG_EXP: return exp(x);
    case SG_LOG: return log(x);
    case SG_SQRT: return sqrt(x);
    case SG_ABS: return fabs(x);
    default: return x;
    }
}

/* x[n] := f(x), in place. */
static inline void sg_activate_f64(sg_activation f, ptrdiff_t n, double *x /* (n,) */)
{
    for (ptrdiff_t i = 0; i < n; i++)
        x[i] = sg_function_f64(&f, x[i]);
}

#define REAL float
#define NAME(f) f##_f32
#define FADED 0x1p-100f
#include "blend_impl.h"
#undef REAL
#undef NAME
#undef FADED

#define REAL double
#define NAME(f) f##_f64
#define FADED 0x1p-900
#include "blend_impl.h"
#undef REAL
#undef NAME
#undef FADED

#endif
