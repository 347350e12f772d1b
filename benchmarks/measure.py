"""Timing in interleaved rounds, and what is told of the times.

In every round each contender runs once, so that whatever the machine does meanwhile hits all of them; every other
round runs backwards. A ratio of two contenders is the median over the rounds of the ratios of the pairs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.base import Contender
from benchmarks.network import Floats

Times = dict[str, NDArray[np.float64]]  # name -> seconds (n_rounds,)


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int
    round_s: float  # of each contender in each round
    n_each: int  # steps whose times are taken one by one


FULL = Effort(rounds=75, round_s=0.004, n_each=20_000)
QUICK = Effort(rounds=7, round_s=0.001, n_each=1000)


@dataclass(frozen=True)
class Middle:
    """A median and the interval that holds it with 95 % confidence."""

    median: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def middle(samples: Iterable[float]) -> Middle:
    """The interval is that of the order statistics: it assumes nothing of how the samples are spread."""
    ordered = np.sort(np.fromiter(samples, np.float64))
    n = len(ordered)
    beyond = max(0, int(np.floor(n / 2 - 0.98 * np.sqrt(n))) - 1)  # the binomial, by its normal approximation
    return Middle(float(np.median(ordered)), float(ordered[beyond]), float(ordered[n - 1 - beyond]))


def ratio(times: Times, a: str, b: str) -> Middle:
    """How many times as long *a* takes as *b*."""
    return middle(times[a] / times[b])


def check(contenders: Sequence[Contender], x: Floats, X: Floats, expected: Floats) -> None:
    """Hold every answer of every contender, from the start, against the equations."""
    for contender in contenders:
        if contender.tolerance is None:
            continue
        for i, row in enumerate(X):
            x[:] = row
            contender.take(1)
            answer, what = contender.answer(), f"{contender.name}, step {i}"
            right = np.broadcast_to(expected[i], answer.shape)
            np.testing.assert_allclose(answer, right, rtol=0, atol=contender.tolerance, err_msg=what)


def interleaved(contenders: Sequence[Contender], effort: Effort) -> Times:
    """Seconds per step of each contender in each round."""
    return rounds({contender.name: contender.take for contender in contenders}, effort)


def rounds(
    takers: Mapping[str, Callable[[int], object]],
    effort: Effort,
    prepare: Mapping[str, Callable[[], object]] | None = None,
) -> Times:
    """The same for functions that take the number of turns; *prepare* is called before a function is timed."""
    prepare = prepare or {}
    turns = {}
    for name, take in takers.items():
        prepare.get(name, _nothing)()
        take(1)
        turns[name] = max(1, round(effort.round_s / _enough(take, effort.round_s / 5)))
    times: Times = {name: np.empty(effort.rounds) for name in takers}
    for k in range(effort.rounds):
        for name in list(takers)[:: -1 if k % 2 else 1]:
            prepare.get(name, _nothing)()
            takers[name](turns[name] // 2)  # others have been in the caches
            times[name][k] = _seconds(takers[name], turns[name])
    return times


def tails(each_ns: NDArray[np.int64]) -> dict[str, float]:
    """Percentiles of single steps, in ns."""
    p50, p99, p999 = np.percentile(each_ns, (50, 99, 99.9))
    return {"p50": float(p50), "p99": float(p99), "p99.9": float(p999), "max": float(each_ns.max())}


def _enough(take: Callable[[int], object], least_s: float) -> float:
    """Seconds per turn, of as many turns as take at least so long."""
    n = 1
    while (found := _seconds(take, n)) * n < least_s:
        n *= 2
    return found


def _seconds(take: Callable[[int], object], n: int) -> float:
    started = time.perf_counter()
    take(n)
    return (time.perf_counter() - started) / n


def _nothing() -> None:
    pass
