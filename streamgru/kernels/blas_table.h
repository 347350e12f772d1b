/* The table through which everything reaches BLAS. Plain C, no Python.h.
 *
 * scipy.linalg.cython_blas takes a third of a second to import, so the one extension that
 * cimports it (blas.pyx) is loaded when the first model needs it, and hands out this table.
 * Sizes are ptrdiff_t here; blas_int stays inside the doorway.
 */
#ifndef STREAMGRU_BLAS_TABLE_H
#define STREAMGRU_BLAS_TABLE_H

#include <stddef.h>

#define SG_BLAS_TABLE_NAME "streamgru.kernels.blas.table"

typedef struct {
    /* y += A x with A (n_rows, n_cols) row-major, x (n_cols,), y (n_rows,) */
    void (*gemv_f32)(ptrdiff_t n_rows, ptrdiff_t n_cols, const float *a, const float *x, float *y);
    void (*gemv_f64)(ptrdiff_t n_rows, ptrdiff_t n_cols, const double *a, const double *x, double *y);
} sg_blas_table;

#endif
