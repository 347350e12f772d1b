"""How long the texts are that an HDF5 object has for attributes, found without the HDF5 library.

The library reserves for each text the length that the file claims, up to 4 GiB, before it looks whether the text
is there. So the claims are read here first, straight from the header of the object.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from streamgru.errors import FormatError

MAX_BLOCKS = 64  # that a header may be continued in
ATTRIBUTE, CONTINUATION = 0x0C, 0x10  # types of messages
LONG_TEXT = 9  # class of a datatype: its elements are (length, address, index) of what is kept elsewhere
CLAIM = struct.Struct("<I12x")


def claimed(data: bytes, address: int, what: str) -> dict[str, int]:
    """The attributes of the object whose header is at *address*, with the lengths of their long texts added up.

    Raises
    ------
    FormatError
        If there is no header, or it is damaged.
    """
    try:
        return dict(_lengths(body) for body in _attributes(data, address))
    except (struct.error, IndexError, ValueError) as error:
        raise FormatError(f"{what}: the header of the object is damaged: {error}") from None


def _attributes(data: bytes, address: int) -> Iterator[bytes]:
    """The messages that are attributes, in all blocks of a header."""
    new = data[address : address + 4] == b"OHDR"
    if new:
        flags = data[address + 5]
        start = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        blocks = [(start + width, int.from_bytes(data[start : start + width], "little"))]
        form = struct.Struct("<BHB2x" if flags & 4 else "<BHB")
    else:
        if data[address] != 1:
            raise ValueError(f"expected version 1 or 2, got {data[address]}")
        blocks = [(address + 16, *struct.unpack_from("<I", data, address + 8))]
        form = struct.Struct("<HHB3x")
    for done in range(MAX_BLOCKS):
        if done == len(blocks):
            return
        at, size = blocks[done]
        end = at + size
        while at + form.size <= end:
            kind, n_bytes, _ = form.unpack_from(data, at)
            body = data[at + form.size : min(at + form.size + n_bytes, end)]
            at += form.size + n_bytes
            if kind == ATTRIBUTE:
                yield body
            elif kind == CONTINUATION:
                where, length = struct.unpack_from("<QQ", body)
                blocks.append((where + 4, length - 8) if new else (where, length))  # OCHK before, a checksum behind
    raise ValueError(f"expected at most {MAX_BLOCKS} blocks")


def _lengths(body: bytes) -> tuple[str, int]:
    """The name of an attribute, and the lengths of its texts: 0 where these stand in the message itself."""
    version, shared, n_name, n_type, n_space = struct.unpack_from("<BBHHH", body)
    if version not in (1, 2, 3) or (version > 1 and shared):
        raise ValueError(f"expected an attribute of version 1 to 3 that shares nothing, got {version}")
    at = 9 if version == 3 else 8
    name = body[at : at + n_name].split(b"\0")[0].decode("utf-8")
    sizes = [-(-n // 8) * 8 if version == 1 else n for n in (n_name, n_type, n_space)]
    if body[at + sizes[0]] & 0x0F != LONG_TEXT:
        return name, 0
    elements = body[at + sum(sizes) :]
    whole = len(elements) // CLAIM.size * CLAIM.size
    return name, sum(length for (length,) in CLAIM.iter_unpack(elements[:whole]))
