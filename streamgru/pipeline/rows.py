"""Rows of an origin: what of them belongs together, what each of them says."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.adapters.codecs.base import Named, Predictions, Rows, Signature
from streamgru.errors import RecordError
from streamgru.stream.model import Model


def signature(model: Model) -> Signature:
    """What codecs must know about a model."""
    program = model.spec.main
    features = tuple(name for item in program.inputs for name in (item.features or ()))
    outputs = tuple(
        Named(item.name, item.start, item.stop or model.n_out, item.factor, item.offset, item.labels)
        for item in program.outputs
    )
    return Signature(model.n_in, model.n_out, features if len(features) == model.n_in else (), outputs)


def segments(rows: Rows, n_rows: int) -> Iterator[range]:
    """Cut before every row that restarts its stream and behind every row that ends one."""
    cuts = {0, n_rows}
    for i in range(n_rows) if rows.start or rows.reset or rows.end else ():
        if flag(rows.start, i) or flag(rows.reset, i):
            cuts.add(i)
        if flag(rows.end, i):
            cuts.add(i + 1)
    ordered = sorted(cuts)
    yield from (range(a, b) for a, b in itertools.pairwise(ordered))


def located(rows: Rows, i: int, refused: dict[int, RecordError]) -> str:
    """The error of a row, and the line where it stood."""
    return f"line {rows.lines[i]}: {refused[i]}" if rows.lines else str(refused[i])


def own_id(origin: str) -> bytes:
    """The id of the stream of an origin's records without one: as bytes it can be nobody's id."""
    return origin.encode(errors="surrogateescape")  # it may be a file's name


def stream_id(origin: str, rows: Rows, i: int) -> str | int | bytes:
    """The stream of a row."""
    return own_id(origin) if rows.ids is None or rows.ids[i] == "" else rows.ids[i]


def flag(column: list[bool] | None, i: int) -> bool:
    return bool(column and column[i])


def clock(column: list[Any] | None, index: NDArray[np.intp], missing: float) -> NDArray[Any] | None:
    """The times or numbers of some rows, with *missing* where a record has none."""
    if column is None:
        return None
    return np.array([missing if column[i] is None else column[i] for i in index.tolist()])


def predictions_of(rows: Rows, picked: list[int], y: NDArray[np.floating[Any]], errors: dict[int, str]) -> Predictions:
    """The columns of some rows, beside their outputs."""

    def pick(column: list[Any] | None) -> list[Any] | None:
        return None if column is None else [column[i] for i in picked]

    return Predictions(y, pick(rows.ids), pick(rows.t), pick(rows.seq), errors, pick(rows.objects))
