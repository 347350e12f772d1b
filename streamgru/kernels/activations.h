/* Activations and the blend, for float and double. Plain C, no Python.h.
 *
 * Built with -ffp-contract=off: every operation below rounds once, on its own, so that the
 * gates that a trace shows recombine to the state of a step bit for bit.
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

#define REAL float
#define NAME(f) f##_f32
#define EXP expf
#define TANH tanhf
#include "activations_impl.h"
#undef REAL
#undef NAME
#undef EXP
#undef TANH

#define REAL double
#define NAME(f) f##_f64
#define EXP exp
#define TANH tanh
#include "activations_impl.h"
#undef REAL
#undef NAME
#undef EXP
#undef TANH

#endif
