"""One stream: the time of a step, beside peers and beside reading the weights once."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders import ours
from benchmarks.contenders.base import Absent, Contender
from benchmarks.measure import Effort, Times, check, interleaved, tails
from benchmarks.network import Network, inputs, network

SIZES = ((4, 16), (8, 32), (16, 64), (32, 128), (64, 256), (128, 512), (256, 1024))
RUNTIMES = ("ours", "by_hand", "pytorch", "onnxruntime_", "openvino_", "litert")
PATIENT = ("streamgru, C", "streamgru, bound", "streamgru, Python", "numpy", "torch GRUCell", "ONNX Runtime bound")
EACH_S = 8.0  # for single steps, about
READ, BEFORE, STACK, PARTS = "read once", "reset before, C", "stack and head, C", "sum of its parts, C"


@dataclass
class Steps:
    """What was measured for one size."""

    n_in: int
    n_hid: int
    times: Times
    tails: dict[str, dict[str, float]] = field(default_factory=dict)
    each_ns: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def weight_bytes(self) -> int:
        """What a step reads, in float32."""
        return 4 * 3 * self.n_hid * (self.n_in + self.n_hid)


def absent() -> dict[str, str]:
    """Who is left out, and why."""
    reasons = {}
    for runtime in RUNTIMES:
        try:
            _contenders(runtime, network(4, 16), np.zeros(4, np.float32))
        except Absent as reason:
            reasons[runtime.rstrip("_")] = str(reason)
    return reasons


def measure(n_in: int, n_hid: int, effort: Effort) -> Steps:
    """Check all contenders, then time them."""
    x, plain = np.zeros(n_in, np.float32), network(n_in, n_hid)
    contenders: list[Contender] = []
    for runtime in RUNTIMES:
        try:
            contenders += _contenders(runtime, plain, x)
        except Absent:
            continue
    X = inputs(n_in)
    check(contenders, x, X, plain.answers(X))
    before = network(n_in, n_hid, variant="before")
    variants = [ours.from_c(BEFORE, before.model(), x)]
    check(variants, x, X, before.answers(X))
    stack = network(n_in, n_hid, n_layers=2, head=True)
    stacked = [ours.from_c(STACK, stack.model(), x)]
    check(stacked, x, X, stack.answers(X))
    parts = _parts(stack, x)
    readers = ours.read_once(plain.macs)
    times = interleaved([*contenders, *variants, *stacked, *parts, *readers], effort)
    times[READ] = np.minimum.reduce([times.pop(reader.name) for reader in readers])
    times[PARTS] = np.sum([times.pop(part.name) for part in parts], axis=0)
    found = Steps(n_in, n_hid, times)
    for contender in contenders:
        if contender.name in PATIENT:
            most = int(EACH_S / np.median(times[contender.name]))
            each = contender.each_ns(min(effort.n_each, max(1000, most)))
            found.each_ns[contender.name], found.tails[contender.name] = each, tails(each)
    return found


def _contenders(runtime: str, net: Network, x: NDArray[np.float32]) -> Sequence[Contender]:
    module = importlib.import_module(f"benchmarks.contenders.{runtime}")
    found: Sequence[Contender] = module.contenders(net, x)
    return found


def _parts(stack: Network, x: NDArray[np.float32]) -> list[Contender]:
    """The layers of a stack, each as a network of its own."""
    h = np.full(stack.n_hid, 0.25, np.float32)
    second = network(stack.n_hid, stack.n_hid)
    return [
        ours.from_c("part 1", network(stack.n_in, stack.n_hid).model(), x),
        ours.from_c("part 2", second.model(), h),
        ours.dense("part 3", stack, h),
    ]
