"""Ids of streams: str, bytes or int, chosen by strangers. ``1`` and ``"1"`` are two streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import ShapeError

Id: TypeAlias = str | bytes | int


class Handle(int):
    """The slot of an open stream and how often it was used; made by :meth:`Pool.open <streamgru.Pool.open>`."""

    __slots__ = ()


def is_handle(stream: object) -> bool:
    """Whether it is a handle, alone or an element of an array of them."""
    return isinstance(stream, (Handle, np.uint64))


class Ended(NamedTuple):
    """A stream that was ended because nothing came for it."""

    id: Id
    snapshot: bytes
    """Its last state; :meth:`Pool.open <streamgru.Pool.open>` and ``Model.restore`` go on from it."""
    idle_s: float
    """Seconds since its last step."""


class Ids:
    """The slots of the open streams, by id."""

    def __init__(self) -> None:
        # An int is kept as text, in hexadecimal: a dict keys its hash for text alone, and strangers could choose
        # ints that collide.
        self._of_text: dict[str, int] = {}
        self._of_bytes: dict[bytes, int] = {}
        self._of_number: dict[str, int] = {}

    def get(self, id: Id) -> int | None:
        """The slot of an id, None if no such stream is open; ShapeError if it is no id."""
        table, key = self._place(id)
        return table.get(key)

    def add(self, id: Id, slot: int) -> None:
        """A stream has been opened."""
        table, key = self._place(id)
        table[key] = slot

    def remove(self, id: Id) -> None:
        """A stream has ended; nothing happens if it was not there."""
        table, key = self._place(id)
        table.pop(key, None)

    def _place(self, id: Any) -> tuple[dict[Any, int], Any]:
        if isinstance(id, str):
            return self._of_text, id
        if isinstance(id, bytes):
            return self._of_bytes, id
        if isinstance(id, (int, np.integer)) and not (isinstance(id, bool) or is_handle(id)):
            return self._of_number, f"{int(id):x}"  # in decimal, Python refuses the longest ones
        raise ShapeError(f"id: expected str, bytes or int, got {type(id).__name__}")


def may_be_open(handle: int) -> bool:
    """Whether it is within 64 bits, as all handles are."""
    return 0 <= int(handle) < 1 << 64


def shown(stream: Any) -> str:
    """A stream as errors name it, given its id or its handle."""
    if is_handle(stream):
        return f"of handle {int(stream):#x}"
    if isinstance(stream, np.integer):
        return f"{int(stream)} (an id, being {stream.dtype}; handles in an array are uint64)"
    return f"{stream:#x}" if isinstance(stream, int) and stream.bit_length() > 64 else repr(stream)


def as_handles(ids: Any, n_rows: int, handle_of: Callable[[Id], int]) -> NDArray[np.uint64]:
    """Ids and handles as an array of handles (n_rows,); 0, which no stream has, for what is none."""
    if isinstance(ids, (str, bytes)) or not isinstance(ids, (Sequence, np.ndarray)) or getattr(ids, "ndim", 1) != 1:
        raise ShapeError(f"ids: expected one for each of {n_rows} rows of X, got {_described(ids)}")
    if isinstance(ids, np.ndarray) and ids.dtype == np.uint64:
        handles = np.require(ids, None, ["C", "A"])
    else:
        handles = np.empty(len(ids), np.uint64)
        for row, id in enumerate(ids):
            if is_handle(id):
                handles[row] = id if may_be_open(id) else 0
            else:
                handles[row] = handle_of(id)
    if len(handles) != n_rows:
        raise ShapeError(f"ids: expected one for each of {n_rows} rows of X, got shape {handles.shape}")
    return handles


def _described(ids: Any) -> str:
    return f"shape {ids.shape}" if isinstance(ids, np.ndarray) else type(ids).__name__
