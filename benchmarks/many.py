"""Many streams in one tick: a pool on one thread and on two, the products alone, a batched cell, and the peak."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.contenders import peak, pytorch
from benchmarks.contenders.base import Absent, Calls, Contender
from benchmarks.contenders.peak import PEAK, PEAK_TWICE
from benchmarks.measure import Effort, Middle, Times, check, middle, ratio, rounds
from benchmarks.network import Network, inputs, network

N_CHECKED = 20  # ticks over which every contender must agree
BATCH_S, LEAST_ROUNDS = 12.0, 25  # what large batches have: so long, about, but so many rounds
BATCHES = (1, 8, 32, 96, 256, 1024)
POOL, TWO_THREADS, SGEMM = "streamgru", "streamgru, two threads", "OpenBLAS sgemm, products alone"


@dataclass
class Batch:
    """What was measured for one size and one number of streams."""

    n_in: int
    n_hid: int
    n_streams: int
    times: Times

    def of_peak(self, name: str) -> Middle:
        """The part of one core's peak that a contender reaches; what is counted are the products."""
        operations = 2 * 3 * self.n_hid * (self.n_in + self.n_hid) * self.n_streams
        return middle(operations / self.times[name] / (peak.operations() / self.times[PEAK]))

    def two_threads(self) -> Middle | None:
        """How many times as fast two threads are as one."""
        return ratio(self.times, POOL, TWO_THREADS) if TWO_THREADS in self.times else None

    def two_loops(self) -> Middle | None:
        """How many times as much two peak loops at once do as one."""
        return middle(2 * self.times[PEAK] / self.times[PEAK_TWICE]) if PEAK_TWICE in self.times else None


def measure(n_in: int, n_hid: int, n_streams: int, effort: Effort) -> Batch:
    """Check, then time."""
    net, X = network(n_in, n_hid), np.zeros((n_streams, n_in), np.float32)
    contenders: list[Contender] = [_pool(POOL, net, X, 1)]
    if len(machine.all_cores()) > 1:
        contenders += [_pool(TWO_THREADS, net, X, 2), peak.two_loops()]
    with contextlib.suppress(Absent):  # as told of the single streams
        contenders.append(pytorch.batched(net, X))
    machine.pin(machine.all_cores())  # where the second thread is to live
    steps = inputs(n_in)[:N_CHECKED]
    started = time.perf_counter()
    check(contenders, X, steps, net.answers(steps)[:, None])
    turn_s = (time.perf_counter() - started) / N_CHECKED  # of all of them
    effort = replace(effort, rounds=min(effort.rounds, max(LEAST_ROUNDS, int(BATCH_S / turn_s))))
    contenders += [_products(net, X), peak.loop()]
    pinned = {contender.name: lambda: machine.pin(machine.all_cores()[-1:]) for contender in contenders}
    pinned[TWO_THREADS] = lambda: machine.pin(machine.all_cores())
    times = rounds({contender.name: contender.take for contender in contenders}, effort, pinned)
    return Batch(n_in, n_hid, n_streams, times)


def _pool(name: str, net: Network, X: NDArray[np.float32], threads: int) -> Contender:
    pool = net.model().pool(len(X), threads=threads)
    handles = np.array([pool.open(i) for i in range(len(X))], np.uint64)
    Y = np.zeros((len(X), net.n_hid), np.float32)

    def take(n: int) -> None:
        for _ in range(n):
            pool.step(handles, X, out=Y)

    return Calls(name, take, lambda: Y)


def _products(net: Network, X: NDArray[np.float32]) -> Contender:
    """The two matrix products of a tick, with nothing around them."""
    w, u = (np.ascontiguousarray(net.tensors[f"gru.0.{name}"].T) for name in ("weight_ih", "weight_hh"))
    H = np.full((len(X), net.n_hid), 0.5, np.float32)
    a, v = (np.empty((len(X), 3 * net.n_hid), np.float32) for _ in range(2))

    def take(n: int) -> None:
        for _ in range(n):
            np.matmul(X, w, out=a)
            np.matmul(H, u, out=v)

    return Calls(SGEMM, take)
