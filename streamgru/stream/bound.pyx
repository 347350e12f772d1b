# cython: freethreading_compatible=True
"""A stream with its input and output bound once."""

cimport numpy as cnp

from streamgru.stream.arrays cimport direct, output_vector
from streamgru.stream.running cimport STEPPED, Outcome, take_step
from streamgru.stream.stream cimport WORTH_RELEASING, Stream, failure

from streamgru.errors import ShapeError

cnp.import_array()


cdef class Bound:
    """A stream that reads *x* and writes *out* at every step. Made by :meth:`Stream.bind`.

    Thread-safety: as its stream; the arrays are read and written while a step is under way.
    """

    def __cinit__(self, Stream stream not None, cnp.ndarray x not None, out):
        cdef const void* source = direct(stream.plan, x, 1, 0, stream.plan.program.n_in)
        if source == NULL:
            raise ShapeError(
                f"x: expected a contiguous {stream.plan.dtype} array ({stream.plan.program.n_in},), "
                f"got {x.dtype} {(<object>x).shape}"
            )
        self.stream, self.x, self.out = stream, x, output_vector(stream.plan, out)
        self.source, self.target = source, cnp.PyArray_DATA(self.out)
        self.release = stream.plan.n_macs >= WORTH_RELEASING

    def step(self):
        """Advance one timestep, from what is in *x* to *out*, which is returned.

        Raises
        ------
        NonFiniteError, TokenError, StreamBusy
            As :meth:`Stream.step`; state and *out* are as they were.
        """
        cdef Outcome outcome
        if self.release:
            with nogil:
                outcome = take_step(&self.stream.running, self.source, self.target)
        else:
            outcome = take_step(&self.stream.running, self.source, self.target)
        if outcome != STEPPED:
            raise failure(self.stream, self.x, outcome)
        return self.out
