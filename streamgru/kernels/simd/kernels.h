/* The kernels, written once. Included by one isa_*.c per instruction set, which has defined SG_ISA, its name, and
 * included its vec_*.h; gives that file's table. */
#include <float.h>
#include <string.h>

#include "packed.h"

#if VW > SG_PANEL || SG_PANEL % VW
#error "a panel is a whole number of vectors"
#endif
#define NV (SG_PANEL / VW) /* vectors of a panel */
#define SG_LANES 96        /* streams taken through the panels together: their sums stay in the first cache */
#define SG_MOST (6 * NV)   /* vectors that one() sums at a time, 2 panels of 3 gates */
#if defined(__GNUC__)
#define SG_ALIGNED __attribute__((aligned(64)))
#else
#define SG_ALIGNED __declspec(align(64))
#endif

/* Columns that are summed from 0 on; part of `bits`. Short sums are more exact, long ones faster where there are many. */
SG_INLINE ptrdiff_t block_of(ptrdiff_t n_cols) { return n_cols > 256 ? 64 : 32; }

#include "vec_functions.h"
#include "gru_gates.h"

#define WEIGHT float
#define W_LOAD(p) v_load(p)
#define NAME(f) f32_##f
#include "float_product.h"
#include "gru_layer.h"
#include "dense_layer.h"
#undef WEIGHT
#undef W_LOAD
#undef NAME

#define WEIGHT uint16_t
#define W_LOAD(p) v_half(p)
#define NAME(f) f16_##f
#include "float_product.h"
#include "gru_layer.h"
#include "dense_layer.h"
#undef WEIGHT
#undef W_LOAD
#undef NAME

#include "q8_product.h"
#define NAME(f) q8_##f
#include "gru_layer.h"
#include "dense_layer.h"
#undef NAME

/* Calls the f of the weights. */
#define SG_BY_WEIGHTS(weights, f, ...)                \
    switch (weights) {                                \
    case SG_F32: f32_##f(__VA_ARGS__); break;         \
    case SG_F16: f16_##f(__VA_ARGS__); break;         \
    default: q8_##f(__VA_ARGS__);                     \
    }

static sg_rows skip(sg_rows rows, ptrdiff_t n)
{
    if (rows.base)
        rows.base += n;
    return rows;
}

static void gru(const sg_gru *g, ptrdiff_t n, const sg_gru_rows *rows)
{
    if (n == 1) {
        SG_BY_WEIGHTS(g->weights, gru_one, g, rows)
        return;
    }
    for (ptrdiff_t i = 0; i < n; i += SG_LANES) {
        const ptrdiff_t size = n - i < SG_LANES ? n - i : SG_LANES;
        const sg_gru_rows part = {
            skip(rows->x, i),      skip(rows->projected, i), skip(rows->h, i),
            skip(rows->h_next, i), skip(rows->gates, i),     skip(rows->scratch, i),
        };
        SG_BY_WEIGHTS(g->weights, gru_many, g, size, part)
    }
}

static void project(const sg_gru *g, ptrdiff_t n, sg_rows x, sg_rows scratch, sg_rows projected)
{
    for (ptrdiff_t i = 0; i < n; i += SG_LANES) {
        const ptrdiff_t size = n - i < SG_LANES ? n - i : SG_LANES;
        SG_BY_WEIGHTS(g->weights, project_many, g, size, skip(x, i), skip(scratch, i), skip(projected, i))
    }
}

static void dense(const sg_dense *d, ptrdiff_t n, sg_rows x, sg_rows scratch, sg_rows y)
{
    if (n == 1) {
        float *room = d->weights == SG_Q8 ? row(scratch, 0) : 0;
        SG_BY_WEIGHTS(d->weights, dense_one, d, row(x, 0), room, row(y, 0))
        return;
    }
    for (ptrdiff_t i = 0; i < n; i += SG_LANES) {
        const ptrdiff_t size = n - i < SG_LANES ? n - i : SG_LANES;
        SG_BY_WEIGHTS(d->weights, dense_many, d, size, skip(x, i), skip(scratch, i), skip(y, i))
    }
}

#define SG_JOIN(a, b) a##b
#define SG_TABLE(isa) SG_JOIN(sg_packed_, isa)
#define SG_TEXT(isa) #isa
#define SG_STRING(isa) SG_TEXT(isa)
const sg_packed_table SG_TABLE(SG_ISA) = {
    SG_STRING(SG_ISA), gru, project, dense, activate, exp_negative, first_nonfinite,
};
