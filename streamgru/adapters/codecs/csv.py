"""Comma-separated values, with or without a header.

A first line in which any field is no number is a header: it may name ``id``, ``t``, ``seq``, ``start``,
``end`` and ``reset``, and names every feature of the model once, with or without its unit in brackets, in
any order; where the model has no names, the other columns are x in order. Without a header a line is the
numbers of x. A header in gives a header out. An empty field is a missing value.
"""

from __future__ import annotations

import codecs
import csv
import math
import re
from collections import Counter
from typing import Any

import msgspec

from streamgru.adapters.codecs.base import (
    MAX_ID,
    Codec,
    Decoder,
    Encoder,
    LineDecoder,
    Numbers,
    Predictions,
    Rows,
    Signature,
    printable,
)
from streamgru.adapters.codecs.ndjson import fields
from streamgru.errors import RecordError

CONTROL = ("id", "t", "seq", "start", "end", "reset")
_UNIT = re.compile(r"(.*\S)\s*\[[^\[\]]*\]", re.DOTALL)  # name [unit]


class CsvCodec(Codec):
    """Comma-separated values."""

    name = "csv"

    def decoder(self) -> Decoder:
        parser = _Parser(self.signature)
        # A number may be cut short and still look like a number, so a torn last line cannot be trusted.
        return LineDecoder(self.signature.max_record, parser.parse, trust_cut_end=False)

    def encoder(self) -> Encoder:
        return CsvEncoder(self.signature)


class _Parser:
    """The lines of one origin; remembers its header."""

    def __init__(self, signature: Signature) -> None:
        self._n_in = signature.n_in
        self._features = signature.features
        self._columns: dict[str, int] | None = None  # control field -> column
        self._order = list(range(signature.n_in))  # columns of x
        self._n_cells = signature.n_in
        self._first = True
        self._is_lost = False  # the header was refused: nobody knows which column is which

    def parse(self, lines: list[bytes]) -> Rows:
        errors: dict[int, RecordError] = {}
        control: dict[str, list[Any]] = {name: [] for name in CONTROL}
        x: list[Numbers] = []
        kept: list[int] = []
        for number, line in enumerate(lines):
            if not line.strip():
                continue
            values: dict[str, Any] = {}
            numbers: Numbers = [0.0] * self._n_in
            cells: list[str] = []
            try:
                cells = _cells(line.removeprefix(codecs.BOM_UTF8) if self._first else line)
                if self._first and self._is_header(cells):
                    continue
                if self._is_lost:
                    raise RecordError("the header was refused")
                values = self._control(cells)
                numbers = [_number(cells[i]) for i in self._order]
            except RecordError as error:
                errors[len(x)] = error
                if self._first and self._features:  # with a number in it, it was a bad record rather than a header
                    self._is_lost = not any(cell.strip() and _is_number(cell) for cell in cells)
            self._first = False
            x.append(numbers)
            kept.append(number)
            for name in CONTROL:
                control[name].append(values.get(name))
        rows = Rows(x, errors=errors, objects=None if self._columns is None else [True] * len(x), lines=kept)
        for name, column in control.items():
            if any(value not in (None, False) for value in column):
                setattr(rows, "ids" if name == "id" else name, column)
        if rows.ids is not None:
            rows.ids = [id if id is not None else "" for id in rows.ids]
        return rows

    def _is_header(self, cells: list[str]) -> bool:
        """Whether the first line names columns; if so, remember which."""
        if all(_is_number(cell) for cell in cells):
            return False
        known = _names_in_a_header(self._features)
        named = {cell.strip(): i for i, cell in enumerate(cells)}
        control = {name: i for name, i in named.items() if name in CONTROL and name not in known}
        columns = {name: i for name, i in named.items() if name not in control}  # of x
        fits = len(named) == len(cells) and len(columns) == self._n_in
        if self._features:
            by_feature = {known.get(name): i for name, i in columns.items()}
            fits = fits and set(by_feature) == set(range(self._n_in))
        if not fits:
            wanted = ", ".join(self._features) or f"{self._n_in} columns for x"
            what = f"expected {wanted}, besides any of {', '.join(CONTROL)}; got {', '.join(cells)}"
            raise RecordError(f"header: {what}{_separated(cells)}")
        self._first = False
        self._columns = control
        self._order = [by_feature[i] for i in range(self._n_in)] if self._features else list(columns.values())
        self._n_cells = len(cells)
        return True

    def _control(self, cells: list[str]) -> dict[str, Any]:
        """The fields beside x; they count also where x turns out to be wrong."""
        if len(cells) != self._n_cells:
            what = f"{self._n_in} numbers" if self._columns is None else f"{self._n_cells} fields as in the header"
            raise RecordError(f"expected {what}, got {len(cells)}{_separated(cells)}")
        values: dict[str, Any] = {}
        for name, i in (self._columns or {}).items():
            cell = cells[i].strip()
            if name == "id":
                if len(cell) > MAX_ID:
                    raise RecordError(f"id: expected at most {MAX_ID} characters, got {len(cell)}")
                values[name] = cell
            elif name in ("t", "seq"):
                values[name] = _clock(name, cell)
            else:
                values[name] = _flag(name, cell)
        return values


