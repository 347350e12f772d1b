"""How fast a model runs on this machine: measured, as plain data, and as lines for people."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.cli.describe import runs_as, weights_of
from streamgru.kernels import packed
from streamgru.stream import timing
from streamgru.stream.model import Model

Record = dict[str, Any]
BATCHES = (1, 8, 32, 96, 256, 1024)
MOST_STEPS = 1_000_000  # whose times are kept one by one
ROUNDS = 25  # of reading the weights and stepping, in turn, at least
BLOCK_S = 0.0005  # of either in a round: short, so that few are disturbed
CALL_S = 0.25  # of a call into C: Ctrl-C is heard between two
PARTS = 5  # of the time for a pool
PERCENTILES = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
DOORS = {"c": "from C", "bound": "from Python, bound", "python": "from Python"}


def measure(model: Model, name: str, seconds: float, threads: int) -> Record:
    """Measure for about so long, ready for JSON; one stream on one core, pools on one thread and on *threads*."""
    arrays = timing.weights(model.plan)
    x = example(model)
    n_pools = len(BATCHES) * len({1, threads})
    with one_core() as core:
        steps = {
            "c": _c_ns(model, x, seconds / 6),
            "bound": _bound_ns(model, x, seconds / 6),
            "python": _python_ns(model, x, seconds / 6),
        }
        read_ns, step_ns, ratio = _against_reading(model, x, arrays, seconds / 6)
    pools = [
        _pool(model, x, n_streams, n_threads, seconds / 3 / n_pools)
        for n_threads in sorted({1, threads}) for n_streams in BATCHES
    ]  # fmt: skip
    return {
        "model": name,
        "kernel": model.kernel,
        "isa": packed.isa if model.kernel == "packed" else None,
        "dtype": model.dtype.name,
        "weights": weights_of(model),
        "core": core,
        "n_in": model.n_in,
        "n_out": model.n_out,
        "macs_per_step": model.plan.n_macs,
        "weight_bytes": sum(array.nbytes for array in arrays),
        "state_bytes": model.plan.state_bytes,
        "step_ns": {door: _percentiles(ns) for door, ns in steps.items()},
        "back_to_back_ns": step_ns,
        "read_once_ns": read_ns,
        "read_once_over_step": ratio,
        "pools": pools,
    }


def example(model: Model) -> NDArray[Any]:
    """An input that any network takes: numbers of unit size, and the first token where one belongs."""
    x = np.random.default_rng(0).standard_normal(model.n_in).astype(model.dtype)
    for token in model.plan.layout.tokens:
        x[token.index] = 0
    return x


@contextlib.contextmanager
def one_core() -> Iterator[int | None]:
    """Stay on one core, where the system lets us; its number."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    core = max(before)  # the first one has the interrupts, more often than not
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)


def text(told: Record) -> Iterator[str]:
    """The lines for people."""
    isa = f" ({told['isa']})" if told["isa"] else ""
    where = "" if told["core"] is None else f", on core {told['core']}"
    yield f"{told['model']}   {runs_as(told)}{isa}"
    yield ""
    yield f"weights  {told['weight_bytes']:,} bytes, read at every step"
    yield f"state    {told['state_bytes']:,} bytes per stream"
    yield f"work     {told['macs_per_step']:,} multiply-adds per step"
    yield ""
    yield f"one step of one stream, in µs{where}"
    yield f"  {'':20}{'p50':>12}{'p99':>12}{'p99.9':>12}{'max':>12}{'steps':>12}"
    for door, label in DOORS.items():
        found = told["step_ns"][door]
        cells = "".join(f"{found[key] / 1e3:12,.3f}" for key in PERCENTILES)
        yield f"  {label:20}{cells}{found['n_steps']:12,}"
    yield f"  {'back to back, from C':20}{told['back_to_back_ns'] / 1e3:12,.3f}"
    yield f"  {'reading the weights':20}{told['read_once_ns'] / 1e3:12,.3f}"
    ratio = told["read_once_over_step"]
    yield f"  reading the weights once ÷ a step: {ratio:.2f}   (1.00: no step can be faster)"
    yield ""
    yield "many streams in one tick, steps per second (medians)"
    threads = sorted({pool["threads"] for pool in told["pools"]})
    yield f"  {'streams':>8}" + "".join(f"{f'{n} thread' + 's' * (n > 1):>16}" for n in threads)
    for n_streams in BATCHES:
        rates = [pool["steps_per_s"] for pool in told["pools"] if pool["n_streams"] == n_streams]
        yield f"  {n_streams:8,}" + "".join(f"{rate:16,.0f}" for rate in rates)


def _percentiles(ns: NDArray[np.int64]) -> Record:
    values = np.percentile(ns, list(PERCENTILES.values()))
    found: Record = {key: float(value) for key, value in zip(PERCENTILES, values, strict=True)}
    return found | {"n_steps": len(ns)}


