"""One hidden state and its owner."""

cimport numpy as cnp

from streamgru.model.block cimport Block
from streamgru.model.lanes cimport Lanes
from streamgru.model.plan cimport Plan
from streamgru.stream.running cimport Outcome, Running

cdef enum:
    WORTH_RELEASING = 100_000  # below so many multiply-adds a step is shorter than giving the GIL away and back


cdef class Stream:
    cdef readonly object model
    cdef Plan plan
    cdef Block state_block
    cdef Block work          # scratch for one step
    cdef Running running     # what a step needs, in the two blocks

    cdef int _take(self) except -1
    cdef tuple _advance(self, cnp.ndarray rows, object out, bint trace)
    cdef int _check(self, cnp.ndarray rows) except -1
    cdef int _note(self, dict gates, Py_ssize_t first, Py_ssize_t row, Py_ssize_t n, Lanes lanes) except -1
    cdef cnp.ndarray _view(self, entry)


# The error that tells why a step of x (n_in,) was not taken.
cdef object failure(Stream stream, object x, Outcome outcome)