class CsvEncoder(Encoder):
    """Predictions as lines; the header goes out before the first line of an origin that had one."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._header: list[str] | None = None

    def encode(self, predictions: Predictions) -> list[bytes]:
        lines = []
        for i, row in enumerate(printable(predictions.y)):
            if predictions.objects is None:
                cells: list[Any] = [f"error: {predictions.errors[i]}"] if i in predictions.errors else row
                lines.append(_line(cells))
                continue
            record = {
                "id": predictions.ids[i] if predictions.ids else "",
                "t": predictions.t[i] if predictions.t else None,
                "seq": predictions.seq[i] if predictions.seq else None,
            } | _flat(row, self._signature)
            error = predictions.errors.get(i)
            if error is not None:
                record |= dict.fromkeys(_flat(row, self._signature), "")
            head = b""
            if self._header is None:
                self._header = [*record, "error"]
                head = _line(self._header)
            lines.append(head + _line([*record.values(), error]))
        return lines


def _flat(row: list[float], signature: Signature) -> dict[str, Any]:
    """One cell per number: ``y0, y1 ...``, or ``name`` or ``name.label`` of named outputs, and the label."""
    if not signature.outputs:
        return {f"y{i}": value for i, value in enumerate(row)}
    flat: dict[str, Any] = {}
    named = fields(row, signature.outputs)
    for output in signature.outputs:
        part = named.pop(output.name)
        if isinstance(part, list):
            keys = output.labels or range(len(part))
            flat |= {f"{output.name}.{key}": value for key, value in zip(keys, part, strict=True)}
        else:
            flat[output.name] = part
    return flat | named


def _names_in_a_header(features: tuple[str, ...]) -> dict[str, int]:
    """What may name each feature: its name and, unless that could mean something else, its name without the unit."""
    full = [feature.strip() for feature in features]
    if len(set(full)) < len(full):
        raise RecordError("header: the model has features of the same name; only a file without a header can be taken")
    short = [match[1] if (match := _UNIT.fullmatch(name)) else name for name in full]
    taken = {*full, *CONTROL, *(name for name, n in Counter(short).items() if n > 1)}
    return {name: i for i, name in enumerate(short) if name not in taken} | {name: i for i, name in enumerate(full)}


def _separated(cells: list[str]) -> str:
    """What to add to an error about fields that something else than commas may separate."""
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if any(mark in cell.strip() for cell in cells):
            return f"; fields are separated by commas, not {name}"
    return ""


def _cells(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode("utf-8").strip("\r\n")], strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"expected comma-separated values in UTF-8: {error}") from None


def _number(cell: str) -> float | None:
    cell = cell.strip()
    if not cell:
        return None
    if not _is_number(cell):
        raise RecordError(f"expected a number, got {cell[:40]!r}{_separated([cell])}")
    return float(cell)


def _is_number(cell: str) -> bool:
    cell = cell.strip()
    try:
        float(cell or 0)
    except ValueError:
        return False
    return cell.isascii() and "_" not in cell  # Python also takes other scripts' digits, and a separator of its own


def _clock(name: str, cell: str) -> float | int | None:
    if not cell:
        return None
    if name == "t" and _is_number(cell) and math.isfinite(float(cell)):
        return float(cell)
    if name == "seq" and re.fullmatch(r"[+-]?[0-9]{1,19}", cell) and -(1 << 63) <= int(cell) < 1 << 63:
        return int(cell)
    raise RecordError(f"{name}: expected {'a finite number' if name == 't' else 'an int64'}, got {cell[:40]!r}")


def _flag(name: str, cell: str) -> bool:
    if cell.lower() not in ("", "0", "1", "true", "false"):
        raise RecordError(f"{name}: expected true or false, got {cell[:40]!r}")
    return cell.lower() in ("1", "true")


def _line(cells: list[Any]) -> bytes:
    texts = []
    for cell in cells:
        text = "" if cell is None else cell if isinstance(cell, str) else msgspec.json.encode(cell).decode()
        texts.append('"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text)
    return ",".join(texts).encode() + b"\n"
