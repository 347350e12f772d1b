"""The state of a stream as bytes, and back.

::

    magic     8 bytes  b"SGRUSNAP"
    version   u16      1
    reserved  u16      0
    length    u32      bytes of the payload
    model    32 bytes  fingerprint: sha256 of spec and tensors
    layout   32 bytes  state_layout: sha256 of names, sizes and dtype of the state alone
    payload            t (f64), seq (i64), n_steps (i64), then every layer's state in order
    checksum 16 bytes  blake2b of everything before

All numbers are little-endian.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import numpy as np

from streamgru.errors import SnapshotError

if TYPE_CHECKING:
    from streamgru.stream.model import Model

MAGIC = b"SGRUSNAP"
VERSION = 1
MOST_STEPS = 1 << 62  # what a stream adds to it will not overflow
_HEAD = struct.Struct("<8sHHI32s32s")
_CLOCK = struct.Struct("<dqq")
_CHECKSUM_BYTES = 16


def pack(model: Model, block: bytes) -> bytes:
    """Turn a state block into a snapshot."""
    state = np.frombuffer(block, model.dtype)
    little = model.dtype.newbyteorder("<")
    payload = _CLOCK.pack(*struct.unpack_from("=dqq", block)) + b"".join(
        state[entry.offset : entry.offset + entry.size].astype(little).tobytes() for entry in model.plan.layout.state
    )
    head = _HEAD.pack(
        MAGIC, VERSION, 0, len(payload), bytes.fromhex(model.fingerprint), bytes.fromhex(model.state_layout)
    )
    return head + payload + _checksum(head + payload)


def unpack(model: Model, blob: bytes, carry: bool = False) -> bytes:
    """Turn a snapshot back into a state block of *model*.

    With *carry* the snapshot may come from another model, as long as its state has the same layout.

    Raises
    ------
    SnapshotError
        If the snapshot is damaged, of a newer version, of another model, or of another layout.
    """
    if not isinstance(blob, (bytes, bytearray, memoryview)):
        raise SnapshotError(f"snapshot: expected bytes, got {type(blob).__name__}")
    blob = bytes(blob)
    if len(blob) < _HEAD.size + _CHECKSUM_BYTES or not blob.startswith(MAGIC):
        raise SnapshotError(f"snapshot: expected bytes that begin with {MAGIC!r}, got {len(blob)} bytes {blob[:8]!r}")
    _, version, reserved, length, fingerprint, state_layout = _HEAD.unpack_from(blob)
    if _checksum(blob[:-_CHECKSUM_BYTES]) != blob[-_CHECKSUM_BYTES:]:
        raise SnapshotError(f"snapshot: the checksum of its {len(blob)} bytes does not match; it is damaged")
    if version != VERSION or reserved:
        raise SnapshotError(f"snapshot: expected version {VERSION}, got {version}" + " with flags" * bool(reserved))
    if state_layout.hex() != model.state_layout:
        raise SnapshotError(
            f"snapshot: expected state layout {model.state_layout[:12]}, got {state_layout.hex()[:12]}; "
            "it is of a network with other layers, sizes or dtype"
        )
    if fingerprint.hex() != model.fingerprint and not carry:
        raise SnapshotError(
            f"snapshot: expected model {model.fingerprint[:12]}, got {fingerprint.hex()[:12]}; "
            "restore it with carry=True if the state shall be carried over to this model"
        )
    payload = blob[_HEAD.size : -_CHECKSUM_BYTES]
    expected = _CLOCK.size + sum(entry.size for entry in model.plan.layout.state) * model.dtype.itemsize
    if not len(payload) == length == expected:
        raise SnapshotError(f"snapshot: expected {expected} bytes of state, got {len(payload)}, said to be {length}")
    n_steps = _CLOCK.unpack_from(payload)[2]
    if not 0 <= n_steps <= MOST_STEPS:
        raise SnapshotError(f"snapshot: expected a number of steps from 0 to 2**62, got {n_steps}")
    return _block(model, payload)


def _block(model: Model, payload: bytes) -> bytes:
    layout = model.plan.layout
    state = np.zeros(layout.n_state, model.dtype)
    little = model.dtype.newbyteorder("<")
    at = _CLOCK.size
    for entry in layout.state:
        values = np.frombuffer(payload, little, entry.size, at)
        if not np.isfinite(values).all():
            raise SnapshotError(f"snapshot: the state of {entry.name!r} holds NaN or infinity")
        state[entry.offset : entry.offset + entry.size] = values
        at += values.nbytes
    block = bytearray(state.tobytes())
    struct.pack_into("=dqq", block, 0, *_CLOCK.unpack_from(payload))
    return bytes(block)


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_CHECKSUM_BYTES).digest()
