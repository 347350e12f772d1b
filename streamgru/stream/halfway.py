"""A generator that is halfway, as bytes and back.

::

    magic     8 bytes  b"SGRUHALF"
    version   u16      1
    choice    u16      0 argmax, 1 sample, 2 value
    first     u32      y[first:first + size] is what is chosen from
    size      u32
    stop      i64      the token that ends it, or -1
    limit     i64
    n         i64      answers so far; the next random number is that of this count
    seed      u64
    temperature f64
    x         f64 each the next input (n_in,)
    stream             the snapshot of the stream
    checksum 16 bytes  blake2b of everything before

All numbers are little-endian.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from streamgru.errors import SnapshotError, SpecError
from streamgru.model.programs import check_feedback
from streamgru.model.spec import Feedback
from streamgru.stream.generate import CHOICES, Generator
from streamgru.stream.generation import MAX_TEMPERATURE, fed
from streamgru.stream.vocabulary import vocabulary_of

if TYPE_CHECKING:
    from streamgru.stream.model import Model

MAGIC = b"SGRUHALF"
VERSION = 1
_HEAD = struct.Struct("<8sHHIIqqqQd")
_CHECKSUM_BYTES = 16


def pack(generator: Generator) -> bytes:
    """Turn a generator into bytes."""
    x, *numbers = generator.settings()
    head = _HEAD.pack(MAGIC, VERSION, *numbers) + x.astype("<f8").tobytes()
    body = head + generator.stream.snapshot()
    return body + _checksum(body)


def unpack(model: Model, blob: bytes) -> Generator:
    """Turn the bytes back into a generator of *model*.

    Raises
    ------
    SnapshotError
        If they are damaged, of a newer version, or of another model.
    """
    if not isinstance(blob, (bytes, bytearray, memoryview)):
        raise SnapshotError(f"generator: expected bytes, got {type(blob).__name__}")
    blob = bytes(blob)
    if len(blob) < _HEAD.size + _CHECKSUM_BYTES or not blob.startswith(MAGIC):
        raise SnapshotError(f"generator: expected bytes that begin with {MAGIC!r}, got {len(blob)} bytes {blob[:8]!r}")
    if _checksum(blob[:-_CHECKSUM_BYTES]) != blob[-_CHECKSUM_BYTES:]:
        raise SnapshotError(f"generator: the checksum of its {len(blob)} bytes does not match; it is damaged")
    _, version, choice, first, size, stop, limit, n, seed, temperature = _HEAD.unpack_from(blob)
    if version != VERSION:
        raise SnapshotError(f"generator: expected version {VERSION}, got {version}")
    name, program, feedback = fed(model)
    writer = model.programs[name]
    begin = _HEAD.size + 8 * writer.n_in
    stream = writer.restore(blob[begin:-_CHECKSUM_BYTES])
    x = np.frombuffer(blob, "<f8", writer.n_in, _HEAD.size)
    choices = list(CHOICES)
    fits = choice < len(choices) and 0 <= temperature <= MAX_TEMPERATURE and 0 <= n <= limit and stop >= -1
    if not fits or not np.isfinite(x).all():
        raise SnapshotError("generator: it is of a network that is fed otherwise")
    given = {"choose": choices[choice], "stop": None if stop < 0 else stop, "limit": limit}
    if choices[choice] != "value":
        given["start"] = int(x[0]) if x[0] == int(x[0]) else -1  # the next input, held against the vocabulary
    try:
        asked = msgspec.convert(msgspec.structs.asdict(feedback) | given, Feedback)
        part = check_feedback(program, asked, writer.n_out)
    except (msgspec.ValidationError, SpecError) as error:
        raise SnapshotError(f"generator: it is of a network that is fed otherwise: {error}") from None
    if part != slice(first, first + size):
        raise SnapshotError("generator: it is of a network that is fed otherwise")
    return Generator(
        stream, x, part, choices[choice], stop=None if stop < 0 else stop, limit=limit,
        temperature=temperature, seed=seed, vocabulary=vocabulary_of(program.inputs[0]), n=n,
    )  # fmt: skip


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_CHECKSUM_BYTES).digest()
