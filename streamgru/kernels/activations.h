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

enum sg_activation_kind {
    SG_LINEAR,       /* x                                    */
    SG_SIGMOID,      /* 1 / (1 + exp(-x))                    */
    SG_TANH,         /* tanh(x)                              */
    SG_HARD_SIGMOID, /* clip(alpha * x + beta, 0, 1)         */
    SG_RELU          /* max(x, 0)                            */
};

typedef struct {
    int kind;
    double alpha, beta; /* of hard_sigmoid: slope and offset */
} sg_activation;

/* x[n] := f(x), in place. exp overflows to infinity for large negative x, and 1 / inf is the
 * right sigmoid, so no range check is needed. */
static inline void sg_activate_f64(sg_activation f, ptrdiff_t n, double *x /* (n,) */)
{
    ptrdiff_t i;
    switch (f.kind) {
    case SG_SIGMOID:
        for (i = 0; i < n; i++)
            x[i] = 1.0 / (1.0 + exp(-x[i]));
        break;
    case SG_TANH:
        for (i = 0; i < n; i++)
            x[i] = tanh(x[i]);
        break;
    case SG_HARD_SIGMOID:
        for (i = 0; i < n; i++) {
            double y = f.alpha * x[i] + f.beta;
            y = y < 0.0 ? 0.0 : y;
            x[i] = y > 1.0 ? 1.0 : y;
        }
        break;
    case SG_RELU:
        for (i = 0; i < n; i++)
            x[i] = x[i] < 0.0 ? 0.0 : x[i];
        break;
    default:
        break;
    }
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
