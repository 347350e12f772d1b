"""One hidden state and its owner."""

cimport numpy as cnp

from streamgru.model.block cimport Block
from streamgru.model.lanes cimport Lanes
from streamgru.model.plan cimport Plan
from streamgru.stream.busy cimport sg_flag


cdef class Stream:
    cdef readonly object model
    cdef Plan plan
    cdef Block state_block   # (plan.n_state,)
    cdef Block work          # scratch of the plan
    cdef sg_flag busy

    cdef int _take(self) except -1
    cdef int _advance(self, cnp.ndarray rows, cnp.ndarray y, dict gates) except -1
    cdef int _check(self, cnp.ndarray rows) except -1
    cdef int _note(self, dict gates, Py_ssize_t row, Py_ssize_t n, Lanes lanes) except -1
    cdef cnp.ndarray _view(self, entry)
