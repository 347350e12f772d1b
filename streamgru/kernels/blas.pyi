"""The one doorway to ``scipy.linalg.cython_blas``. Importing this module loads scipy's BLAS.

Callers are row-major and pass ``Py_ssize_t``; Fortran order and ``blas_int`` end here. The
functions are reached through the capsule ``table`` (see blas_table.h).
"""

table: object

def limit_threads(n_threads: int) -> None:
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
