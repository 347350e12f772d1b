"""A stream as plain data: one step of it touches no Python object."""

from streamgru.model.run cimport Program
from streamgru.stream.busy cimport sg_flag


cdef enum Outcome:
    STEPPED = 0
    BUSY = 1       # another thread is using the stream
    BAD_INPUT = 2  # x holds a number that is not finite, or no token
    DIVERGED = 3   # the new state or the output would not be finite
    NOTHING_DUE = 4  # the step was taken, and is none at which the network answers


cdef inline bint was_taken(Outcome outcome) noexcept nogil:
    return outcome == STEPPED or outcome == NOTHING_DUE


cdef struct Running:
    const Program* program
    char* state              # state_bytes
    char* work               # work_bytes
    sg_flag busy


# One timestep from x (n_in,) to y (n_out,), which may overlap. NOTHING_DUE leaves y as it was, all but these two
# the state as well.
cdef Outcome take_step(Running* stream, const void* x, void* y) noexcept nogil
