"""Ids of streams: str, bytes or int, chosen by strangers. ``1`` and ``"1"`` are two streams."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

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
        # An int is kept as text: a dict keys its hash for text alone, and strangers could choose ints that collide.
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
        """A stream has ended."""
        table, key = self._place(id)
        del table[key]

    def _place(self, id: Any) -> tuple[dict[Any, int], Any]:
        if isinstance(id, str):
            return self._of_text, id
        if isinstance(id, bytes):
            return self._of_bytes, id
        if isinstance(id, (int, np.integer)) and not (isinstance(id, bool) or is_handle(id)):
            return self._of_number, str(int(id))
        raise ShapeError(f"id: expected str, bytes or int, got {type(id).__name__}")


def shown(stream: Any) -> str:
    """A stream as errors name it, given its id or its handle."""
    return f"of handle {int(stream):#x}" if is_handle(stream) else repr(stream)
