"""What the checks send, and how what comes is compared with it."""

from __future__ import annotations

import random
from collections.abc import Sequence

from streamgru.adapters.testing.peers import Peer


def numbered(count: int) -> list[bytes]:
    """Give items that differ, of sizes that differ."""
    return [f"{number}:{'x' * (number * 7 % 50)}\n".encode() for number in range(count)]


def hostile(peer: Peer, framing: str) -> list[bytes]:
    """Give items that are easily mangled; as many as the peer's transport carries."""
    items = [
        b"\x00",
        b"\n",
        b"\r\n\r\n",
        bytes(range(256)),
        b"\xff\xfe\xc3\x28\xed\xa0\x80",
        "\u2028\ufeff\u00e9".encode(),
        b"\x04\x1a\x1b[2J\x7f",
        b"   ",
        random.Random(1).randbytes(min(peer.max_item, 1 << 20)),
        b"the end\n",
    ]
    if framing == "message" and peer.empty_items:
        items.insert(1, b"")
    return [item for item in items if len(item) <= peer.max_item]


def first_difference(sent: Sequence[bytes], got: Sequence[bytes], framing: str) -> str:
    """Tell in words where *got* first differs from *sent*; empty if nowhere."""
    if framing == "stream":
        return _at_byte(b"".join(sent), b"".join(got))
    for index, (expected, came) in enumerate(zip(sent, got, strict=False)):
        if expected != came:
            return f"message {index}: expected {_short(expected)}, got {_short(came)}"
    if len(sent) != len(got):
        return f"expected {len(sent)} messages, got {len(got)}, the last {_short(got[-1]) if got else 'none'}"
    return ""


def _at_byte(expected: bytes, came: bytes) -> str:
    if expected == came:
        return ""
    pairs = enumerate(zip(expected, came, strict=False))
    at = next((i for i, (one, other) in pairs if one != other), min(len(expected), len(came)))
    there, here = expected[at : at + 40], came[at : at + 40]
    return f"expected {len(expected)} bytes, got {len(came)}; from byte {at} on expected {there!r}, got {here!r}"


def _short(item: bytes) -> str:
    return repr(item) if len(item) <= 60 else f"{item[:50]!r}... ({len(item)} bytes)"
