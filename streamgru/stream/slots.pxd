"""Where the states of a pool lie, and who they belong to."""

from libc.stdint cimport uint32_t, uint64_t

from streamgru.model.run cimport Program
from streamgru.stream.batch cimport Rows


cdef class Slots:
    cdef readonly Py_ssize_t capacity
    cdef readonly Py_ssize_t n_used  # slots ever used
    cdef const Program* program
    cdef object plan                 # owns the program
    cdef list blocks                 # of Block: the slab, each some states; they never move
    cdef char** slabs                # (n_blocks,) their data
    cdef uint32_t first              # generation of every slot
    cdef uint32_t* generations       # (capacity,): odd while a slot is open
    cdef double* used_s              # (capacity,): when its stream was last opened or stepped
    cdef uint32_t* seen              # (capacity,): zeros, for Crew.step
    cdef list free                   # slots that were closed, to be used again
    cdef list names                  # by slot: the id of its stream, None if it is not open

    cdef Py_ssize_t take(self, object id, double now_s) except -1
    cdef int give(self, Py_ssize_t slot) except -1
    cdef char* state(self, Py_ssize_t slot) noexcept nogil
    cdef uint64_t handle(self, Py_ssize_t slot) noexcept nogil
    cdef Py_ssize_t find(self, uint64_t handle) noexcept nogil
    # The slots, states and marks of rows, by their handles (n_rows,); the first row that cannot be stepped, or -1.
    cdef Py_ssize_t resolve(self, Rows* rows, const uint64_t* handles) noexcept nogil
    # Note when the rows that are marked STEPPED were; some row that was not, or -1.
    cdef Py_ssize_t touch(self, const Rows* rows, double now_s) noexcept nogil
