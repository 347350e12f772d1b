/* The equations in double, one number after the other. Shares nothing with the kernels but their inputs.
 *
 * A vector that is multiplied with 8-bit weights is first rounded as simd/q8_product.h says; with `exact` it is not, and
 * what the rounding may cost has a bound of its own, Q8_ATOL.
 */
#ifndef TEST_REFERENCE_H
#define TEST_REFERENCE_H

#include "network.h"

#define ATOL 1e-6    /* of the largest of 1 and the answer: float against double, one step */
#define Q8_ATOL 0.05 /* the same, of 8-bit vectors against the weights that they stand for */

static inline double activated(const sg_activation *f, double x)
{
    switch (f->kind) {
    case SG_SIGMOID: return 1 / (1 + exp(-x));
    case SG_TANH: return tanh(x);
    case SG_HARD_SIGMOID: return fmin(fmax(f->alpha * x + f->beta, 0), 1);
    case SG_RELU: return fmax(x, 0);
    default: return x;
    }
}

static inline double gated(const sg_gru *g, const sg_activation *f, double x)
{
    return activated(f, g->clip > 0 ? fmin(fmax(x, -g->clip), g->clip) : x);
}

/* What the kernels multiply with: x, or levels of max |x| / 63 that are rounded in float. */
static inline double *entering(int weights, int exact, ptrdiff_t n, const float *x)
{
    double *v = room_for(n, sizeof(double));
    float largest = 0;
    for (ptrdiff_t k = 0; k < n; k++)
        largest = fmaxf(largest, fabsf(x[k]));
    const float up = 63 / largest;
    for (ptrdiff_t k = 0; k < n; k++)
        if (weights != SG_Q8 || exact)
            v[k] = x[k];
        else
            v[k] = largest > ldexpf(1, -100) ? (double)nearbyintf(x[k] * up) * (double)(largest / 63) : 0;
    return v;
}

static inline double product(const matrix *m, int gate, ptrdiff_t row, const double *x)
{
    const double *w = m->value + (gate * m->n_rows + row) * m->packed.n_cols;
    double sum = 0;
    for (ptrdiff_t k = 0; k < m->packed.n_cols; k++)
        sum += w[k] * x[k];
    return sum;
}

static inline double bias_of(const float *bias, int n_gates, int gate, ptrdiff_t row)
{
    return bias[(row / SG_PANEL * n_gates + gate) * SG_PANEL + row % SG_PANEL];
}

/* gates (3, 16 * n_panels) as the kernel left them: a product with r * h begins with its r. */
static inline void reference_gru(const gru_net *net, int exact, const float *x, const float *h, const float *gates,
                                 double *h_next, double *expected /* (3, n_hid): r, z, n */)
{
    const sg_gru *g = &net->packed;
    const ptrdiff_t n_hid = net->n_hid;
    float *rh = room_for(n_hid, sizeof(float));
    for (ptrdiff_t i = 0; i < n_hid; i++)
        rh[i] = gates[i] * h[i];
    double *vx = entering(g->weights, exact, net->n_in, x), *vh = entering(g->weights, exact, n_hid, h);
    double *vrh = entering(g->weights, exact, n_hid, rh);
    for (ptrdiff_t i = 0; i < n_hid; i++) {
        const double r_sum = bias_of(net->bias, 4, 1, i) + product(&net->input, 1, i, vx) + product(&net->recurrent, 0, i, vh);
        const double z_sum = bias_of(net->bias, 4, 2, i) + product(&net->input, 2, i, vx) + product(&net->recurrent, 1, i, vh);
        const double r = gated(g, &g->gate, r_sum), z = gated(g, &g->gate, z_sum);
        double n_sum = bias_of(net->bias, 4, 0, i) + product(&net->input, 0, i, vx);
        if (g->before)
            n_sum += product(&net->reset, 0, i, vrh);
        else
            n_sum += r * (bias_of(net->bias, 4, 3, i) + product(&net->recurrent, 2, i, vh));
        const double n = gated(g, &g->candidate, n_sum);
        expected[i] = r, expected[n_hid + i] = z, expected[2 * n_hid + i] = n;
        h_next[i] = (1 - z) * n + z * h[i];
    }
    free(rh), free(vx), free(vh), free(vrh);
}

static inline void reference_dense(const dense_net *net, int exact, const float *x, double *y)
{
    const sg_dense *d = &net->packed;
    double *v = entering(d->weights, exact, net->n_in, x);
    for (ptrdiff_t i = 0; i < net->n_out; i++)
        y[i] = activated(&d->function, bias_of(net->bias, 1, 0, i) + product(&net->weight, 0, i, v));
    free(v);
}

/* The largest error of n numbers, relative to the expected ones where these are beyond 1; NaN counts as infinite. */
static inline double worst_error(ptrdiff_t n, const float *actual, const double *expected)
{
    double worst = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double error = fabs(actual[i] - expected[i]) / fmax(1, fabs(expected[i]));
        if (!(error <= worst))
            worst = error == error ? error : INFINITY;
    }
    return worst;
}

#endif
