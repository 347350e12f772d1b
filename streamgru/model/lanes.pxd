"""Scratch for several streams, or several timesteps, at once."""

from streamgru.model.block cimport Block
from streamgru.model.plan cimport Plan


cdef class Lanes:
    cdef Block block
    cdef void** works        # (n,) each the scratch of a plan
    cdef readonly Py_ssize_t n


# How many of at most *most* lanes go into *n_bytes*, but at least *least*. BLAS takes one lane after the other: more
# than *least* would gain nothing, and push each other out of the first cache.
cdef inline Py_ssize_t lanes_for(Plan plan, Py_ssize_t most, Py_ssize_t n_bytes, Py_ssize_t least) noexcept:
    if plan.code.use_packed:
        least = max(least, n_bytes // plan.program.work_bytes)
    return max(1, min(most, least))
