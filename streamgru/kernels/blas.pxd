"""The table of BLAS functions. Cimporting this does not load BLAS; importing ``blas`` does."""

from streamgru.kernels.real cimport real


cdef extern from "blas_table.h" nogil:
    const char* SG_BLAS_TABLE_NAME

    ctypedef struct sg_blas_table:
        void (*gemv_f32)(
            Py_ssize_t n_rows, Py_ssize_t n_cols, const float* a, const float* x, float* y,
        ) noexcept nogil
        void (*gemv_f64)(
            Py_ssize_t n_rows, Py_ssize_t n_cols, const double* a, const double* x, double* y,
        ) noexcept nogil


cdef inline void gemv(
    const sg_blas_table* blas, Py_ssize_t n_rows, Py_ssize_t n_cols,
    const real* a,  # (n_rows, n_cols) row-major
    const real* x,  # (n_cols,)
    real* y,        # (n_rows,)
) noexcept nogil:
    """y += A x."""
    if real is float:
        blas.gemv_f32(n_rows, n_cols, a, x, y)
    else:
        blas.gemv_f64(n_rows, n_cols, a, x, y)