def _n_steps(model: Model, x: NDArray[Any], seconds: float) -> int:
    """Steps that take about so long: at least two, and no more than can be kept."""
    stream = model.stream()
    ns = _per_call(lambda n: timing.block_ns(stream, x, n))
    return max(2, min(MOST_STEPS, int(seconds * 1e9 / ns)))


def _per_call(total_ns: Callable[[int], int]) -> float:
    """Nanoseconds of one of n calls, for an n that takes a millisecond; the best of three, since others may disturb."""
    n = 1
    while total_ns(n) < 1e6 and n < MOST_STEPS:
        n *= 2
    return max(1, min(total_ns(n) for _ in range(3))) / n


def _c_ns(model: Model, x: NDArray[Any], seconds: float) -> NDArray[np.int64]:
    stream, n_steps, most = model.stream(), _n_steps(model, x, seconds), _n_steps(model, x, min(seconds, CALL_S))
    return np.concatenate([timing.step_ns(stream, x, min(most, n_steps - k)) for k in range(0, n_steps, most)])


def _python_ns(model: Model, x: NDArray[Any], seconds: float) -> NDArray[np.int64]:
    step, y, clock = model.stream().step, np.empty(model.n_out, model.dtype), time.perf_counter_ns
    ns, n = np.empty(MOST_STEPS, np.int64), 0
    with _no_collector():
        end = clock() + seconds * 1e9
        while n < MOST_STEPS and ((started := clock()) < end or n < 2):
            step(x, out=y)
            ns[n] = clock() - started
            n += 1
    return _without_clock(ns[:n])


def _bound_ns(model: Model, x: NDArray[Any], seconds: float) -> NDArray[np.int64]:
    step, clock = model.stream().bind(x).step, time.perf_counter_ns
    ns, n = np.empty(MOST_STEPS, np.int64), 0
    with _no_collector():
        end = clock() + seconds * 1e9
        while n < MOST_STEPS and ((started := clock()) < end or n < 2):
            step()
            ns[n] = clock() - started
            n += 1
    return _without_clock(ns[:n])


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """A collection is a pause of the program around, not of a step."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _without_clock(ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """The times less what reading the clock takes in Python."""
    clock, costs = time.perf_counter_ns, []
    for _ in range(1001):
        started = clock()
        costs.append(clock() - started)
    found: NDArray[np.int64] = np.maximum(ns - int(np.median(costs)), 0)
    return found


def _against_reading(model: Model, x: NDArray[Any], arrays: list[NDArray[Any]], seconds: float) -> tuple[float, ...]:
    """Nanoseconds of reading the weights once, of a step, and the ratio: medians of rounds of both in turn."""
    stream, n_rounds = model.stream(), max(ROUNDS, int(seconds / BLOCK_S / 2))
    n_steps = _n_steps(model, x, BLOCK_S)
    per_read = {width: _per_read(arrays, width) for width in timing.readers()}
    width = min(per_read, key=per_read.__getitem__)
    n_reads = max(1, int(BLOCK_S * 1e9 / per_read[width]))
    reads, steps = np.empty(n_rounds), np.empty(n_rounds)
    for k in range(n_rounds):
        reads[k] = timing.read_ns(arrays, width, n_reads) / n_reads
        steps[k] = timing.block_ns(stream, x, n_steps) / n_steps
    return float(np.median(reads)), float(np.median(steps)), float(np.median(reads / steps))


def _per_read(arrays: list[NDArray[Any]], width: int) -> float:
    """Nanoseconds of reading the weights once with vectors of so many bytes."""
    return _per_call(lambda n: timing.read_ns(arrays, width, n))


def _pool(model: Model, x: NDArray[Any], n_streams: int, threads: int, seconds: float) -> Record:
    """Steps per second of a pool, the median of several parts; one thread stays on one core."""
    pool = model.pool(n_streams, threads=threads)
    handles = np.array([pool.open(i) for i in range(n_streams)], np.uint64)
    X, Y = np.tile(x, (n_streams, 1)), np.empty((n_streams, model.n_out), model.dtype)
    due = None if (model.stride, model.delay) == (1, 0) else np.empty(n_streams, np.uint8)
    pool.step(handles, X, out=Y, due=due)
    with one_core() if threads == 1 else contextlib.nullcontext():
        rates = [_rate(lambda: pool.step(handles, X, out=Y, due=due), seconds / PARTS) for _ in range(PARTS)]
    return {"n_streams": n_streams, "threads": threads, "steps_per_s": float(np.median(rates)) * n_streams}


def _rate(call: Callable[[], object], seconds: float) -> float:
    """Calls per second, over at least so long and one call."""
    n, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds or not n:
        call()
        n += 1
    return n / passed
