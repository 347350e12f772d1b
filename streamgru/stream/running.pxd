"""A stream as plain data: one step of it touches no Python object."""

from streamgru.model.run cimport Program
from streamgru.stream.busy cimport sg_flag


cdef enum Outcome:
    STEPPED = 0
    BUSY = 1       # another thread is using the stream
    BAD_INPUT = 2  # x holds a number that is not finite, or no token
    DIVERGED = 3   # the new state or the output would not be finite


cdef struct Running:
    const Program* program
    char* state              # state_bytes
    char* work               # work_bytes
    sg_flag busy


# One timestep from x (n_in,) to y (n_out,), which may overlap; all but STEPPED leave state and y as they were.
cdef Outcome take_step(Running* stream, const void* x, void* y) noexcept nogil
