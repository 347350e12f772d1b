"""The two kinds of heaps of an HDF5 file, walked through before the HDF5 library does: it would never come back."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from streamgru.errors import FormatError

TEXTS = b"GCOL\x01\0\0\0"  # a collection of long texts: then its size
TEXT = struct.Struct("<H6xQ")  # index and size, before each text
NAMES = b"HEAP\0\0\0\0"  # the names in a group: then size, first free place and address
HOLE = struct.Struct("<QQ")  # the next free place, and the size of this one
LAST = 1  # instead of a next free place


def check_heaps(data: bytes, where: str) -> None:
    """Walk through every heap as the library would.

    Raises
    ------
    FormatError
        If that would never come to an end.
    """
    for at in _places(data, TEXTS):
        _check_texts(data, at, where)
    for at in _places(data, NAMES):
        _check_holes(data, at, where)


def _places(data: bytes, magic: bytes) -> Iterator[int]:
    at = data.find(magic)
    while at >= 0:
        yield at
        at = data.find(magic, at + 1)


def _check_texts(data: bytes, at: int, where: str) -> None:
    """No text may be so short that the next one begins where it does."""
    end, item = at + int.from_bytes(data[at + 8 : at + 16], "little"), at + 16
    while item + TEXT.size <= min(end, len(data)):
        index, n_bytes = TEXT.unpack_from(data, item)
        # Index 0 is the space that is left, and counts its own header.
        item += TEXT.size + -(-n_bytes // 8) * 8 if index else n_bytes
        if item > end or (index == 0 and n_bytes < TEXT.size):
            raise FormatError(f"{where}: damaged: texts of impossible lengths")


def _check_holes(data: bytes, at: int, where: str) -> None:
    """The list of what is free must not come back to a place where it was."""
    size, hole, address = (int.from_bytes(data[i : i + 8], "little") for i in (at + 8, at + 16, at + 24))
    seen = set()
    while hole != LAST:
        if hole in seen or hole + HOLE.size > size or address + hole + HOLE.size > len(data):
            raise FormatError(f"{where}: damaged: a list of free places that does not end")
        seen.add(hole)
        hole, _ = HOLE.unpack_from(data, address + hole)
