"""Several channels of sensors through one GRU network, each from a thread of its own, without the GIL."""

from libc.stdlib cimport calloc, free

from streamgru cimport (
    SG_STEPPED, import_streamgru, sg_error, sg_itemsize, sg_n_in, sg_n_out, sg_outcome, sg_step, sg_stream,
    sg_stream_of,
)

import_streamgru()  # refuses a streamgru with another API than the one this was compiled against


cdef class Channels:
    """Some streams of one model; each channel is fed by whichever thread has data for it.

    Parameters
    ----------
    model : streamgru.Model
        In float32, with an answer to every step.
    n_channels : int
    """

    cdef readonly tuple streams  # as long as they live the pointers are good
    cdef sg_stream** pointers    # (n_channels,)
    cdef Py_ssize_t n_in, n_out

    def __cinit__(self, model, Py_ssize_t n_channels):
        if n_channels < 1:
            raise ValueError(f"n_channels: expected at least 1, got {n_channels}")
        self.streams = tuple(model.stream() for _ in range(n_channels))
        self.pointers = <sg_stream**>calloc(n_channels, sizeof(sg_stream*))
        if self.pointers == NULL:
            raise MemoryError(f"no memory for {n_channels} channels")
        for i, stream in enumerate(self.streams):
            self.pointers[i] = sg_stream_of(stream)
        if sg_itemsize(self.pointers[0]) != sizeof(float):
            raise TypeError(f"model: expected one in float32, got {model!r}")
        if (model.stride, model.delay) != (1, 0):
            raise ValueError(f"model: expected one that answers at every step, got {model!r}")
        self.n_in, self.n_out = sg_n_in(self.pointers[0]), sg_n_out(self.pointers[0])

    def __dealloc__(self):
        free(self.pointers)

    def run(self, Py_ssize_t channel, const float[:, ::1] x, float[:, ::1] y):
        """Step through the rows of *x* (n_steps, n_in) and write a prediction for each to *y* (n_steps, n_out).

        A row that cannot be stepped raises what ``Stream.step`` raises; the rows before it were stepped.
        """
        cdef sg_stream* stream = self._checked(channel, x)
        cdef Py_ssize_t row = 0
        cdef sg_outcome outcome = SG_STEPPED
        if y.shape[0] != x.shape[0] or y.shape[1] != self.n_out:
            raise ValueError(f"y: expected ({x.shape[0]}, {self.n_out}), got ({y.shape[0]}, {y.shape[1]})")
        with nogil:
            while row < x.shape[0]:
                outcome = sg_step(stream, &x[row, 0], &y[row, 0])
                if outcome != SG_STEPPED:
                    break
                row += 1
        if outcome != SG_STEPPED:
            raise sg_error(self.streams[channel], &x[row, 0], outcome)

    def run_until(self, Py_ssize_t channel, const float[:, ::1] x, Py_ssize_t output, float level):
        """Step through *x* until number *output* of a prediction exceeds *level*; how many rows were stepped.

        Whether it goes on is decided between two steps, in C: the state is that of the moment of the alarm.
        """
        cdef sg_stream* stream = self._checked(channel, x)
        cdef Py_ssize_t row = 0
        cdef sg_outcome outcome = SG_STEPPED
        cdef float* y
        if not 0 <= output < self.n_out:
            raise IndexError(f"output: expected 0 to {self.n_out - 1}, got {output}")
        y = <float*>calloc(self.n_out, sizeof(float))
        if y == NULL:
            raise MemoryError("no memory for a prediction")
        with nogil:
            while row < x.shape[0]:
                outcome = sg_step(stream, &x[row, 0], y)
                if outcome != SG_STEPPED:
                    break
                row += 1
                if y[output] > level:
                    break
            free(y)
        if outcome != SG_STEPPED:
            raise sg_error(self.streams[channel], &x[row, 0], outcome)
        return row

    cdef sg_stream* _checked(self, Py_ssize_t channel, const float[:, ::1] x) except NULL:
        if not 0 <= channel < len(self.streams):
            raise IndexError(f"channel: expected 0 to {len(self.streams) - 1}, got {channel}")
        if x.shape[1] != self.n_in:
            raise ValueError(f"x: expected (n_steps, {self.n_in}), got ({x.shape[0]}, {x.shape[1]})")
        return self.pointers[channel]
