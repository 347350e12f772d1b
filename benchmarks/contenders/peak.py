"""What a core can multiply and add at most, and whether two can do twice that."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

from benchmarks import machine
from benchmarks.contenders.base import Calls, Contender
from benchmarks.native import CHAINS, LONG, loops

ROUNDS = 10_000  # of the loop in a turn
WIDTHS = (64, 32, 16)  # bytes of a vector
PEAK, PEAK_TWICE = "FMA peak", "FMA peak on two cores"


def loop() -> Contender:
    """A turn of the fastest loop."""
    return Calls(PEAK, lambda n: loops().bench_peak(width(), LONG(n * ROUNDS)))


def two_loops() -> Contender:
    """A turn of it on each of two cores at once."""
    crew = [ThreadPoolExecutor(1, initializer=machine.pin, initargs=([core],)) for core in machine.all_cores()[:2]]

    def take(n: int) -> None:
        for running in [each.submit(loops().bench_peak, width(), LONG(n * ROUNDS)) for each in crew]:
            running.result()

    return Calls(PEAK_TWICE, take)


def operations() -> int:
    """Multiplications and additions of a turn of one loop."""
    return 2 * CHAINS * width() // 4 * ROUNDS


@cache
def width() -> int:
    """Bytes of the vectors that are fastest here."""
    from benchmarks.measure import QUICK, rounds
    from streamgru.kernels import packed

    supported = WIDTHS[{"avx512": 0, "avx2": 1}.get(packed.isas()[0], 2) :]
    times = rounds({str(w): lambda n, w=w: loops().bench_peak(w, LONG(n * ROUNDS)) for w in supported}, QUICK)
    return max(supported, key=lambda w: w / float(np.median(times[str(w)])))
