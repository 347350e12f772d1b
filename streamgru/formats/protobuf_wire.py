"""The wire format of protocol buffers, as far as a file of a model needs it: fields of numbers and of bytes.

Nothing here recurses: a message within a message is bytes, which the caller walks through in its turn, or not.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import FormatError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT_BYTES = 10

Field = tuple[int, int, int | memoryview]


def fields(data: memoryview) -> Iterator[Field]:
    """Walk through a message.

    Yields
    ------
    number, wire_type, value
        *value* is an int below 2**64 for numbers, a view of the bytes for all else.

    Raises
    ------
    FormatError
        If the bytes are no message; nothing is read past their end.
    """
    at, size = 0, len(data)
    while at < size:
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if not 1 <= number < 1 << 29:
            raise FormatError(f"protobuf: expected the number of a field, got {number}")
        value: int | memoryview
        if wire_type == VARINT:
            value, at = _varint(data, at)
        elif wire_type in (FIXED64, FIXED32):
            width = 8 if wire_type == FIXED64 else 4
            value, at = int.from_bytes(_bytes(data, at, width), "little"), at + width
        elif wire_type == BYTES:
            length, at = _varint(data, at)
            value, at = _bytes(data, at, length), at + length
        else:
            raise FormatError(f"protobuf: field {number}: expected a wire type of 0, 1, 2 or 5, got {wire_type}")
        yield number, wire_type, value


def varints(data: memoryview) -> NDArray[np.uint64]:
    """Numbers packed one behind the other, modulo 2**64."""
    raw = np.frombuffer(data, np.uint8)
    if not raw.size:
        return np.zeros(0, np.uint64)
    ends = np.flatnonzero(raw < 0x80)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if not ends.size or ends[-1] != raw.size - 1 or (ends - starts).max() >= MAX_VARINT_BYTES:
        raise FormatError("protobuf: expected packed numbers of at most 10 bytes each, got something else")
    place = np.arange(raw.size) - np.repeat(starts, ends - starts + 1)
    bits = (raw & 0x7F).astype(np.uint64) << (7 * place).astype(np.uint64)
    return np.asarray(np.add.reduceat(bits, starts), np.uint64)


def signed(value: int) -> int:
    """The int64 that a varint stands for."""
    return value - (1 << 64) if value >> 63 else value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for k, byte in enumerate(data[at : at + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * k
        if byte < 0x80:
            return value & (1 << 64) - 1, at + k + 1
    raise FormatError("protobuf: a number has no end")


def _bytes(data: memoryview, at: int, length: int) -> memoryview:
    if length > len(data) - at:
        raise FormatError(f"protobuf: expected {length} bytes, got the {len(data) - at} that are left")
    return data[at : at + length]
