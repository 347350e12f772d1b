/* The packed kernels as the rest of the program sees them. Plain C, no Python.h.
 *
 * One table of functions per instruction set, all with the same bits (see the-same-bits.md in docs/explanation).
 * Weights lie in panels of 16 output rows, so that vector lanes run along outputs and every output is
 * summed in an order that depends on the shape alone.
 */
#ifndef STREAMGRU_PACKED_H
#define STREAMGRU_PACKED_H

#include <stddef.h>
#include <stdint.h>

#include "../activations.h"

#define SG_PACKED_TABLE_NAME "streamgru.kernels.packed.table"
#define SG_PANEL 16      /* output rows of a panel */
#define SG_BITS 1        /* the order of additions; another order gets another number */

enum sg_weights { SG_F32, SG_F16, SG_Q8 };

/* A matrix (n_gates * n_rows, n_cols) in panels: (n_panels, n_cols, n_gates, 16), rows beyond n_rows zero.
 * SG_Q8 has its columns in fours: (n_panels, n_cols / 4 rounded up, n_gates, 16, 4). */
typedef struct {
    const void *data;
    const float *scale; /* SG_Q8 only: (n_panels, n_gates, 16), what a unit of the row is worth */
    const int32_t *offset; /* SG_Q8 only: (n_panels, n_gates, 16), -64 times the sum of the row */
    ptrdiff_t n_cols;
} sg_matrix;

/* Row i of something lies at base[i] + at. */
typedef struct {
    float *const *base;
    ptrdiff_t at;
} sg_rows;

typedef struct {
    ptrdiff_t n_hid, n_panels;
    int weights; /* of enum sg_weights */
    int before;  /* whether the reset gate acts on the state that enters the product */
    sg_activation gate, candidate;
    float clip; /* bound on what enters the gates; 0: none */
    sg_matrix input;     /* rows n | r | z */
    sg_matrix recurrent; /* rows r | z | n; before: r | z */
    sg_matrix reset;     /* before: rows n, to be multiplied with r * h */
    const float *bias;   /* (n_panels, 4, 16): n, r, z, and c of a reset gate that acts after the product */
} sg_gru;

/* All rows have room for whole panels; what lies beyond n_hid is written too, and means nothing. */
typedef struct {
    sg_rows x;         /* (n_in,); not read if there is a projection */
    sg_rows projected; /* (n_panels, 3, 16) as sg_project left it, or base NULL */
    sg_rows h;         /* (n_hid,) */
    sg_rows h_next;    /* (n_hid,) may not be h */
    sg_rows gates;     /* (3, 16 * n_panels): r, z, n */
    sg_rows scratch;   /* see sg_scratch_floats */
} sg_gru_rows;

typedef struct {
    ptrdiff_t n_panels;
    int weights;
    sg_activation function;
    sg_matrix matrix;
    const float *bias; /* (n_panels, 16) */
} sg_dense;

typedef struct {
    const char *isa;
    void (*gru)(const sg_gru *g, ptrdiff_t n, const sg_gru_rows *rows);
    void (*project)(const sg_gru *g, ptrdiff_t n, sg_rows x, sg_rows scratch, sg_rows projected);
    void (*dense)(const sg_dense *d, ptrdiff_t n, sg_rows x, sg_rows scratch, sg_rows y);
    void (*activate)(const sg_activation *f, ptrdiff_t n, float *x);
    void (*exp_negative)(ptrdiff_t n, float *x); /* x := e^x, x <= 0 */
    ptrdiff_t (*first_nonfinite)(ptrdiff_t n, const float *x);
} sg_packed_table;

/* Floats that a product of n_cols columns needs for the numbers it quantises: their scale, then two bytes of each. */
static inline ptrdiff_t sg_quantised_floats(ptrdiff_t n_cols) { return SG_PANEL + (n_cols + 31) / 32 * SG_PANEL; }

/* Floats of sg_gru_rows.scratch: r * h, then two quantised vectors. */
static inline ptrdiff_t sg_scratch_floats(ptrdiff_t n_in, ptrdiff_t n_panels)
{
    return n_panels * SG_PANEL + sg_quantised_floats(n_in) + sg_quantised_floats(n_panels * SG_PANEL);
}

/* NULL if there is no such table, or this CPU cannot run it. */
const sg_packed_table *sg_packed_named(const char *isa);
/* The i-th table that this CPU can run, the best first; NULL at the end. */
const sg_packed_table *sg_packed_at(int i);

#endif
