# cython: freethreading_compatible=True
"""A stream with its input and output bound once."""

cimport numpy as cnp

from streamgru.model.plan cimport Plan
from streamgru.stream.arrays cimport check_input, direct, output_vector
from streamgru.stream.running cimport NOTHING_DUE, STEPPED, Outcome, take_step
from streamgru.stream.stream cimport WORTH_RELEASING, Stream, failure

cnp.import_array()


cdef class Bound:
    """A stream that reads *x* and writes *out* at every step. Made by :meth:`Stream.bind`.

    Thread-safety: as its stream; the arrays are read and written while a step is under way.
    """

    def __cinit__(self, Stream stream not None, x, out):
        check_input(stream.plan, x)
        self.stream, self.x, self.out = stream, x, output_vector(stream.plan, out)
        self.release = stream.plan.n_macs >= WORTH_RELEASING

    def step(self):
        """Advance one timestep, from what is in *x* to *out*, which is returned; None if no answer is due.

        Raises
        ------
        NonFiniteError, TokenError, StreamBusy
            As :meth:`Stream.step`; state and *out* are as they were.
        ShapeError
            If one of the arrays was resized, or made into something else, since it was bound.
        """
        cdef Plan plan = self.stream.plan
        # Where the numbers are is asked each time: an array can be resized in place.
        cdef const void* source = direct(plan, self.x, 1, 0, plan.program.n_in)
        cdef void* target = <void*>direct(plan, self.out, 1, 0, plan.program.n_out)
        cdef Outcome outcome
        if source == NULL or target == NULL or not cnp.PyArray_ISWRITEABLE(self.out):
            check_input(plan, self.x)
            output_vector(plan, self.out)
        if self.release:
            with nogil:
                outcome = take_step(&self.stream.running, source, target)
        else:
            outcome = take_step(&self.stream.running, source, target)
        if outcome == NOTHING_DUE:
            return None
        if outcome != STEPPED:
            raise failure(self.stream, self.x, outcome)
        return self.out
