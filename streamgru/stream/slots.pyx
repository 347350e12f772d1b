# cython: freethreading_compatible=True
"""Where the states of a pool lie, and who they belong to.

A handle names a slot and how often the slot was taken, so that the handle of a closed stream is known
for what it is, also after its slot has gone to another one. Every pool begins to count somewhere else, so
that its handles are not those of another one, but for a chance of one in 2**30.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free

from streamgru.model cimport run
from streamgru.model.block cimport Block
from streamgru.model.plan cimport Plan
from streamgru.stream.batch cimport BAD_INPUT, STEPPED, UNKNOWN

import os

from streamgru.errors import PoolFull

cdef enum:
    SLOTS = 256  # states in one block of the slab


cdef class Slots:
    """Room for the states of *capacity* streams; memory is taken as they come."""

    def __cinit__(self, Plan plan, Py_ssize_t capacity):
        cdef Py_ssize_t n_blocks = (capacity + SLOTS - 1) // SLOTS
        self.plan, self.program, self.capacity = plan, &plan.program, capacity
        self.blocks, self.free, self.names = [], [], []
        self.first = int.from_bytes(os.urandom(4), "little") & 0x7FFFFFFE  # even; so small that handles fit int64
        self.slabs = <char**>PyMem_Calloc(n_blocks, sizeof(char*))
        self.generations = <uint32_t*>PyMem_Calloc(capacity, sizeof(uint32_t))
        self.used_s = <double*>PyMem_Calloc(capacity, sizeof(double))
        self.seen = <uint32_t*>PyMem_Calloc(capacity, sizeof(uint32_t))
        if self.slabs == NULL or self.generations == NULL or self.used_s == NULL or self.seen == NULL:
            raise MemoryError(f"no memory for a pool of {capacity} streams")

    def __dealloc__(self):
        PyMem_Free(self.slabs)
        PyMem_Free(self.generations)
        PyMem_Free(self.used_s)
        PyMem_Free(self.seen)

    cdef Py_ssize_t take(self, object id, double now_s) except -1:
        """A slot for the stream *id*; its state is anything yet."""
        cdef Py_ssize_t slot
        if self.free:
            slot = self.free.pop()
        elif self.n_used == self.capacity:
            raise PoolFull(f"all {self.capacity} streams of the pool are open; close one, or make a larger pool")
        else:
            if self.n_used % SLOTS == 0:
                block = Block(min(SLOTS, self.capacity - self.n_used) * self.program.state_bytes)
                self.blocks.append(block)
                self.slabs[self.n_used // SLOTS] = (<Block>block).data
            slot = self.n_used
            self.n_used += 1
            self.names.append(None)
            self.generations[slot] = self.first
        self.generations[slot] += 1
        self.names[slot] = id
        self.used_s[slot] = now_s
        return slot

    cdef int give(self, Py_ssize_t slot) except -1:
        """The stream of a slot has ended."""
        self.generations[slot] += 1
        self.names[slot] = None
        self.free.append(slot)
        return 0

    cdef char* state(self, Py_ssize_t slot) noexcept nogil:
        return self.slabs[slot // SLOTS] + (slot % SLOTS) * self.program.state_bytes

    cdef uint64_t handle(self, Py_ssize_t slot) noexcept nogil:
        return (<uint64_t>self.generations[slot] << 32) | <uint64_t>slot

    cdef Py_ssize_t find(self, uint64_t handle) noexcept nogil:
        """The slot of a handle, or -1 if its stream is not open (any more)."""
        cdef Py_ssize_t slot = <uint32_t>handle
        if slot >= self.n_used or handle >> 32 != self.generations[slot] or not self.generations[slot] & 1:
            return -1
        return slot

    cdef Py_ssize_t resolve(self, Rows* rows, const uint64_t* handles) noexcept nogil:
        cdef Py_ssize_t x_bytes = self.program.n_in * self.program.itemsize, row, first = -1
        for row in range(rows.n_rows - 1, -1, -1):
            rows.slots[row] = self.find(handles[row])
            rows.marks[row] = STEPPED
            if rows.slots[row] < 0:
                rows.marks[row] = UNKNOWN
            else:
                rows.states[row] = self.state(rows.slots[row])
                if run.check(self.program, rows.x + row * x_bytes) >= 0:
                    rows.marks[row] = BAD_INPUT
            if rows.marks[row] != STEPPED:
                first = row
        return first

    cdef Py_ssize_t touch(self, const Rows* rows, double now_s) noexcept nogil:
        cdef Py_ssize_t row, other = -1
        for row in range(rows.n_rows):
            if rows.marks[row] == STEPPED:
                self.used_s[rows.slots[row]] = now_s
            else:
                other = row
        return other
