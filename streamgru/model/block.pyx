# cython: freethreading_compatible=True
"""Owned, zeroed, 64-byte aligned memory."""

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from libc.stdint cimport uintptr_t

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX

cdef enum:
    ALIGNMENT = 64


cdef class Block:
    """*n_bytes* of zeros, aligned to a cache line. Freed with the object."""

    def __cinit__(self, Py_ssize_t n_bytes):
        if 0 <= n_bytes <= PY_SSIZE_T_MAX - ALIGNMENT:
            self.raw = PyMem_RawCalloc(1, n_bytes + ALIGNMENT)
        if self.raw == NULL:
            raise MemoryError(f"no memory for {n_bytes} bytes")
        self.data = <char*>self.raw + (ALIGNMENT - <uintptr_t>self.raw % ALIGNMENT)
        self.n_bytes = n_bytes

    def __dealloc__(self):
        PyMem_RawFree(self.raw)
