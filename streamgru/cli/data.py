"""A sequence of inputs from a file, or from the recordings of the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamgru.adapters.codecs.base import Codec
from streamgru.adapters.codecs.csv import CsvCodec
from streamgru.adapters.codecs.ndjson import NdjsonCodec
from streamgru.errors import FormatError, InputError, RecordError, ShapeError
from streamgru.formats import npz_file, zip_file
from streamgru.formats.builtin import recordings
from streamgru.formats.files import read_bytes
from streamgru.pipeline.rows import signature
from streamgru.stream.model import Model
from streamgru.stream.stream import Stream

BLOCK_MACS = 200_000_000  # multiply-adds between two moments at which Ctrl-C is heard: some tenths of a second
STEP_MACS = 1000  # that a step takes as long as, beside its own
CODECS: dict[str, type[Codec]] = {".csv": CsvCodec, ".ndjson": NdjsonCodec, ".jsonl": NdjsonCodec}


class Sequence(NamedTuple):
    """Inputs of one stream."""

    x: NDArray[Any]  # (n_steps, n_in)
    title: str
    names: tuple[str, ...]  # of the columns, with units where they are known
    rate_hz: float | None


def read_sequence(source: str, model: Model) -> Sequence:
    """Read ``builtin:N``, or a file whose ending tells what it is: npy, npz, csv, ndjson or jsonl.

    Raises
    ------
    InputError
        If its numbers do not fit the model.
    FormatError, RecordError
        If it cannot be understood.
    """
    if source.startswith("builtin:"):
        return _builtin(source)
    path = Path(source)
    kind = path.suffix.lower()
    if kind not in (".npy", ".npz", *CODECS):
        raise FormatError(f"{path}: expected builtin:N, or a file that ends in .npy, .npz, {', '.join(CODECS)}")
    x = _decoded(path, CODECS[kind], model) if kind in CODECS else _array(path)
    if x.ndim != 2 or x.shape[1] != model.n_in or not len(x) or x.dtype.kind not in "fiu":
        raise ShapeError(f"{path}: expected numbers of shape (n_steps, {model.n_in}), got {x.dtype} {x.shape}")
    names = signature(model).features or tuple(f"x{i}" for i in range(model.n_in))
    return Sequence(x, path.name, names, None)


def outputs(model: Model, source: str, x: NDArray[Any]) -> NDArray[Any]:
    """Run a sequence from its start: (n_answers, n_out). InputError, naming *source* and the row, if one is refused."""
    if not model.streams:
        try:
            whole: NDArray[Any] = model.run(x[None])[0]
            return whole
        except InputError as error:
            raise type(error)(f"{source}: {str(error).removeprefix('stream 0: ')}") from None
    stream = model.stream()
    block = max(1, BLOCK_MACS // (model.plan.n_macs + STEP_MACS))
    found = [np.empty((0, model.n_out), model.dtype)]
    for k in range(0, len(x), block):
        try:
            found.append(stream.run(x[k : k + block]))
        except InputError as error:
            raise refused(stream, source, x, k) or error from None
    return np.concatenate(found)


def refused(stream: Stream, source: str, x: NDArray[Any], start: int) -> InputError | None:
    """The error of the first row from *start* on that a stream refuses, naming its source and the row."""
    for row in range(start, len(x)):
        try:
            stream.step(x[row])
        except InputError as error:
            return type(error)(f"{source}: row {row}: {str(error).removeprefix('row 0: ')}")
    return None


def _builtin(source: str) -> Sequence:
    data = recordings()
    number = source.removeprefix("builtin:")
    if number not in (str(i + 1) for i in range(len(data.items))):
        raise InputError(f"{source}: expected builtin:1 to builtin:{len(data.items)}")
    item = data.items[int(number) - 1]
    title = f"{data.labels[item.label]}, person {item.subject}, {item.side} arm"
    return Sequence(item.x, title, data.channels, data.rate_hz)


def _array(path: Path) -> NDArray[Any]:
    """The array of a .npy file; of an .npz the one called x, or the only one."""
    data = read_bytes(path)
    if not data.startswith(zip_file.MAGIC):
        return npz_file.parse(data, str(path))
    found = npz_file.Npz(zip_file.members(data, str(path)), str(path))
    name = next(iter(found)) if len(found) == 1 else "x"
    if name not in found:
        raise FormatError(f"{path}: expected an array called x, got {', '.join(found)[:200]}")
    return found[name]


def _decoded(path: Path, codec: type[Codec], model: Model) -> NDArray[np.float64]:
    """The records of a text file."""
    decoder = codec(signature(model)).decoder()
    blocks = [decoder.feed(read_bytes(path)), decoder.finish(cut=False)]
    x: list[Any] = []
    ids: set[str | int] = set()
    for rows in blocks:
        for i, error in sorted(rows.errors.items()):
            line = rows.lines[i] if rows.lines else i + 1
            raise RecordError(f"{path}: line {line}: {error}")
        x.extend(rows.x)
        ids.update(rows.ids or ())
    if len(ids) > 1:
        raise InputError(f"{path}: expected one stream, got records of {len(ids)}")
    return np.array(x, np.float64).reshape(len(x), model.n_in)  # None becomes NaN
