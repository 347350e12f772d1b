"""Scratch for several streams, or several timesteps, at once."""

from streamgru.model.block cimport Block
from streamgru.model.plan cimport Plan


cdef class Lanes:
    cdef Block block
    cdef void** works        # (n,) each the scratch of a plan
    cdef readonly Py_ssize_t n
