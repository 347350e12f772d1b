"""A program compiled to a flat list of operations. Immutable, shared by all threads."""

from streamgru.model.block cimport Block
from streamgru.model.code cimport Code
from streamgru.model.run cimport Program


cdef class Plan:
    cdef Program program             # what `run` runs; it points into what stands below
    cdef Code code
    cdef Block initial               # the state that a stream starts from
    cdef int typenum                 # of numpy: NPY_FLOAT or NPY_DOUBLE
    cdef readonly Py_ssize_t n_macs  # multiply-adds of a step, for those who decide on the GIL
    cdef readonly object dtype
    cdef readonly object layout      # streamgru.model.layout.Layout
    cdef readonly dict inputs        # name -> size, in the order of x
