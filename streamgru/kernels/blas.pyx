# cython: freethreading_compatible=True
"""The one doorway to ``scipy.linalg.cython_blas``. Importing this module loads scipy's BLAS.

Callers are row-major and pass ``Py_ssize_t``; Fortran order and ``blas_int`` end here. The
functions are reached through the capsule ``table`` (see blas_table.h).
"""

from cpython.pycapsule cimport PyCapsule_New
from scipy.linalg.cython_blas cimport dgemv, sgemv

include "_blas_int.pxi"

from pathlib import Path

from streamgru.errors import UnsupportedError


cdef sg_blas_table _table


# A row-major (n_rows, n_cols) matrix is a column-major (n_cols, n_rows) one, hence "T".
cdef void _gemv_f32(
    Py_ssize_t n_rows, Py_ssize_t n_cols, const float* a, const float* x, float* y,
) noexcept nogil:
    cdef blas_int m = <blas_int>n_cols, n = <blas_int>n_rows, one = 1
    cdef float alpha = 1.0
    sgemv(b"T", &m, &n, &alpha, <float*>a, &m, <float*>x, &one, &alpha, y, &one)


cdef void _gemv_f64(
    Py_ssize_t n_rows, Py_ssize_t n_cols, const double* a, const double* x, double* y,
) noexcept nogil:
    cdef blas_int m = <blas_int>n_cols, n = <blas_int>n_rows, one = 1
    cdef double alpha = 1.0
    dgemv(b"T", &m, &n, &alpha, <double*>a, &m, <double*>x, &one, &alpha, y, &one)


_table.gemv_f32 = _gemv_f32
_table.gemv_f64 = _gemv_f64
table = PyCapsule_New(&_table, SG_BLAS_TABLE_NAME, NULL)
_limited_to = None  # what limit_threads has done


def limit_threads(int n_threads):
    """Hold scipy's BLAS to *n_threads* threads from now on, for the whole process.

    A matrix-vector product of a GRU is too small to share: with two threads it is several times
    slower than with one. numpy's own BLAS is another library and is left alone, unless both share
    one file, as some distributions have it. Asking for the same number again does nothing: what the
    host has set since then stays.

    Raises
    ------
    UnsupportedError
        If the BLAS behind scipy is none that threadpoolctl can set.
    """
    global _limited_to
    if n_threads == _limited_to:
        return
    import scipy
    from threadpoolctl import ThreadpoolController

    # By folder: numpy's wheels call their library libscipy_openblas too.
    home = Path(scipy.__file__).resolve().parent
    folders = (home, home.with_name("scipy.libs"))
    blas = [lib for lib in ThreadpoolController().lib_controllers if lib.user_api == "blas"]
    of_scipy = [lib for lib in blas if any(Path(lib.filepath).is_relative_to(folder) for folder in folders)]
    if not of_scipy and len(blas) == 1:  # shared with numpy
        of_scipy = blas
    if not of_scipy:
        raise UnsupportedError(
            "the number of threads of scipy's BLAS cannot be set (threadpoolctl does not know it); "
            "load with blas_threads=None to leave it alone"
        )
    for lib in of_scipy:
        lib.set_num_threads(n_threads)
    _limited_to = n_threads
