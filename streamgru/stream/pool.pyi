"""Many hidden states of one model, stepped together."""

from collections.abc import Iterator, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamgru.stream.model import Model

_Id: TypeAlias = str | bytes | int

class Pool:
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
    def __new__(cls, model: Model, capacity: int) -> Self: ...
    @property
    def model(self) -> Model: ...
    @property
    def capacity(self) -> int: ...
    def open(self, id: _Id, snapshot: bytes | None = None, *, carry: bool = False) -> Handle:
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
    def close(self, stream: _Id | Handle) -> None:
        """End a stream, given its id or its handle; its slot is free for another one.

        Raises
        ------
        UnknownStream
            If there is none, or not any more.
        StreamBusy
            If another thread is using the pool.
        """
    def handle(self, id: _Id) -> Handle:
        """The handle of the open stream *id*; UnknownStream if there is none."""
    def reset(self, stream: _Id | Handle) -> None:
        """Set a stream, given its id or its handle, back to its start; errors as :meth:`close`."""
    def snapshot(self, stream: _Id | Handle) -> bytes:
        """The whole state of a stream, given its id or its handle, as bytes; errors as :meth:`close`.

        A stream takes it as well as a pool does: see :meth:`Stream.snapshot <streamgru.Stream.snapshot>`.
        """
    def step(
        self,
        ids: Sequence[_Id | Handle] | NDArray[Any],
        X: ArrayLike,
        out: NDArray[np.floating[Any]] | None = None,
        status: NDArray[np.uint8] | None = None,
        t: ArrayLike | None = None,
        seq: ArrayLike | None = None,
    ) -> NDArray[np.floating[Any]]:
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
    def __len__(self) -> int:
        """Streams that are open."""
    def __contains__(self, id: object, /) -> bool: ...
    def __iter__(self) -> Iterator[_Id]:
        """The ids of the streams that are open."""

class Handle(int):
    """The slot of an open stream and how often it was used; made by :meth:`Pool.open`."""
