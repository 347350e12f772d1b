"""Many hidden states of one model, stepped together."""

cimport numpy as cnp
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from streamgru.model.block cimport Block
from streamgru.model.plan cimport Plan, StateHeader
from streamgru.stream.arrays cimport apart, as_rows, diverged, output_rows, refusal
from streamgru.stream.busy cimport sg_give, sg_take

from collections.abc import Sequence

import numpy as np

from streamgru.errors import PoolFull, ShapeError, StreamBusy, UnknownStream
from streamgru.stream.snapshot import pack, unpack

cnp.import_array()

cdef enum:
    SLOTS = 256  # states in one block of the slab

cdef enum:  # what becomes of a row
    STEPPED = 0
    UNKNOWN = 1
    BAD_INPUT = 2
    DIVERGED = 3


cdef class Pool:
    """Many streams of one model. Made by :meth:`Model.pool <streamgru.Model.pool>`.

    Parameters
    ----------
    model : Model
    capacity : int
        The most streams that can be open at once. Memory is taken as they are opened.

    Notes
    -----
    A stream is known by an *id* (str, bytes or int) and, once open, by a *handle*, an integer that
    names its slot and how often the slot was used. A handle of a closed stream is refused, also
    after its slot has gone to another one.

    Thread-safety: one caller at a time; a second one gets :class:`~streamgru.errors.StreamBusy`.
    """

    def __cinit__(self, model, Py_ssize_t capacity):
        cdef Py_ssize_t n_blocks = (capacity + SLOTS - 1) // SLOTS
        if not 1 <= capacity < 1 << 31:
            raise ValueError(f"capacity: expected an integer from 1 to 2**31 - 1, got {capacity}")
        self.model, self.capacity = model, capacity
        self.plan = model.plan
        if self.plan is None:
            raise TypeError(f"expected a Model, got {type(model).__name__}")
        self.work = Block(self.plan.work_bytes)
        self.blocks, self.free = [], []
        self.texts, self.raws, self.numbers, self.names = {}, {}, {}, {}
        self.slabs = <char**>PyMem_Calloc(n_blocks, sizeof(char*))
        self.generations = <uint32_t*>PyMem_Calloc(capacity, sizeof(uint32_t))
        if self.slabs == NULL or self.generations == NULL:
            raise MemoryError(f"no memory for a pool of {capacity} streams")

    def __dealloc__(self):
        PyMem_Free(self.slabs)
        PyMem_Free(self.generations)

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
        cdef Py_ssize_t slot
        block = None if snapshot is None else unpack(self.model, snapshot, carry)
        table, key = self._key(id)
        self._take()
        try:
            if key in table:
                raise ValueError(f"stream {id!r} is open already")
            if not self.free and self.n_slots == self.capacity:
                raise PoolFull(f"all {self.capacity} streams of the pool are open; close one, or make a larger pool")
            if not self.free:
                self._grow()
            slot = self.free.pop()
            self.generations[slot] += 1
            if block is None:
                self.plan.start(self._state(slot))
            else:
                memcpy(self._state(slot), <const char*><bytes>block, self.plan.state_bytes)
            self.names[slot] = id
            table[key] = handle = Handle((<uint64_t>self.generations[slot] << 32) | <uint64_t>slot)
            return handle
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
        cdef Py_ssize_t slot
        self._take()
        try:
            slot = self._find(stream)
            table, key = self._key(self.names.pop(slot))
            del table[key]
            self.generations[slot] += 1
            self.free.append(slot)
        finally:
            sg_give(&self.busy)

    def handle(self, id):
        """The handle of the open stream *id*; UnknownStream if there is none."""
        table, key = self._key(id)
        if key not in table:
            raise UnknownStream(f"no stream {id!r} is open; open it with pool.open({id!r})")
        return table[key]

    def reset(self, stream):
        """Set a stream, given its id or its handle, back to its start; errors as :meth:`close`."""
        self._take()
        try:
            self.plan.start(self._state(self._find(stream)))
        finally:
            sg_give(&self.busy)

    def snapshot(self, stream):
        """The whole state of a stream, given its id or its handle, as bytes; errors as :meth:`close`.

        A stream takes it as well as a pool does: see :meth:`Stream.snapshot <streamgru.Stream.snapshot>`.
        """
        self._take()
        try:
            return pack(self.model, self._state(self._find(stream))[:self.plan.state_bytes])
        finally:
            sg_give(&self.busy)

    def step(self, ids, X, out=None, status=None, t=None, seq=None):
        """Advance many streams, each by one timestep for each of its rows.

        Parameters
        ----------
        ids : sequence of ids or handles, or ndarray of uint64 handles (n_rows,)
            The stream of each row. Several rows of one stream are taken in order.
        X : array_like (n_rows, n_in)
        out : ndarray (n_rows, n_out), optional
            C-contiguous, of the model's dtype.
        status : ndarray of uint8 (n_rows,), optional
            With it, a bad row does not raise: it is marked here (0 stepped, 1 no such stream,
            2 bad input, 3 the new state would not be finite), its ``y`` is NaN, and the other rows
            are stepped.
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
            Naming the first bad row, before any state changes.
        StreamBusy
            If another thread is using the pool.

        Notes
        -----
        The GIL is released once, for the whole batch.
        """
        cdef Plan plan = self.plan
        cdef cnp.ndarray rows = as_rows(plan, X, status is None)
        cdef Py_ssize_t n_rows = cnp.PyArray_DIM(rows, 0), row, x_bytes = plan.n_in * plan.itemsize
        cdef cnp.ndarray handles = self._handles(ids, n_rows)
        cdef cnp.ndarray y = output_rows(plan, out, n_rows)
        cdef cnp.ndarray times = None if t is None else _clock("t", t, np.float64, n_rows)
        cdef cnp.ndarray seqs = None if seq is None else _clock("seq", seq, np.int64, n_rows)
        # Arrays of our own: what is decided with the GIL released must not be somebody else's to change.
        cdef cnp.ndarray slots = np.empty(n_rows, np.intp)
        cdef cnp.ndarray marks = np.empty(n_rows, np.uint8)
        cdef const char* x_data
        cdef const uint64_t* handle = <const uint64_t*>cnp.PyArray_DATA(handles)   # (n_rows,)
        cdef Py_ssize_t* slot = <Py_ssize_t*>cnp.PyArray_DATA(slots)               # (n_rows,) or -1
        cdef uint8_t* mark = <uint8_t*>cnp.PyArray_DATA(marks)                     # (n_rows,)
        cdef Py_ssize_t bad
        _check_status(status, n_rows)
        rows = apart(rows, y)
        x_data = <const char*>cnp.PyArray_DATA(rows)
        self._take()
        try:
            with nogil:
                for row in range(n_rows):
                    slot[row] = self._slot(handle[row])
                    if slot[row] < 0:
                        mark[row] = UNKNOWN
                    elif plan.load(x_data + row * x_bytes, self.work.data) >= 0:
                        mark[row] = BAD_INPUT
                    else:
                        mark[row] = STEPPED
            if status is None and marks.any():
                row = marks.argmax()
                if mark[row] == UNKNOWN:
                    raise UnknownStream(f"row {row}: no stream {_shown(ids[row])} is open")
                bad = plan.load(x_data + row * x_bytes, self.work.data)
                raise refusal(plan, rows, row, bad)
            self._step_rows(rows, slots, y, marks, times, seqs, status is None)
        finally:
            sg_give(&self.busy)
        if status is not None:
            status[:] = marks
        return y

    def __len__(self):
        """Streams that are open."""
        return len(self.names)

    def __contains__(self, id):
        table, key = self._key(id)
        return key in table

    def __iter__(self):
        """The ids of the streams that are open."""
        return iter(list(self.names.values()))

    def __repr__(self):
        return f"<Pool of {self.model!r}, {len(self)} of {self.capacity} streams>"

    cdef int _step_rows(
        self, cnp.ndarray rows, cnp.ndarray slots, cnp.ndarray y, cnp.ndarray marks,
        cnp.ndarray times, cnp.ndarray seqs, bint strict,
    ) except -1:
        """Step every row whose mark is STEPPED; where *strict*, a row that fails undoes them all."""
        cdef Plan plan = self.plan
        cdef Py_ssize_t n_rows = cnp.PyArray_DIM(rows, 0), row, last = -1
        cdef Py_ssize_t x_bytes = plan.n_in * plan.itemsize, y_bytes = plan.n_out * plan.itemsize
        cdef const char* x_data = <const char*>cnp.PyArray_DATA(rows)
        cdef char* y_data = <char*>cnp.PyArray_DATA(y)
        cdef const Py_ssize_t* slot = <const Py_ssize_t*>cnp.PyArray_DATA(slots)
        cdef uint8_t* mark = <uint8_t*>cnp.PyArray_DATA(marks)
        cdef const double* t = NULL       # (n_rows,)
        cdef const int64_t* seq = NULL    # (n_rows,)
        cdef Block before = Block(n_rows * plan.state_bytes if strict else 0)
        cdef char* state
        cdef int failed = 0
        if times is not None:
            t = <const double*>cnp.PyArray_DATA(times)
        if seqs is not None:
            seq = <const int64_t*>cnp.PyArray_DATA(seqs)
        with nogil:
            for row in range(n_rows):
                if mark[row] != STEPPED:
                    continue
                state = self._state(slot[row])
                if strict:
                    memcpy(before.data + row * plan.state_bytes, state, plan.state_bytes)
                # Somebody may have written to X since the check.
                failed = plan.load(x_data + row * x_bytes, self.work.data) >= 0 or plan.step(state, self.work.data) != 0
                if failed and strict:
                    break
                if failed:
                    mark[row] = DIVERGED
                    continue
                memcpy(y_data + row * y_bytes, plan.output(self.work.data), y_bytes)
                if t != NULL:
                    (<StateHeader*>state).t = t[row]
                if seq != NULL:
                    (<StateHeader*>state).seq = seq[row]
            if failed and strict:
                for last in range(row - 1, -1, -1):
                    memcpy(self._state(slot[last]), before.data + last * plan.state_bytes, plan.state_bytes)
        if failed and strict:
            raise diverged(row)
        if marks.any():
            y[marks != STEPPED] = np.nan
        return 0

    cdef cnp.ndarray _handles(self, ids, Py_ssize_t n_rows):
        """Ids and handles as an array of handles; 0, which no stream has, for an unknown id."""
        if isinstance(ids, (str, bytes)) or not (isinstance(ids, (Sequence, np.ndarray))):
            raise ShapeError(f"ids: expected one for each of {n_rows} rows of X, got {type(ids).__name__}")
        if isinstance(ids, np.ndarray) and ids.dtype == np.uint64:
            handles = np.require(ids, None, ["C", "A"])
        else:
            handles = np.empty(len(ids), np.uint64)
            for row, id in enumerate(ids):
                if isinstance(id, _HANDLES):
                    handles[row] = id
                else:
                    table, key = self._key(id)
                    handles[row] = table.get(key, 0)
        if handles.ndim != 1 or handles.shape[0] != n_rows:
            raise ShapeError(f"ids: expected one for each of {n_rows} rows of X, got shape {handles.shape}")
        return handles

    cdef Py_ssize_t _find(self, stream) except -1:
        cdef Py_ssize_t slot = self._slot(stream if isinstance(stream, _HANDLES) else self.handle(stream))
        if slot < 0:
            raise UnknownStream(f"no stream {_shown(stream)} is open")
        return slot

    cdef tuple _key(self, id):
        """The table for ids of this type, and the key in it."""
        if isinstance(id, str):
            return self.texts, id
        if isinstance(id, bytes):
            return self.raws, id
        if isinstance(id, (int, np.integer)) and not isinstance(id, (bool, *_HANDLES)):
            return self.numbers, str(int(id))
        raise ShapeError(f"id: expected str, bytes or int, got {type(id).__name__}")

    cdef int _grow(self) except -1:
        """Take one more slot into use, with a new block of the slab where the last is full."""
        if self.n_slots % SLOTS == 0:
            block = Block(min(SLOTS, self.capacity - self.n_slots) * self.plan.state_bytes)
            self.blocks.append(block)
            self.slabs[self.n_slots // SLOTS] = (<Block>block).data
        self.free.append(self.n_slots)
        self.n_slots += 1
        return 0

    cdef int _take(self) except -1:
        if not sg_take(&self.busy):
            raise StreamBusy("another thread is using this pool; a pool has one caller at a time")
        return 0

    cdef char* _state(self, Py_ssize_t slot) noexcept nogil:
        return self.slabs[slot // SLOTS] + (slot % SLOTS) * self.plan.state_bytes

    cdef Py_ssize_t _slot(self, uint64_t handle) noexcept nogil:
        """The slot of a handle, or -1 if its stream is not open (any more)."""
        cdef Py_ssize_t slot = <uint32_t>handle
        if slot >= self.n_slots or handle >> 32 != self.generations[slot] or not self.generations[slot] & 1:
            return -1
        return slot


class Handle(int):
    """The slot of an open stream and how often it was used; made by :meth:`Pool.open`."""

    __slots__ = ()


_HANDLES = (Handle, np.uint64)  # an element of an array of handles is one too


def _check_status(status, n_rows):
    if status is not None and not (
        isinstance(status, np.ndarray) and status.dtype == np.uint8
        and status.shape == (n_rows,) and status.flags.carray
    ):
        raise ShapeError(f"status: expected a writable, contiguous uint8 array ({n_rows},)")


cdef cnp.ndarray _clock(str name, values, dtype, Py_ssize_t n_rows):
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ShapeError(f"{name}: expected {n_rows} numbers, got {error}") from None
    if array.shape != (n_rows,) or not (n_rows == 0 or np.can_cast(array.dtype, dtype, "safe")):
        raise ShapeError(f"{name}: expected {np.dtype(dtype)} ({n_rows},), got {array.dtype} {array.shape}")
    return np.require(array, dtype, ["C", "A"])


def _shown(stream):
    return f"of handle {int(stream):#x}" if isinstance(stream, _HANDLES) else repr(stream)
