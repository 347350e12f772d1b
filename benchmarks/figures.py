"""The figures that streamgru wants to reach, and whether this run did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.many import POOL, SGEMM, Batch
from benchmarks.measure import Middle, middle, ratio
from benchmarks.results import PYTHON, Results
from benchmarks.single import BEFORE, PARTS, READ, STACK, Steps

C, BOUND, INT8, PEER = "streamgru, C", "streamgru, bound", "streamgru int8, C", "ONNX Runtime bound"
FASTER_THAN_PEER = {32: 15.0, 128: 5.0, 512: 1.4, 1024: 1.2}
INT8_FASTER = {128: 2.0, 256: 3.0, 512: 3.0, 1024: 3.0}
OF_PEAK = {32: 0.60, 128: 0.85, 256: 0.85, 512: 0.85, 1024: 0.85}
SCALES = 1.8
LARGE = 96  # streams: ticks of fewer are not judged


@dataclass(frozen=True)
class Figure:
    """Something to reach: at most or at least so much."""

    what: str
    where: str
    limit: float
    at_least: bool
    measured: Middle
    unit: str = "×"

    @property
    def wanted(self) -> str:
        """In words."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}".rstrip()

    @property
    def verdict(self) -> str:
        """``met`` or by how much it was missed, where the whole interval says so."""
        found = self.measured
        if (found.low >= self.limit) if self.at_least else (found.high <= self.limit):
            return "met"
        if (found.high < self.limit) if self.at_least else (found.low > self.limit):
            return f"missed by {abs(found.median / self.limit - 1):.0%}"
        return "undecided"


def figures(results: Results) -> Iterator[Figure]:
    """Every figure that this run can tell of."""
    for steps in results.steps:
        yield from _of_steps(steps)
    for n_hid in sorted({batch.n_hid for batch in results.batches}):
        yield from _of_batches([b for b in results.batches if b.n_hid == n_hid and b.n_streams >= LARGE])
    idle = results.idle
    beside = idle.bytes - idle.state_bytes
    yield Figure("an idle stream, beside its state", f"n_hid {idle.n_hid}", 256, False, _exact(beside), "bytes")
    if results.pipe.ratio is not None:
        what = "`streamgru run` on NDJSON, times a loop over ONNX Runtime"
        yield Figure(what, "8 → 32", 10, True, results.pipe.ratio)
    for name, limit_ms in (("streamgru --help over python", 100), ("import streamgru over import numpy", 50)):
        s = results.starts[name]
        in_ms = Middle(1e3 * s.median, 1e3 * s.low, 1e3 * s.high)
        yield Figure(name, "", limit_ms, False, in_ms, "ms")


def notes() -> Iterator[str]:
    """What one should know of the figures."""
    yield "The verdict is that of the whole interval: undecided where the limit lies inside it."
    yield (
        "From Python, networks of 100,000 multiply-adds or more, here those of n_hid 256 and above, release the GIL "
        "at every step, which costs about 50 ns; from C there is none."
    )
    yield f"Ticks are judged from {LARGE} streams on, and the worst of a size is what is shown."


def not_measured(results: Results) -> Iterator[str]:
    """What this run cannot tell, and why."""
    yield "one copy of the weights per machine: there is no command with several workers yet"
    if results.pipe.ratio is None or not any(PEER in steps.times for steps in results.steps):
        yield "what is held against ONNX Runtime: it is not installed"
    if not any(batch.two_threads() for batch in results.batches):
        yield "two threads: this process has one core"
    still = [f"{b.n_hid} × {b.n_streams:,}" for b in results.batches if b.n_streams >= LARGE and not _loops_scale(b)]
    if still and any(batch.two_threads() for batch in results.batches):
        yield (
            f"two threads at n_hid × streams of {', '.join(still)}: two peak loops at once, one on each core, did "
            f"less than {SCALES} times as much as one"
        )


def _of_steps(steps: Steps) -> Iterator[Figure]:
    times, n_hid, where = steps.times, steps.n_hid, f"{steps.n_in} → {steps.n_hid}"
    if n_hid == 32:
        yield Figure("step from C over reading once", where, 2.3, False, ratio(times, C, READ))
    if n_hid >= 64:
        yield Figure("step from C over reading once", where, 1.15, False, ratio(times, C, READ))
        yield Figure("reset before, over reading once", where, 1.25, False, ratio(times, BEFORE, READ))
        yield Figure("stack and head over the sum of its parts", where, 1.2, False, ratio(times, STACK, PARTS))
    beyond = middle(1e9 * (times[BOUND] - times[C]))
    yield Figure("bound step from Python beyond C", where, 60, False, beyond, "ns")
    if n_hid in FASTER_THAN_PEER and PEER in times:
        faster = ratio(times, PEER, PYTHON)
        yield Figure("`step(x, out=y)`, times ONNX Runtime bound", where, FASTER_THAN_PEER[n_hid], True, faster)
    if n_hid in INT8_FASTER:
        faster = ratio(times, READ, INT8)
        yield Figure("int8 step, times reading float32 once", where, INT8_FASTER[n_hid], True, faster)


def _of_batches(batches: Sequence[Batch]) -> Iterator[Figure]:
    """The worst of the large batches of one size."""
    if not batches:
        return
    n_hid = batches[0].n_hid

    def worst(found: dict[int, Middle]) -> tuple[str, Middle]:
        n_streams = min(found, key=lambda n: found[n].median)
        return f"n_hid {n_hid}, worst at {n_streams:,} streams", found[n_streams]

    if n_hid in OF_PEAK:
        where, least = worst({batch.n_streams: batch.of_peak(POOL) for batch in batches})
        yield Figure("a tick, part of one core's FMA peak", where, OF_PEAK[n_hid], True, least, "")
    where, least = worst({batch.n_streams: ratio(batch.times, SGEMM, POOL) for batch in batches})
    yield Figure("a tick with its gates, times sgemm without", where, 1, True, least)
    scaling = {b.n_streams: two for b in batches if (two := b.two_threads()) and _loops_scale(b)}
    if scaling:
        where, least = worst(scaling)
        yield Figure("a tick on two threads, times one", where, SCALES, True, least)


def _loops_scale(batch: Batch) -> bool:
    loops = batch.two_loops()
    return loops is not None and loops.median >= SCALES


def _exact(number: float) -> Middle:
    return Middle(number, number, number)
