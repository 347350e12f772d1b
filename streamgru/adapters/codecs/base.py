"""What a codec promises, and the tables that pass between codecs and the engine."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import RecordError

Numbers = list[float | None]  # one x; None is a missing value
MAX_ID = 1024  # characters of an id: every open stream keeps its own
NO_RECORD = b"\xff"  # in place of a line that was too long: no codec of text takes it


@dataclass(frozen=True)
class Named:
    """One named output, ready to be written: ``y[start:stop] * factor + offset``."""

    name: str
    start: int
    stop: int
    factor: float = 1.0
    offset: float = 0.0
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives, as far as a codec must know."""

    n_in: int
    n_out: int
    features: tuple[str, ...] = ()
    outputs: tuple[Named, ...] = ()

    @property
    def max_record(self) -> int:
        """Bytes that one record may have."""
        return max(64 << 10, 32 * self.n_in + (4 << 10))


@dataclass
class Rows:
    """Some records of one origin, in order, as columns.

    A column that no record of the block uses is None. *errors* tells, by row, what was wrong with a
    record; its x has no meaning then. *objects* tells which records came as more than bare numbers and
    are answered so; None: not one.
    """

    x: list[Numbers] | NDArray[np.floating[Any]]
    ids: list[str | int] | None = None
    t: list[float | None] | None = None
    seq: list[int | None] | None = None
    start: list[bool] | None = None
    end: list[bool] | None = None
    reset: list[bool] | None = None
    errors: dict[int, RecordError] = field(default_factory=dict)
    objects: list[bool] | None = None
    lines: Sequence[int] | None = None  # where each row stood, for errors: within the block, then within the origin

    def __len__(self) -> int:
        return len(self.x)


@dataclass
class Predictions:
    """What becomes of some rows of one origin, in order: each has outputs or an error."""

    y: NDArray[np.floating[Any]]  # (n, n_out)
    ids: list[str | int] | None = None
    t: list[float | None] | None = None
    seq: list[int | None] | None = None
    errors: dict[int, str] = field(default_factory=dict)
    objects: list[bool] | None = None

    def __len__(self) -> int:
        return len(self.y)


class Decoder(abc.ABC):
    """Bytes of one origin -> rows."""

    @abc.abstractmethod
    def feed(self, data: bytes) -> Rows:
        """Take the next bytes; give the records that are complete now."""

    @abc.abstractmethod
    def finish(self, cut: bool) -> Rows:
        """The origin has ended: give what was still open; *cut* if its last record may be torn."""


class Encoder(abc.ABC):
    """Predictions -> bytes, for one origin."""

    @abc.abstractmethod
    def encode(self, predictions: Predictions) -> list[bytes]:
        """One piece of bytes for each row; together they are what a stream of bytes carries."""


class Codec(abc.ABC):
    """A format of records and predictions. Made once per pipeline."""

    name: ClassVar[str]
    framing: ClassVar[Literal["lines", "bytes"]] = "lines"

    def __init__(self, signature: Signature) -> None:
        self.signature = signature

    @abc.abstractmethod
    def decoder(self) -> Decoder:
        """A decoder for a new origin."""

    @abc.abstractmethod
    def encoder(self) -> Encoder:
        """An encoder for a new origin."""


class LineDecoder(Decoder):
    """Cuts bytes into lines of bounded length; the codec makes rows of whole blocks of lines.

    A line that is too long is one error, and reading goes on behind its end.
    """

    def __init__(self, max_line: int, parse: Callable[[list[bytes]], Rows], trust_cut_end: bool) -> None:
        self._max_line = max_line
        self._parse = parse
        self._trust_cut_end = trust_cut_end
        self._open = b""  # the beginning of a line
        self._skipping = False  # inside a line that was too long
        self._n_lines = 0

    def feed(self, data: bytes) -> Rows:
        if self._skipping:
            _, newline, data = data.partition(b"\n")
            if not newline:
                return Rows([])
            self._skipping = False
        *lines, self._open = (self._open + data).split(b"\n")
        if len(self._open) > self._max_line:
            lines.append(self._open)
            self._open, self._skipping = b"", True
        return self._rows(lines)

    def finish(self, cut: bool) -> Rows:
        last, self._open = self._open, b""
        if not last.strip():
            return Rows([])
        rows = self._rows([last])
        if cut and not self._trust_cut_end:
            rows.errors = {0: RecordError("the connection ended in the middle of a record")}
        return rows

    def _rows(self, lines: list[bytes]) -> Rows:
        too_long = {i for i, line in enumerate(lines) if len(line) > self._max_line}
        for i in too_long:
            lines[i] = NO_RECORD
        rows = self._parse(lines)
        for i in rows.errors:
            if (rows.lines[i] if rows.lines else i) in too_long:
                rows.errors[i] = RecordError(f"expected a line of at most {self._max_line} bytes, got a longer one")
        first = self._n_lines + 1
        rows.lines = [first + line for line in rows.lines] if rows.lines else range(first, first + len(rows))
        self._n_lines += len(lines)
        return rows


def printable(y: NDArray[np.floating[Any]]) -> list[list[float]]:
    """Rows of numbers that print short: float32 rounded to the 9 digits that tell any two apart.

    The digits are cut in float64, where multiplying by a power of ten is exact enough and dividing
    by it rounds to the double that prints as those digits.
    """
    wide = y.astype(np.float64)
    if y.dtype == np.float32:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            digits = 8 - np.floor(np.log10(np.abs(wide)))
            usable = (digits >= 0) & (digits <= 22)
            power = 10.0 ** np.where(usable, digits, 0)
            wide = np.where(usable, np.round(wide * power) / power, wide)
    rows: list[list[float]] = wide.tolist()
    return rows
