# cython: freethreading_compatible=True
"""A stream as plain data: one step of it touches no Python object."""

from libc.string cimport memcpy

from streamgru.model cimport run
from streamgru.stream.busy cimport sg_give, sg_take


cdef Outcome take_step(Running* stream, const void* x, void* y) noexcept nogil:
    cdef const Program* program = stream.program
    cdef Outcome outcome = STEPPED
    cdef int missing
    if not sg_take(&stream.busy):
        return BUSY
    if run.load(program, x, stream.work) >= 0:
        outcome = BAD_INPUT
    else:
        missing = run.step(program, stream.state, stream.work)
        if missing == 0:
            memcpy(y, run.output(program, stream.work), program.n_out * program.itemsize)
        else:
            outcome = DIVERGED if missing < 0 else NOTHING_DUE
    sg_give(&stream.busy)
    return outcome
