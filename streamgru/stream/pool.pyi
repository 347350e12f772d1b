"""Many hidden states of one model, stepped together."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamgru.stream.ids import Ended, Handle, Id
from streamgru.stream.model import Model

class Pool:
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
    def __new__(cls, model: Model, capacity: int, threads: int = 1) -> Self: ...
    @property
    def model(self) -> Model: ...
    @property
    def capacity(self) -> int:
        """The most streams that can be open at once."""
    @property
    def threads(self) -> int:
        """Threads that share a large batch."""
    def open(self, id: Id, snapshot: bytes | None = None, *, carry: bool = False) -> Handle:
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
    def close(self, stream: Id | Handle) -> None:
        """End a stream, given its id or its handle; its slot is free for another one.

        Raises
        ------
        UnknownStream
            If there is none, or not any more.
        StreamBusy
            If another thread is using the pool.
        """
    def handle(self, id: Id) -> Handle:
        """The handle of the open stream *id*; UnknownStream if there is none, StreamBusy as :meth:`close`."""
    def reset(self, stream: Id | Handle) -> None:
        """Set a stream, given its id or its handle, back to its start; errors as :meth:`close`."""
    def snapshot(self, stream: Id | Handle) -> bytes:
        """The whole state of a stream, given its id or its handle, as bytes; errors as :meth:`close`.

        A stream takes it as well as a pool does: see :meth:`Stream.snapshot <streamgru.Stream.snapshot>`.
        """
    def snapshots(self, streams: Iterable[Id | Handle] | None = None) -> dict[Id, bytes]:
        """The whole states of some streams, or of all that are open: a dict from their ids to bytes.

        Parameters
        ----------
        streams : iterable of ids or handles, optional

        Raises
        ------
        UnknownStream, StreamBusy
            As :meth:`close`.
        """
    def restore(self, snapshots: Mapping[Id, bytes], *, carry: bool = False) -> None:
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
    def expire(self, idle_s: float) -> list[Ended]:
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
    def step(
        self,
        ids: Sequence[Id | Handle] | NDArray[Any],
        X: ArrayLike,
        out: NDArray[np.floating[Any]] | None = None,
        status: NDArray[np.uint8] | None = None,
        t: ArrayLike | None = None,
        seq: ArrayLike | None = None,
        due: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.floating[Any]]:
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
    def __len__(self) -> int:
        """Streams that are open."""
    def __contains__(self, id: object, /) -> bool: ...
    def __iter__(self) -> Iterator[Id]:
        """The ids of the streams that are open."""
