"""A network that is fed its own answers."""

cimport numpy as cnp
from libc.stdint cimport uint64_t

from streamgru.stream.busy cimport sg_flag
from streamgru.stream.stream cimport Stream


cdef enum Choice:
    ARGMAX
    SAMPLE
    VALUE


cdef enum Ended:
    NOT_YET
    BY_STOP
    BY_LIMIT


cdef class Generator:
    cdef readonly Stream stream
    cdef readonly object seed
    cdef readonly object vocabulary
    cdef cnp.ndarray x           # (n_in,): the next input
    cdef cnp.ndarray weights     # (size,): scratch of a draw
    cdef Choice choice
    cdef Ended outcome
    cdef Py_ssize_t first, size  # y[first:first + size] is what is chosen from
    cdef Py_ssize_t stop         # the token that ends it, or -1
    cdef Py_ssize_t limit
    cdef Py_ssize_t n            # answers so far
    cdef double temperature
    cdef uint64_t key
    cdef sg_flag busy

    cdef Py_ssize_t _choose(self, const void* y) noexcept nogil
    cdef int _feed(self, const void* y, Py_ssize_t token) noexcept nogil
