"""A stream with its input and output bound once."""

cimport numpy as cnp

from streamgru.stream.stream cimport Stream


cdef class Bound:
    cdef readonly Stream stream
    cdef readonly cnp.ndarray x     # (n_in,)
    cdef readonly cnp.ndarray out   # (n_out,)
    cdef bint release               # whether a step is long enough to give the GIL away
