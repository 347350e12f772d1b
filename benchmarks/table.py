"""The results as tables in Markdown, which are as good to read in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from benchmarks.contenders.peak import PEAK_TWICE
from benchmarks.figures import figures, not_measured, notes
from benchmarks.many import POOL, SGEMM, TWO_THREADS, Batch
from benchmarks.measure import Middle, ratio
from benchmarks.results import PYTHON, Results, read_gb_s, warnings
from benchmarks.single import PARTS, READ

OURS = "streamgru"
MANY = ("size, streams", "µs per tick", "streams/s", "of the peak", "sgemm of it", "torch takes", "two threads",
        "two loops")  # fmt: skip


def report(results: Results) -> str:
    """Everything, for people."""
    return "\n".join(
        [*_machine(results), *_times(results), *_over_read(results), *_over_ours(results), *_tails(results),
         *_many(results), *_processes(results), *_figures(results)]
    )  # fmt: skip


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table whose first column is text and whose others are numbers."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return ["| " + " | ".join(_padded(line, widths)) + " |" for line in (lines[0], rule, *lines[1:])]


def number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def interval(found: Middle) -> str:
    """A median with its interval, where it has one."""
    if found.low == found.high:
        return number(found.median)
    return f"{number(found.median)} [{number(found.low)}, {number(found.high)}]"


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = (cell for cell in line)
    return [first.ljust(widths[0]), *(c.rjust(width) for c, width in zip(others, widths[1:], strict=True))]


def _machine(results: Results) -> Iterator[str]:
    m = results.machine
    for warning in warnings(results):
        yield from (f"**Not to be published: {warning}.**", "")
    versions = m["versions"]
    assert isinstance(versions, dict)
    told = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    yield f"{m['cpu']}, {m['cores']} cores, {m['isa']}; {m['system']}; {m['compiler']}; Python {m['python']}; {told}."
    yield ""
    yield f"Load when it began: {m['load']}, and when it ended: {m['load_at_end']}."
    yield f"Measured {m['measured']}, with kernels {m['kernels']}."
    for name, reason in results.absent.items():
        yield f"Left out: {name}, since {reason}."


def _times(results: Results) -> Iterator[str]:
    yield from ("", "**One step of one stream, in µs** (medians)", "")
    names = list(dict.fromkeys(name for steps in results.steps for name in steps.times))
    header = ["", *(f"{steps.n_in} → {steps.n_hid}" for steps in results.steps)]
    yield from table(
        header, ([name, *(number(1e6 * float(np.median(s.times[name]))) for s in results.steps)] for name in names)
    )


def _over_read(results: Results) -> Iterator[str]:
    yield from ("", "**Times reading the weights once** (float32; median of the pairs, 95 % interval)", "")
    names = [name for name in results.steps[0].times if name.startswith((OURS, "reset before"))]
    rows = [["reading once, GB/s", *(f"{read_gb_s(steps):.0f}" for steps in results.steps)]]
    rows += [[name, *(f"{ratio(s.times, name, READ):.2f}" for s in results.steps)] for name in names]
    yield from table(["", *(f"{steps.n_in} → {steps.n_hid}" for steps in results.steps)], rows)


def _over_ours(results: Results) -> Iterator[str]:
    yield from ("", f"**Times `{PYTHON}`** (median of the pairs, 95 % interval)", "")
    others = (OURS, "reset before", "stack", PARTS, READ)
    names = [name for name in results.steps[0].times if not name.startswith(others)]
    rows = ([name, *(interval(ratio(s.times, name, PYTHON)) for s in results.steps)] for name in names)
    yield from table(["", *(f"{steps.n_in} → {steps.n_hid}" for steps in results.steps)], rows)


def _tails(results: Results) -> Iterator[str]:
    yield from ("", "**Single steps, in µs**", "")
    rows = []
    for steps in results.steps:
        for name, tails in steps.tails.items():
            rows.append([f"{steps.n_in} → {steps.n_hid}, {name}", *(number(ns / 1e3) for ns in tails.values())])
    yield from table(["", "p50", "p99", "p99.9", "max"], rows)


def _many(results: Results) -> Iterator[str]:
    yield from ("", f"**Many streams in one tick** (one core does {results.peak_gflops():.1f} GFLOP/s)", "")
    yield from table(MANY, ([*_batch(batch)] for batch in results.batches))
    yield ""
    yield (
        "The part of the peak counts the products alone; a tick has its gates to do as well, sgemm has not. "
        "Two threads: times as fast as one. Two loops: times as much as two peak loops at once do."
    )


def _batch(batch: Batch) -> Iterator[str]:
    seconds = float(np.median(batch.times[POOL]))
    yield f"{batch.n_in} → {batch.n_hid}, {batch.n_streams:,}"
    yield number(1e6 * seconds)
    yield number(batch.n_streams / seconds)
    yield f"{batch.of_peak(POOL):.2f}"
    yield f"{batch.of_peak(SGEMM):.2f}"
    yield f"{ratio(batch.times, 'torch GRUCell', POOL):.2f}" if "torch GRUCell" in batch.times else "–"
    yield f"{batch.two_threads():.2f}" if TWO_THREADS in batch.times else "–"
    yield f"{batch.two_loops():.2f}" if PEAK_TWICE in batch.times else "–"


def _processes(results: Results) -> Iterator[str]:
    yield from ("", "**From outside**", "")
    idle, pipe = results.idle, results.pipe
    rows = [
        [f"an idle stream of a pool, n_hid {idle.n_hid}, bytes", f"{idle.bytes:.0f}"],
        ["the lanes that all streams of a pool share, bytes", f"{idle.lanes_bytes:,}"],
    ]
    rows += [[f"{name}, ms", f"{1e3 * s.median:.1f} [{1e3 * s.low:.1f}, {1e3 * s.high:.1f}]"]
             for name, s in results.starts.items()]  # fmt: skip
    rows.append(["`streamgru run` on NDJSON, records/s", f"{pipe.ours:,.0f}"])
    if pipe.loop is not None:
        rows.append(["a loop over ONNX Runtime, records/s", f"{pipe.loop:,.0f}"])
    yield from table(["", "median"], rows)


def _figures(results: Results) -> Iterator[str]:
    yield from ("", "**Figures to reach**", "")
    rows = [
        [found.what, found.where, found.wanted, interval(found.measured), found.verdict] for found in figures(results)
    ]
    yield from table(["", "where", "to reach", "measured", ""], rows)
    yield ""
    yield from notes()
    yield from (f"Not measured here: {line}." for line in not_measured(results))
