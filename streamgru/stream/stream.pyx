"""One hidden state and its owner."""

cimport numpy as cnp
from libc.string cimport memcpy

from streamgru.model cimport run
from streamgru.model.block cimport Block
from streamgru.model.lanes cimport Lanes
from streamgru.model.plan cimport Plan
from streamgru.model.run cimport Program
from streamgru.stream.arrays cimport (
    apart, as_numbers, as_rows, as_vector, direct, diverged, output_rows, output_vector, refusal,
)
from streamgru.stream.busy cimport sg_give, sg_take
from streamgru.stream.running cimport BAD_INPUT, BUSY, NOTHING_DUE, STEPPED, Outcome, take_step

import numpy as np

from streamgru.errors import NonFiniteError, ShapeError, StreamBusy
from streamgru.stream import snapshot
from streamgru.stream.trace import Gates, Trace

cnp.import_array()

_BUSY = (
    "another thread is using this stream, or was when this process was forked; a stream has one owner "
    "(see Stream.fork and Pool)"
)

cdef class Stream:
    """One hidden state of a model, moved forward one timestep at a time.

    Made by :meth:`Model.stream <streamgru.Model.stream>`; it keeps its model alive.

    Thread-safety: one owner. A second thread that comes while a step is under way gets
    :class:`~streamgru.errors.StreamBusy`, and the state is never torn.
    """

    def __cinit__(self, model):
        self.model = model
        self.plan = model.plan
        if self.plan is None:
            raise TypeError(f"expected a Model, got {type(model).__name__}")
        self.state_block = Block(self.plan.program.state_bytes)
        self.work = Block(self.plan.program.work_bytes)
        self.running.program = &self.plan.program
        self.running.state, self.running.work = self.state_block.data, self.work.data
        run.start(self.running.program, self.running.state)

    def step(self, x, out=None):
        """Advance one timestep.

        Parameters
        ----------
        x : array_like (n_in,), or dict of str to array_like
            All inputs in order, or each by its name. A C-contiguous array of the model's dtype is
            read where it lies; anything else is converted first.
        out : ndarray (n_out,), optional
            C-contiguous, of the model's dtype. Nothing is allocated when it is given.

        Returns
        -------
        ndarray (n_out,) or None
            *out*, or a new array; None, with *out* as it was, if the network does not answer at this step (see
            :attr:`Model.stride <streamgru.Model.stride>` and :attr:`Model.delay <streamgru.Model.delay>`).

        Raises
        ------
        ShapeError, NonFiniteError, TokenError
            Before the state changes. NonFiniteError also if the new state would not be finite.
        StreamBusy
            If another thread is stepping this stream.
        """
        cdef Plan plan = self.plan
        cdef const void* src = direct(plan, x, 1, 0, plan.program.n_in)
        cdef cnp.ndarray y = output_vector(plan, out)
        cdef void* dst = cnp.PyArray_DATA(y)
        cdef Outcome outcome
        if src == NULL:
            x = as_vector(plan, x)
            src = cnp.PyArray_DATA(x)
        if plan.n_macs < WORTH_RELEASING:
            outcome = take_step(&self.running, src, dst)
        else:
            with nogil:
                outcome = take_step(&self.running, src, dst)
        if outcome == NOTHING_DUE:
            return None
        if outcome != STEPPED:
            raise failure(self, x, outcome)
        return y

    def bind(self, x, out=None):
        """Bind an input and an output once, so that a step costs little more than a method call.

        Parameters
        ----------
        x : ndarray (n_in,)
            C-contiguous, of the model's dtype. Write the next input into it before each step.
        out : ndarray (n_out,), optional
            C-contiguous, of the model's dtype; a new one is made without it.

        Returns
        -------
        Bound
            ``bound.step()`` advances this stream and returns *out*, or None if no answer is due.

        Raises
        ------
        ShapeError
            If an array does not fit.
        """
        from streamgru.stream.bound import Bound

        return Bound(self, x, out)

    def run(self, X, out=None):
        """Advance by a block of timesteps; the same bits as so many calls of :meth:`step`.

        Parameters
        ----------
        X : array_like (n_steps, n_in)
        out : ndarray (n_due, n_out), optional
            C-contiguous, of the model's dtype.

        Returns
        -------
        ndarray (n_due, n_out)
            The answers that were due: one for each step, unless the network answers less often.

        Raises
        ------
        ShapeError, NonFiniteError, TokenError
            The state is then what it was before the whole block.
        StreamBusy
            If another thread is stepping this stream.

        Notes
        -----
        The GIL is released once, for the whole block.
        """
        return self._advance(as_rows(self.plan, X, True), out, False)[0]

    def trace(self, X):
        """Advance by a block of timesteps and show every gate of every GRU at every step.

        Parameters
        ----------
        X : array_like (n_steps, n_in)

        Returns
        -------
        Trace
            ``trace.y`` (n_steps, n_out), and ``trace.gates["gru.0"]`` with ``r``, ``z``, ``n`` and
            ``h``, each (n_steps, n_hid), for every GRU layer. ``(1 - z) * n + z * h_before``
            gives ``h`` bit for bit, unless it has faded to less than 2**-100 and is taken as 0.
            What is not new at every step has a row for each step at which it was.

        Raises
        ------
        ShapeError, NonFiniteError, TokenError
            The state is then what it was before the whole block.
        StreamBusy
            If another thread is stepping this stream.
        """
        return Trace(*self._advance(as_rows(self.plan, X, True), None, True))

    @property
    def state(self):
        """What each layer remembers: a dict from its name to a copy, of a GRU an array (n_hid,).

        Convolutions and pools remember rows of their input (n_rows, n_in), oldest first; padding that is left out
        is told by one more column, 1 for a row that is none. ``x:3`` are rows of ``x`` that wait to be used from
        step 3 on.

        Assign a dict of some or all layers to change it; ShapeError or NonFiniteError, with
        nothing changed, if a name, a shape or a value is wrong.
        """
        self._take()
        try:
            return {entry.name: self._view(entry).copy() for entry in self.plan.layout.state}
        finally:
            sg_give(&self.running.busy)

    @state.setter
    def state(self, new):
        entries = {entry.name: entry for entry in self.plan.layout.state}
        checked = {}
        if not isinstance(new, dict):
            raise ShapeError(f"state: expected a dict from layers to arrays, got {type(new).__name__}")
        for name, value in new.items():
            if name not in entries:
                raise ShapeError(f"state: expected layers {', '.join(entries) or 'none'}, got {name!r}")
            array = as_numbers(self.plan, value, f"state[{name!r}]", False)
            if array.shape != entries[name].shape:
                raise ShapeError(f"state[{name!r}]: expected shape {entries[name].shape}, got {array.shape}")
            if not np.isfinite(array).all():
                raise NonFiniteError(f"state[{name!r}]: expected finite {self.plan.dtype} numbers")
            checked[name] = array
        self._take()
        try:
            for name, array in checked.items():
                self._view(entries[name])[:] = array
        finally:
            sg_give(&self.running.busy)

    @property
    def n_steps(self):
        """Steps since the start; a snapshot and a fork carry it on. Can be read while another thread steps."""
        return run.steps_taken(self.state_block.data)

    def reset(self):
        """Go back to the state that a stream starts from; StreamBusy if another thread is stepping it."""
        self._take()
        run.start(self.running.program, self.running.state)
        sg_give(&self.running.busy)

    def fork(self):
        """Make a second stream that goes on from here on its own; StreamBusy as :meth:`step`."""
        cdef Stream other = Stream(self.model)
        self._take()
        memcpy(other.state_block.data, self.state_block.data, self.plan.program.state_bytes)
        sg_give(&self.running.busy)
        return other

    def snapshot(self):
        """The whole state as bytes: versioned, checksummed, tied to the model; StreamBusy as :meth:`step`.

        :meth:`Model.restore <streamgru.Model.restore>` goes on from it, also in another process.
        """
        self._take()
        try:
            return snapshot.pack(self.model, self.state_block.data[:self.plan.program.state_bytes])
        finally:
            sg_give(&self.running.busy)

    def __repr__(self):
        return f"<Stream of {self.model!r}, {self.n_steps} steps>"

    def __reduce__(self):
        return restored, (self.model, self.snapshot())

    cdef int _take(self) except -1:
        if not sg_take(&self.running.busy):
            raise StreamBusy(_BUSY)
        return 0

    cdef tuple _advance(self, cnp.ndarray rows, object out, bint trace):
        """Step through rows (n_steps, n_in), all of them or none; the answers that were due, and gates if *trace*."""
        cdef Plan plan = self.plan
        cdef Py_ssize_t n_steps = cnp.PyArray_DIM(rows, 0), n = 0, row = 0, failed = -1
        cdef Py_ssize_t x_bytes = plan.program.n_in * plan.program.itemsize
        cdef Py_ssize_t y_bytes = plan.program.n_out * plan.program.itemsize
        cdef const Program* program = self.running.program
        cdef const char* x
        cdef char* y
        cdef Lanes lanes = Lanes(plan, n_steps)
        cdef char* state = self.state_block.data
        cdef Py_ssize_t bad, n_due, first
        self._take()
        before = state[:program.state_bytes]
        try:
            first = run.steps_taken(state)
            answers = output_rows(plan, out, run.n_due(program, state, n_steps))
            rows = apart(rows, answers)
            x, y = <const char*>cnp.PyArray_DATA(rows), <char*>cnp.PyArray_DATA(answers)
            gates = self._gates(first, n_steps) if trace else {}
            self._check(rows)
            with nogil:
                while row < n_steps and failed < 0:
                    n = min(n_steps - row, lanes.n)
                    n_due = run.n_due(program, state, n)
                    failed = run.steps(program, n, x + row * x_bytes, state, lanes.works, y)
                    if trace:
                        with gil:
                            self._note(gates, first, row, n, lanes)
                    row += n
                    y += n_due * y_bytes
            if failed >= 0:
                failed += row - n
                bad = run.check(program, x + failed * x_bytes)  # somebody may have written to X meanwhile
                raise diverged(failed) if bad < 0 else refusal(plan, rows, failed, bad)
        except BaseException:
            memcpy(state, <const char*>before, program.state_bytes)
            raise
        finally:
            sg_give(&self.running.busy)
        return answers, gates

    cdef int _check(self, cnp.ndarray rows) except -1:
        """Refuse a block of which a row is bad, before any state changes."""
        cdef Plan plan = self.plan
        cdef const Program* program = self.running.program
        cdef const char* x = <const char*>cnp.PyArray_DATA(rows)
        cdef Py_ssize_t row, bad = -1
        with nogil:
            for row in range(cnp.PyArray_DIM(rows, 0)):
                bad = run.check(program, x + row * program.n_in * program.itemsize)
                if bad >= 0:
                    break
        if bad >= 0:
            raise refusal(plan, rows, row, bad)
        return 0

    def _gates(self, first, n_steps):
        """Room for the gates of every GRU in the next steps, of which *first* is the number of the first one."""
        def rows(placed):
            n_rows = placed.clock.count(first + n_steps) - placed.clock.count(first)
            return np.empty((n_rows, placed.layer.n_hid), self.plan.dtype)

        found = [placed for placed in self.plan.layout.layers if placed.gates is not None]
        return {placed.layer.name: Gates(*(rows(placed) for _ in "rznh")) for placed in found}

    cdef int _note(self, dict gates, Py_ssize_t first, Py_ssize_t row, Py_ssize_t n, Lanes lanes) except -1:
        """Copy the gates of the steps that the lanes have just made, the first of which is *row* of the trace."""
        cdef Py_ssize_t i
        for placed in self.plan.layout.layers:
            if placed.gates is None:
                continue
            clock, traced, n_hid = placed.clock, gates[placed.layer.name], placed.layer.n_hid
            for i in range(n):
                if not clock.due(first + row + i):
                    continue
                k = clock.count(first + row + i) - clock.count(first)
                r, z, c = _array(self.plan, <char*>lanes.works[i], placed.gates).reshape(3, -1)[:, :n_hid]
                traced.r[k], traced.z[k], traced.n[k] = r, z, c
                traced.h[k] = _array(self.plan, <char*>lanes.works[i], placed.output)
        return 0

    cdef cnp.ndarray _view(self, entry):
        """The state of one layer where it lies, valid as long as this stream."""
        return _array(self.plan, self.state_block.data, entry).reshape(entry.shape)


def restored(model, blob, carry=False):
    """A stream of *model* that goes on from a snapshot; see :meth:`Model.restore <streamgru.Model.restore>`."""
    cdef Stream stream = Stream(model)
    cdef bytes block = snapshot.unpack(model, blob, carry)
    memcpy(stream.state_block.data, <const char*>block, stream.plan.program.state_bytes)
    return stream


cdef object failure(Stream stream, object x, Outcome outcome):
    """The error that tells why a step of x (n_in,) was not taken."""
    if outcome == BUSY:
        return StreamBusy(_BUSY)
    if outcome == BAD_INPUT:
        return refusal(stream.plan, x, 0, run.check(stream.running.program, cnp.PyArray_DATA(x)))
    return diverged(0)


cdef cnp.ndarray _array(Plan plan, char* base, place):
    """A view of place.size elements at place.offset of a block; the caller keeps the block alive."""
    cdef cnp.npy_intp size = place.size
    base += <Py_ssize_t>place.offset * plan.program.itemsize
    return cnp.PyArray_SimpleNewFromData(1, &size, plan.typenum, base)
