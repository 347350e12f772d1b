"""Many hidden states of one model, stepped together."""

cimport numpy as cnp

from streamgru.model.plan cimport Plan
from streamgru.stream.batch cimport Crew
from streamgru.stream.busy cimport sg_flag
from streamgru.stream.slots cimport Slots


cdef class Pool:
    cdef readonly object model
    cdef Plan plan
    cdef Slots slots
    cdef Crew crew
    cdef object ids          # streamgru.stream.ids.Ids
    cdef sg_flag busy

    cdef int _take(self) except -1
    cdef Py_ssize_t _find(self, stream) except -1
    cdef Py_ssize_t _slot(self, id) except -1
    cdef Py_ssize_t _lookup(self, id) except -2
    cdef int _check_new(self, id) except -1
    cdef object _open(self, id, block)
    cdef int _close(self, Py_ssize_t slot) except -1
    cdef bytes _pack(self, Py_ssize_t slot)
    cdef cnp.ndarray _handles(self, ids, Py_ssize_t n_rows)
