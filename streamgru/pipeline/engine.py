"""The engine: batches in, items out. It keeps the streams; it knows nothing of transports."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamgru.adapters.codecs.base import Codec, Decoder, Encoder, Predictions, Rows
from streamgru.adapters.contract import Batch, Item, Outcome
from streamgru.errors import PoolFull, RecordError
from streamgru.pipeline.emit import make_emit
from streamgru.pipeline.rows import clock, flag, located, own_id, predictions_of, segments, stream_id
from streamgru.stream.ids import Handle
from streamgru.stream.model import Model

OnError = Literal["fail", "skip", "report"]


@dataclass
class Counts:
    """What has happened so far."""

    records: int = 0
    predictions: int = 0
    errors: int = 0
    streams: int = 0
    dropped: int = 0


@dataclass
class Taken:
    """What became of a batch: what to send, how to acknowledge, and the error that ends the run."""

    items: list[Item] = field(default_factory=list)
    outcome: Outcome = Outcome.DONE
    failure: RecordError | None = None
    records: int = 0
    errors: int = 0

    def add(self, other: Taken) -> None:
        """Count what became of another piece of the same batch."""
        self.records += other.records
        self.errors += other.errors
        self.failure = other.failure


class Engine:
    """Steps the streams of one model with the records of any number of origins.

    Parameters
    ----------
    model : Model
    codec_in, codec_out : Codec
    emit : str
        See :func:`streamgru.pipeline.emit.make_emit`.
    on_error : {"fail", "skip", "report"}
        What a bad record does: end the run, nothing, or become an error record.
    max_streams : int
        Streams that may be open at a time; a record that would open one more is refused.
    ttl_s : float, optional
        A stream without a record for so many seconds is ended by :meth:`expire`.
    single : bool
        Whether every prediction becomes an item of its own (a sink of messages).
    shared : bool
        Whether all origins write to one place (any sink but ``reply:``).
    """

    def __init__(
        self,
        model: Model,
        codec_in: Codec,
        codec_out: Codec,
        *,
        emit: str = "every",
        on_error: OnError = "report",
        max_streams: int = 65_536,
        ttl_s: float | None = None,
        single: bool = False,
        shared: bool = True,
    ) -> None:
        self.counts = Counts()
        self._model = model
        self._pool = model.pool(max_streams)
        self._codec_in, self._codec_out = codec_in, codec_out
        outputs = codec_out.signature.outputs
        first = next((output for output in outputs if output.labels), outputs[0] if outputs else None)
        self._emit = make_emit(emit, slice(first.start, first.stop) if first else slice(None))
        self._on_error = on_error
        self._single, self._shared = single, shared
        self._decoders: dict[str, Decoder] = {}
        self._encoders: dict[str, Encoder] = {}
        self._ttl_s = ttl_s
        self._next_expiry = 0.0
        self._used: dict[int, float] = {}  # by handle: when its last record came
        self._held: dict[int, tuple[str, Predictions]] = {}  # by handle: origin and last prediction

    def pieces(self, batch: Batch) -> Iterator[tuple[Batch, bool]]:
        """Cut a batch so that no piece can become more than some megabytes of numbers; True for the last one."""
        size = max(256, min(1 << 16, (4 << 20) // (self._model.n_in + self._model.n_out)))
        for start in range(0, max(len(batch.data), 1), size):
            is_last = start + size >= len(batch.data)
            yield batch._replace(data=batch.data[start : start + size], end=batch.end if is_last else ""), is_last

    def take(self, batch: Batch, whole: bool) -> Taken:
        """Step what a batch brings; *whole* tells that it is a whole message."""
        decoder = self._decoders.get(batch.origin) or self._codec_in.decoder()
        taken = Taken()
        if not whole:
            self._decoders[batch.origin] = decoder
        if batch.data:
            self._rows(batch.origin, decoder.feed(batch.data), taken)
        if (whole or batch.end) and taken.failure is None:
            self._rows(batch.origin, decoder.finish(batch.end == "cut"), taken)
        if batch.end:
            self._end(batch.origin, taken)
        elif whole:
            self._forget(batch.origin)
        taken.outcome = self.outcome(taken)
        self.counts.records += taken.records
        self.counts.errors += taken.errors
        self.counts.streams = len(self._pool)
        return taken

    def outcome(self, taken: Taken) -> Outcome:
        """How to acknowledge what was taken."""
        if taken.failure is None and not 0 < taken.records == taken.errors:
            return Outcome.DONE
        return Outcome.SKIPPED if self._on_error == "skip" else Outcome.REFUSED

    def expire(self) -> list[Item]:
        """End the streams that had no record for longer than the time to live; gives what was held of them."""
        now = time.monotonic()
        taken = Taken()
        if self._ttl_s is not None and now >= self._next_expiry:
            self._next_expiry = now + self._ttl_s / 4
            for handle in [handle for handle, used in self._used.items() if now - used > self._ttl_s]:
                self._close(handle, True, taken)
        return taken.items

    def finish(self) -> list[Item]:
        """Everything has ended: what was still held back."""
        taken = Taken()
        for handle in list(self._held):
            self._release(handle, taken)
        return taken.items

    def _rows(self, origin: str, rows: Rows, taken: Taken) -> None:
        """Step rows of one origin, and encode what goes out."""
        if not len(rows):
            return
        refused = dict(rows.errors)
        x = self._matrix(rows, refused)
        failing = self._on_error == "fail"
        n_rows = min(refused) if failing and refused else len(rows)  # what comes before an error is still answered
        for segment in segments(rows, n_rows):
            self._segment(origin, rows, x, segment, refused, taken)
            if failing and refused and min(refused) in segment:
                break
        if failing and refused:
            first = min(refused)
            taken.failure = RecordError(f"{origin}: {located(rows, first, refused)}")
            n_rows, refused = first + 1, {first: refused[first]}
        taken.records += n_rows
        taken.errors += len(refused)

    def _segment(
        self,
        origin: str,
        rows: Rows,
        x: NDArray[np.floating[Any]],
        segment: range,
        refused: dict[int, RecordError],
        taken: Taken,
    ) -> None:
        """Step and answer rows of which only the first may restart its stream and only the last may end it."""
        first, last = segment.start, segment.stop - 1
        restarts = flag(rows.start, first) or flag(rows.reset, first)
        if restarts:
            self._restart(stream_id(origin, rows, first), flag(rows.start, first), taken)
        steps = self._handles(origin, rows, segment, refused)
        valid = np.array([i for i in segment if i not in refused], np.intp)
        y = np.zeros((len(segment), self._model.n_out), self._model.dtype)
        chosen = np.zeros(len(segment), bool)
        ends = False
        if valid.size:
            status, due = np.zeros(valid.size, np.uint8), np.zeros(valid.size, np.uint8)
            times, seqs = clock(rows.t, valid, np.nan), clock(rows.seq, valid, -1)
            y[valid - first] = self._pool.step(steps, x[valid], status=status, t=times, seq=seqs, due=due)
            for i in valid[status != 0].tolist():
                left = "its stream is at its start" if restarts and i == first else "the state is as it was before"
                refused[i] = RecordError(f"the new state or the output would not be finite; {left}")
            ends = flag(rows.end, last) and last == valid[-1] and bool(due[-1])
            if self._ttl_s is not None:
                self._used |= dict.fromkeys(steps.tolist(), time.monotonic())
            self._choose(origin, rows, segment, valid[due != 0], steps[due != 0], y, chosen, ends)
        errors = [k for k, i in enumerate(segment) if i in refused] if refused else []
        if errors and self._on_error == "fail":
            chosen[errors[0] :] = False
        self.counts.predictions += int(chosen.sum())
        if self._on_error == "report":
            chosen[errors] = True
        self._send(origin, rows, segment, y, chosen, refused, taken)
        if flag(rows.end, last) and stream_id(origin, rows, last) in self._pool:
            self._close(self._pool.handle(stream_id(origin, rows, last)), not ends, taken)

    def _restart(self, id: str | int | bytes, another: bool, taken: Taken) -> None:
        """Set a stream, if it is open, back to its start; for *another* sequence, end the one before."""
        if id not in self._pool:
            return
        handle = self._pool.handle(id)
        self._pool.reset(handle)
        if another:
            self._release(int(handle), taken)
            self._emit.forget(int(handle))

    def _choose(
        self,
        origin: str,
        rows: Rows,
        segment: range,
        valid: NDArray[np.intp],
        handles: NDArray[np.uint64],
        y: NDArray[np.floating[Any]],
        chosen: NDArray[np.bool_],
        ends: bool,
    ) -> None:
        """Mark the rows whose predictions go out; *y* and *chosen* begin with the segment."""
        if self._emit.everything:
            chosen[valid - segment.start] = True
            return
        pairs = list(zip(handles.tolist(), (valid - segment.start).tolist(), strict=True))
        for n_after, (handle, k) in zip(range(len(pairs) - 1, -1, -1), pairs, strict=True):
            chosen[k] = self._emit.choose(handle, y[k], ends and n_after == 0)
        if self._emit.holds_last:
            for handle, k in dict(pairs).items():
                self._held[handle] = origin, predictions_of(rows, [segment[k]], y[k : k + 1].copy(), {})

    def _matrix(self, rows: Rows, refused: dict[int, RecordError]) -> NDArray[np.floating[Any]]:
        """x of all rows in the model's dtype; rows that a step would not take are refused here, with the reason."""
        wide = np.asarray(rows.x, np.float64).reshape(-1, self._model.n_in)  # a missing value becomes NaN
        with np.errstate(over="ignore"):
            x = wide.astype(self._model.dtype)
        bad = ~np.isfinite(x)
        for token in self._model.plan.layout.tokens:
            column = x[:, token.index]
            bad[:, token.index] |= (column < 0) | (column >= token.vocab) | (column != np.floor(column))
        for i in np.flatnonzero(bad.any(1)).tolist():
            if i not in refused:
                refused[i] = RecordError(self._reason(rows, wide, i, int(bad[i].argmax())))
        return x

    def _reason(self, rows: Rows, wide: NDArray[np.floating[Any]], i: int, k: int) -> str:
        value = rows.x[i][k]
        if value is None:
            return f"x[{k}]: expected a number, got none (this version has no policy for missing values)"
        if not np.isfinite(wide[i, k]):
            return f"x[{k}]: expected a finite number, got {value}"
        for token in self._model.plan.layout.tokens:
            if token.index == k:
                return f"x[{k}]: expected a token of {token.name!r}, an integer in [0, {token.vocab}), got {value:g}"
        return f"x[{k}]: {value:g} is too large for {self._model.dtype}"

    def _handles(self, origin: str, rows: Rows, segment: range, refused: dict[int, RecordError]) -> NDArray[np.uint64]:
        """The streams of the rows that are not refused, opened where they are new."""
        handles = []
        if rows.ids is None:  # the common case: one look-up for all of them
            handle = None
            for i in segment:
                if i not in refused:
                    handle = handle or self._handle(own_id(origin), i, refused)
                    handles.append(handle)
        else:
            for i in segment:
                if i not in refused:
                    handles.append(self._handle(stream_id(origin, rows, i), i, refused))
        return np.array([handle for handle in handles if handle], np.uint64)

    def _handle(self, id: str | int | bytes, i: int, refused: dict[int, RecordError]) -> int:
        """The stream *id*, opened if it is new; 0, with row *i* refused, if the pool is full."""
        try:
            return self._pool.handle(id) if id in self._pool else self._pool.open(id)
        except PoolFull as error:
            refused[i] = RecordError(str(error))
            return 0

    def _send(
        self,
        origin: str,
        rows: Rows,
        segment: range,
        y: NDArray[np.floating[Any]],
        chosen: NDArray[np.bool_],
        refused: dict[int, RecordError],
        taken: Taken,
    ) -> None:
        """Encode the chosen rows of a segment."""
        index = np.flatnonzero(chosen)
        if not index.size:
            return
        picked = [segment[k] for k in index.tolist()]
        errors = {k: located(rows, i, refused) for k, i in enumerate(picked) if i in refused} if refused else {}
        self._encode(origin, predictions_of(rows, picked, y[index], errors), taken)

    def _encode(self, origin: str, predictions: Predictions, taken: Taken) -> None:
        key = "" if self._shared else origin
        encoder = self._encoders.get(key) or self._codec_out.encoder()
        if self._shared or origin in self._decoders:  # else a message: its origin may be anybody's, and never ends
            self._encoders[key] = encoder
        pieces = encoder.encode(predictions)
        if not self._single:
            taken.items.append(Item(origin, "", b"".join(pieces)))
            return
        ids = predictions.ids or [""] * len(pieces)
        strip = self._codec_out.framing == "lines"
        for id, piece in zip(ids, pieces, strict=True):
            taken.items.append(Item(origin, id, piece.rstrip(b"\n") if strip else piece))

    def _end(self, origin: str, taken: Taken) -> None:
        """An origin has ended, and with it the stream of its records without an id."""
        if own_id(origin) in self._pool:
            self._close(self._pool.handle(own_id(origin)), True, taken)
        if not self._shared:  # what is held of other streams would have nobody to go to later
            for handle in [handle for handle, (whose, _) in self._held.items() if whose == origin]:
                self._release(handle, taken)
        self._forget(origin)

    def _forget(self, origin: str) -> None:
        self._decoders.pop(origin, None)
        if not self._shared:
            self._encoders.pop(origin, None)

    def _release(self, handle: int, taken: Taken) -> None:
        """Send the last prediction of a stream, if it was held back."""
        held = self._held.pop(handle, None)
        if held is not None:
            self.counts.predictions += 1
            self._encode(*held, taken)

    def _close(self, handle: int, release: bool, taken: Taken) -> None:
        """End a stream; *release* what is held of it, unless its last prediction has gone out."""
        if release:
            self._release(handle, taken)
        self._held.pop(handle, None)
        self._used.pop(handle, None)
        self._pool.close(Handle(handle))
        self._emit.forget(handle)
