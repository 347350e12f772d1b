"""Many hidden states of one model, stepped together."""

cimport numpy as cnp
from libc.stdint cimport uint32_t, uint64_t

from streamgru.model.block cimport Block
from streamgru.model.plan cimport Plan
from streamgru.stream.busy cimport sg_flag


cdef class Pool:
    cdef readonly object model
    cdef readonly Py_ssize_t capacity
    cdef Plan plan
    cdef Block work
    cdef list blocks             # of Block: the slab, each SLOTS states; they never move
    cdef char** slabs            # (n_blocks,) their data
    cdef uint32_t* generations   # (capacity,): odd while a slot is open
    cdef list free               # slots that were closed, to be used again
    cdef Py_ssize_t n_slots      # slots ever used
    cdef dict texts              # id (str) -> handle
    cdef dict raws               # id (bytes) -> handle
    cdef dict numbers            # str(id) of an int id -> handle: dict keys its hash only for text
    cdef dict names              # slot -> id
    cdef sg_flag busy

    cdef int _take(self) except -1
    cdef char* _state(self, Py_ssize_t slot) noexcept nogil
    cdef Py_ssize_t _slot(self, uint64_t handle) noexcept nogil
    cdef tuple _key(self, id)
    cdef Py_ssize_t _find(self, stream) except -1
    cdef int _grow(self) except -1
    cdef cnp.ndarray _handles(self, ids, Py_ssize_t n_rows)
    cdef int _step_rows(
        self, cnp.ndarray rows, cnp.ndarray slots, cnp.ndarray y, cnp.ndarray marks,
        cnp.ndarray times, cnp.ndarray seqs, bint strict,
    ) except -1
