"""Many hidden states of one model, stepped together."""

cimport numpy as cnp
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from streamgru.model cimport run
from streamgru.model.run cimport Program
from streamgru.stream.arrays cimport apart, as_rows, check_due, check_marks, column, diverged, output_rows, refusal
from streamgru.stream.batch cimport BAD_INPUT, STEPPED, UNKNOWN, Rows, rows_of
from streamgru.stream.busy cimport sg_give, sg_take

import time

import numpy as np

from streamgru.errors import StreamBusy, UnknownStream
from streamgru.stream.ids import Ended, Handle, Ids, as_handles, is_handle, may_be_open, shown
from streamgru.stream.snapshot import pack, unpack

cnp.import_array()

_BUSY = "another thread is using this pool, or was when this process was forked; a pool has one caller at a time"


cdef class Pool:
    """Many streams of one model. Made by :meth:`Model.pool <streamgru.Model.pool>`.

    Parameters
    ----------
    model : Model
    capacity : int
        The most streams that can be open at once. Memory is taken as they are opened.
    threads : int
        Threads that share a large batch, the caller's own included. The others start with the first such
        batch and sleep between batches; the bits do not depend on them.

    Notes
    -----
    A stream is known by an *id* (str, bytes or int) and, once open, by a *handle*, an integer that
    names its slot and how often the slot was used. A handle of a closed stream is refused, also
    after its slot has gone to another one, and so is one of another pool.

    Thread-safety: one caller at a time; a second one gets :class:`~streamgru.errors.StreamBusy`. The child
    of a fork has a copy that goes on by itself.
    """

    def __cinit__(self, model, Py_ssize_t capacity, Py_ssize_t threads=1):
        if not 1 <= capacity < 1 << 31:
            raise ValueError(f"capacity: expected an integer from 1 to 2**31 - 1, got {capacity}")
        if not 1 <= threads <= 1024:
            raise ValueError(f"threads: expected an integer from 1 to 1024, got {threads}")
        self.model = model
        self.plan = model.plan
        if self.plan is None:
            raise TypeError(f"expected a Model, got {type(model).__name__}")
        self.slots = Slots(self.plan, capacity)
        self.crew = Crew(self.plan, threads)
        self.ids = Ids()

    @property
    def capacity(self):
        """The most streams that can be open at once."""
        return self.slots.capacity

    @property
    def threads(self):
        """Threads that share a large batch."""
        return self.crew.n_threads

    def open(self, id, snapshot=None, *, carry=False):
        """Start a stream and return its handle.

        Parameters
        ----------
        id : str, bytes or int
            ``1`` and ``"1"`` are two streams.
        snapshot : bytes, optional
            Where it goes on; without, it starts from its start.
        carry : bool
            As of :meth:`Model.restore <streamgru.Model.restore>`.

        Returns
        -------
        Handle

        Raises
        ------
        ValueError
            If a stream of that id is open.
        ShapeError
            If *id* is of another type.
        PoolFull
            If every slot is taken; no other stream is evicted.
        SnapshotError
            As :meth:`Model.restore <streamgru.Model.restore>`.
        StreamBusy
            If another thread is using the pool.
        """
        block = None if snapshot is None else unpack(self.model, snapshot, carry)
        self._take()
        try:
            return self._open(id, block)
        finally:
            sg_give(&self.busy)

    def close(self, stream):
        """End a stream, given its id or its handle; its slot is free for another one.

        Raises
        ------
        UnknownStream
            If there is none, or not any more.
        StreamBusy
            If another thread is using the pool.
        """
        self._take()
        try:
            self._close(self._find(stream))
        finally:
            sg_give(&self.busy)

    def handle(self, id):
        """The handle of the open stream *id*; UnknownStream if there is none, StreamBusy as :meth:`close`."""
        self._take()
        try:
            return Handle(self.slots.handle(self._slot(id)))
        finally:
            sg_give(&self.busy)

    def reset(self, stream):
        """Set a stream, given its id or its handle, back to its start; errors as :meth:`close`."""
        self._take()
        try:
            run.start(&self.plan.program, self.slots.state(self._find(stream)))
        finally:
            sg_give(&self.busy)

    def snapshot(self, stream):
        """The whole state of a stream, given its id or its handle, as bytes; errors as :meth:`close`.

        A stream takes it as well as a pool does: see :meth:`Stream.snapshot <streamgru.Stream.snapshot>`.
        """
        self._take()
        try:
            return self._pack(self._find(stream))
        finally:
            sg_give(&self.busy)

    def snapshots(self, streams=None):
        """The whole states of some streams, or of all that are open: a dict from their ids to bytes.

        Parameters
        ----------
        streams : iterable of ids or handles, optional

        Raises
        ------
        UnknownStream, StreamBusy
            As :meth:`close`.
        """
        cdef Py_ssize_t slot
        self._take()
        try:
            if streams is None:
                slots = [slot for slot in range(self.slots.n_used) if self.slots.names[slot] is not None]
            else:
                slots = [self._find(stream) for stream in streams]
            return {self.slots.names[slot]: self._pack(slot) for slot in slots}
        finally:
            sg_give(&self.busy)

    def restore(self, snapshots, *, carry=False):
        """Open many streams, each where its snapshot left it; all of them or, on an error, none.

        Parameters
        ----------
        snapshots : dict of id to bytes
            As :meth:`snapshots` gives it.
        carry : bool
            As of :meth:`Model.restore <streamgru.Model.restore>`.

        Raises
        ------
        ValueError, ShapeError, PoolFull, SnapshotError, StreamBusy
            As :meth:`open`.
        """
        blocks = {id: unpack(self.model, blob, carry) for id, blob in snapshots.items()}
        self._take()
        try:
            for id in blocks:
                self._check_new(id)
            try:
                for id, block in blocks.items():
                    self._open(id, block)
            except BaseException:
                for id in blocks:
                    if self._lookup(id) >= 0:
                        self._close(self._lookup(id))
                raise
        finally:
            sg_give(&self.busy)

    def expire(self, idle_s):
        """End the streams for which nothing was opened or stepped for longer than *idle_s* seconds.

        Returns
        -------
        list of Ended
            Each with the id, the last snapshot, and for how long the stream was idle.

        Raises
        ------
        StreamBusy
            If another thread is using the pool.
        """
        cdef double now_s = time.monotonic(), longest_s = idle_s
        cdef Py_ssize_t slot
        ended = []
        self._take()
        try:
            for slot in range(self.slots.n_used):
                if self.slots.names[slot] is not None and now_s - self.slots.used_s[slot] > longest_s:
                    ended.append(Ended(self.slots.names[slot], self._pack(slot), now_s - self.slots.used_s[slot]))
            for one in ended:  # not before all are packed: what is interrupted has ended none
                self._close(self._slot(one.id))
        finally:
            sg_give(&self.busy)
        return ended

    def step(self, ids, X, out=None, status=None, t=None, seq=None, due=None):
        """Advance many streams, each by one timestep for each of its rows.

        Parameters
        ----------
        ids : sequence of ids or handles, or ndarray of uint64 handles (n_rows,)
            The stream of each row; several of one stream are taken in order. Integers of another dtype are ids.
        X : array_like (n_rows, n_in)
        out : ndarray (n_rows, n_out), optional
            C-contiguous, of the model's dtype.
        status : ndarray of uint8 (n_rows,), optional
            With it, a bad row does not raise: it is marked here (0 stepped, 1 no such stream,
            2 bad input, 3 the new state would not be finite), its ``y`` is NaN, and the other rows
            are stepped.
        due : ndarray of uint8 (n_rows,), optional
            Becomes 1 where a row has an answer, and 0 where not; there ``y`` is 0. A network that does not answer
            at every step needs it.
        t, seq : array_like (n_rows,), optional
            Time in seconds (float64) and sequence number (int64) of each row, kept in the state of
            its stream.

        Returns
        -------
        ndarray (n_rows, n_out)
            The same bits as single calls of :meth:`Stream.step <streamgru.Stream.step>`.

        Raises
        ------
        UnknownStream, ShapeError, NonFiniteError, TokenError
            Naming the first bad row; every state is then what it was before the call.
        StreamBusy
            If another thread is using the pool.

        Notes
        -----
        The GIL is released once, for the whole batch.
        """
        cdef const Program* program = &self.plan.program
        cdef bint strict = status is None
        cdef cnp.ndarray rows = as_rows(self.plan, X, strict)
        cdef Py_ssize_t n_rows = cnp.PyArray_DIM(rows, 0)
        cdef cnp.ndarray handles
        cdef cnp.ndarray y = output_rows(self.plan, out, n_rows)
        cdef cnp.ndarray times = None if t is None else column("t", t, np.float64, n_rows)
        cdef cnp.ndarray seqs = None if seq is None else column("seq", seq, np.int64, n_rows)
        # Arrays of our own: what is decided with the GIL released must not be somebody else's to change.
        cdef cnp.ndarray places = np.empty((4, n_rows + 2), np.intp)  # states, slots, order, starts of rounds
        cdef cnp.ndarray marks = np.empty(n_rows, np.uint8)
        cdef cnp.ndarray answered = None if due is None else np.zeros(n_rows, np.uint8)
        cdef cnp.ndarray before = np.empty(n_rows * program.state_bytes, np.uint8) if strict else None
        cdef Py_ssize_t* starts
        cdef Py_ssize_t bad = -1, failed = -1
        cdef double now_s = time.monotonic()
        cdef Rows batch
        check_marks("status", status, n_rows)
        check_due(due, n_rows, program.timed)
        rows = apart(rows, y)
        batch = rows_of(program, rows, y, places, marks, answered, times, seqs, before)
        starts = <Py_ssize_t*>cnp.PyArray_GETPTR2(places, 3, 0)
        self._take()
        try:
            handles = self._handles(ids, n_rows)  # not before: till now another thread may close and open streams
            with nogil:
                bad = self.slots.resolve(&batch, <const uint64_t*>cnp.PyArray_DATA(handles))
            if strict and bad >= 0:
                raise self._refused(ids, rows, bad, marks)
            with nogil:
                failed = self.crew.step(&batch, self.slots.seen, starts)
                if failed < 0:
                    bad = self.slots.touch(&batch, now_s)
        finally:
            sg_give(&self.busy)
        if failed >= 0:
            raise self._refused(ids, rows, failed, marks)
        if not strict:
            memcpy(cnp.PyArray_DATA(status), batch.marks, n_rows)
            if bad >= 0:
                y[marks != STEPPED] = np.nan
        if due is not None:
            memcpy(cnp.PyArray_DATA(due), cnp.PyArray_DATA(answered), n_rows)
        return y

    def __len__(self):
        """Streams that are open."""
        return len(self.slots.names) - len(self.slots.free)

    def __contains__(self, id):
        return self._lookup(id) >= 0

    def __iter__(self):
        """The ids of the streams that are open."""
        return iter([name for name in self.slots.names if name is not None])

    def __repr__(self):
        return f"<Pool of {self.model!r}, {len(self)} of {self.capacity} streams>"

    def _refused(self, ids, rows, row, marks):
        """The error that tells why a row was not stepped."""
        cdef const char* x = <const char*>cnp.PyArray_DATA(<cnp.ndarray>rows)
        if marks[row] == UNKNOWN:
            return UnknownStream(f"row {row}: no stream {shown(ids[row])} is open")
        if marks[row] == BAD_INPUT:
            x += <Py_ssize_t>row * self.plan.program.n_in * self.plan.program.itemsize
            return refusal(self.plan, rows, row, run.check(&self.plan.program, x))
        return diverged(row)

    cdef object _open(self, id, block):
        self._check_new(id)
        slot = self.slots.take(id, time.monotonic())
        try:
            if block is None:
                run.start(&self.plan.program, self.slots.state(slot))
            else:
                memcpy(self.slots.state(slot), <const char*><bytes>block, self.plan.program.state_bytes)
            self.ids.add(id, slot)
        except BaseException:  # Ctrl-C, between two lines of Python
            self.slots.give(slot)
            raise
        return Handle(self.slots.handle(slot))

    cdef int _check_new(self, id) except -1:
        if self._lookup(id) >= 0:
            raise ValueError(f"stream {shown(id)} is open already")
        return 0

    cdef int _close(self, Py_ssize_t slot) except -1:
        id = self.slots.names[slot]
        self.slots.give(slot)  # first: an id whose slot is not its own any more is none
        self.ids.remove(id)
        return 0

    cdef bytes _pack(self, Py_ssize_t slot):
        return pack(self.model, self.slots.state(slot)[:self.plan.program.state_bytes])

    cdef cnp.ndarray _handles(self, ids, Py_ssize_t n_rows):
        """Ids and handles as an array of handles; 0, which no stream has, for an unknown id."""
        if cnp.PyArray_CheckExact(ids) and cnp.PyArray_TYPE(ids) == cnp.NPY_UINT64 and cnp.PyArray_ISCARRAY_RO(ids):
            if cnp.PyArray_NDIM(ids) == 1 and cnp.PyArray_DIM(ids, 0) == n_rows:
                return ids
        return as_handles(ids, n_rows, self._handle_of)

    def _handle_of(self, id):
        slot = self._lookup(id)
        return 0 if slot < 0 else self.slots.handle(slot)

    cdef Py_ssize_t _find(self, stream) except -1:
        cdef Py_ssize_t slot
        if not is_handle(stream):
            return self._slot(stream)
        slot = self.slots.find(stream) if may_be_open(stream) else -1
        if slot < 0:
            raise UnknownStream(f"no stream {shown(stream)} is open")
        return slot

    cdef Py_ssize_t _lookup(self, id) except -2:
        """The slot of an id, or -1 if it has none."""
        slot = self.ids.get(id)
        return -1 if slot is None or self.slots.names[slot] is None or self.slots.names[slot] != id else slot

    cdef Py_ssize_t _slot(self, id) except -1:
        slot = self._lookup(id)
        if slot < 0:
            raise UnknownStream(f"no stream {shown(id)} is open; open it with pool.open({shown(id)})")
        return slot

    cdef int _take(self) except -1:
        if not sg_take(&self.busy):
            raise StreamBusy(_BUSY)
        return 0
