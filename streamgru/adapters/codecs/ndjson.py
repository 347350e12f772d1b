"""JSON, one record a line: ``[1, 2]`` or ``{"id": "a", "t": 0.5, "x": [1, 2]}``.

A bare array in gives a bare array out; an object in gives an object out, with ``id``, ``t`` and ``seq``
repeated and ``y``, or one field per named output, added. An error is ``{"error": "..."}``.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Annotated, Any

import msgspec
import numpy as np

from streamgru.adapters.codecs.base import (
    MAX_ID,
    Codec,
    Decoder,
    Encoder,
    LineDecoder,
    Named,
    Numbers,
    Predictions,
    Rows,
    Signature,
    printable,
)
from streamgru.errors import RecordError

Int64 = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Id = Annotated[str, msgspec.Meta(max_length=MAX_ID)]


class Record(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One timestep of one stream."""

    x: Numbers
    id: Id | Int64 = ""
    t: float | None = None
    seq: Int64 | None = None
    start: bool = False
    end: bool = False
    reset: bool = False


_KEYS = re.compile(rb'"(x|id|t|seq|start|end|reset)"\s*:')
_arrays = msgspec.json.Decoder(list[float])
_records = msgspec.json.Decoder(Numbers | Record)
_encoder = msgspec.json.Encoder()


class NdjsonCodec(Codec):
    """The default codec: newline-delimited JSON."""

    name = "ndjson"

    def decoder(self) -> Decoder:
        # A JSON value tells by itself whether it is complete, so an unterminated last line can be trusted.
        return LineDecoder(self.signature.max_record, self._parse, trust_cut_end=True)

    def encoder(self) -> Encoder:
        return NdjsonEncoder(self.signature)

    def _parse(self, lines: list[bytes]) -> Rows:
        n_in = self.signature.n_in
        try:  # the common case, a block of bare arrays, in one go
            # decode_lines does not insist on one array a line; as many arrays as lines that begin with one do.
            block = _arrays.decode_lines(b"\n".join(lines))
            one_each = len(block) == len(lines) and all(line[:1] == b"[" for line in lines)
            if one_each and all(len(x) == n_in for x in block):
                return Rows(np.array(block, np.float64).reshape(-1, n_in))
        except msgspec.MsgspecError:
            pass
        records: list[Record] = []
        objects: list[bool] = []
        numbers: list[int] = []
        errors: dict[int, RecordError] = {}
        for number, line in enumerate(lines):
            if line.strip():
                record, is_object, error = self._one(line)
                if error is not None:
                    errors[len(records)] = error
                records.append(record)
                objects.append(is_object)
                numbers.append(number)
        return _with_columns(Rows([], errors=errors, objects=objects if any(objects) else None, lines=numbers), records)

    def _one(self, line: bytes) -> tuple[Record, bool, RecordError | None]:
        """One line as a record, whether it was an object, and what is wrong with it."""
        n_in = self.signature.n_in
        blank: Numbers = [0.0] * n_in
        try:
            record = _records.decode(line)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            why = "; is this CSV? then --codec csv" if _looks_like_csv(line) else f": {error}"
            what = f"expected a JSON array of numbers, or an object with x{why}"
            return Record(blank), line.lstrip().startswith(b"{"), RecordError(what)
        is_object = isinstance(record, Record)
        if not isinstance(record, Record):
            record = Record(record)
        problem = None
        if len(record.x) != n_in:
            problem = RecordError(f"x: expected {n_in} numbers, got {len(record.x)}")
        elif is_object and _gives_twice(line):
            problem = RecordError("a field is given twice")
        if problem is not None:
            record = msgspec.structs.replace(record, x=blank)
        return record, is_object, problem


class NdjsonEncoder(Encoder):
    """Predictions as JSON, one line each."""

    def __init__(self, signature: Signature) -> None:
        self._outputs = signature.outputs

    def encode(self, predictions: Predictions) -> list[bytes]:
        y = printable(predictions.y)
        objects = predictions.objects
        if objects is None and not predictions.errors:
            return [_encoder.encode(row) + b"\n" for row in y]
        lines = []
        for i, row in enumerate(y):
            answer: Any = row
            if i in predictions.errors:
                answer = self._head(predictions, i) | {"error": predictions.errors[i]}
            elif objects is not None and objects[i]:
                answer = self._head(predictions, i) | fields(row, self._outputs)
            lines.append(_encoder.encode(answer) + b"\n")
        return lines

    def _head(self, predictions: Predictions, i: int) -> dict[str, Any]:
        head: dict[str, Any] = {}
        for name in ("id", "t", "seq"):
            column = predictions.ids if name == "id" else getattr(predictions, name)
            if column is not None and column[i] not in (None, ""):
                head[name] = column[i]
        return head


def fields(row: list[float], outputs: tuple[Named, ...]) -> dict[str, Any]:
    """The fields of one prediction: ``y``, or one per named output and its label."""
    if not outputs:
        return {"y": row}
    answer: dict[str, Any] = {}
    labelled = [output for output in outputs if output.labels]
    for output in outputs:
        part = row[output.start : output.stop]
        if (output.factor, output.offset) != (1.0, 0.0):
            part = [value * output.factor + output.offset for value in part]
        answer[output.name] = part[0] if len(part) == 1 else part
        if output.labels:
            best = max(range(len(part)), key=part.__getitem__)
            answer["label" if len(labelled) == 1 else f"{output.name}_label"] = output.labels[best]
    return answer


def _looks_like_csv(line: bytes) -> bool:
    """Whether a line that was refused has fields, or only numbers, and no bracket or brace before them."""
    line = line.removeprefix(codecs.BOM_UTF8).strip()
    return not line.startswith((b"[", b"{")) and (b"," in line or bool(re.fullmatch(rb"[-+.;\s0-9eE]+", line)))


def _gives_twice(line: bytes) -> bool:
    """Whether an object that was decoded has a key more than once."""
    keys: list[Any] = _KEYS.findall(line)
    if b"\\" in line:  # a key may be written with escapes; that is rare enough to take the line apart once more
        keys = [key for key, _ in json.loads(line, object_pairs_hook=list)]
    return len(keys) != len(set(keys))


def _with_columns(rows: Rows, records: list[Record]) -> Rows:
    """Fill in the columns that any of the records uses."""
    rows.x = [record.x for record in records]
    ids = [record.id for record in records]
    rows.ids = ids if any(id != "" for id in ids) else None
    for name in ("t", "seq"):
        column = [getattr(record, name) for record in records]
        setattr(rows, name, column if any(value is not None for value in column) else None)
    for name in ("start", "end", "reset"):
        flags = [getattr(record, name) for record in records]
        setattr(rows, name, flags if any(flags) else None)
    return rows
