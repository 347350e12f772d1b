"""Scratch for several streams, or several timesteps, at once."""

from streamgru.model.block cimport Block
from streamgru.model.plan cimport Plan


cdef class Lanes:
    cdef Block block
    cdef void** works        # (n,) each the scratch of a plan
    cdef readonly Py_ssize_t n


# How many of at most *most* lanes go into *n_bytes*, but at least *least*.
cdef inline Py_ssize_t lanes_for(Plan plan, Py_ssize_t most, Py_ssize_t n_bytes, Py_ssize_t least) noexcept:
    return max(1, min(most, max(least, n_bytes // plan.program.work_bytes)))
