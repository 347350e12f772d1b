"""What is timed: one step from what is in *x*, with the state of the step before.

All contenders of a size read one array ``x``; the benchmark writes into it.
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from textwrap import dedent, indent
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.native import LONG, address, clock_cost_ns, loops

F32, F16, Q8 = 1e-5, 2e-3, 0.1  # how far from float64 an answer may be


class Absent(Exception):
    """A runtime cannot take part, and why."""


class Contender(Protocol):
    """Something that takes steps."""

    name: str
    tolerance: float | None  # None: it gives no answer

    def take(self, n: int) -> None:
        """n steps."""

    def answer(self) -> NDArray[Any]:
        """What the last step gave."""

    def each_ns(self, n: int) -> NDArray[np.int64]:
        """The time of each of n steps, without that of the clock."""


class FromPython:
    """Statements in a loop, compiled as ``timeit`` does it, for none to pay for a call or a closure.

    *names* are their local variables, which keep from one loop to the next what was assigned to them; *answer* is
    given them. Around each loop there is ``with within():``.
    """

    tolerance: float | None

    def __init__(
        self, name: str, statements: str, answer: Callable[[dict[str, Any]], NDArray[Any]], tolerance: float = F32,
        within: Callable[[], AbstractContextManager[object]] = nullcontext, **names: Any,
    ) -> None:  # fmt: skip
        self.name, self.tolerance = name, tolerance
        self._answer, self._within, self._names = answer, within, names
        taken = "".join(f"    {key} = names[{key!r}]\n" for key in names)
        kept = "".join(f"    names[{key!r}] = {key}\n" for key in names)
        body = indent(dedent(statements).strip(), " " * 8)
        made: dict[str, Any] = {}
        exec(
            f"def take(names, turns):\n{taken}    for _ in turns:\n{body}\n{kept}"
            f"def each(names, turns, clock, ns):\n{taken}    for i in turns:\n"
            f"        started = clock()\n{body}\n        ns[i] = clock() - started\n{kept}",
            made,
        )
        self._take, self._each = made["take"], made["each"]

    def take(self, n: int) -> None:
        with self._within():
            self._take(self._names, range(n))

    def answer(self) -> NDArray[Any]:
        return self._answer(self._names)

    def each_ns(self, n: int) -> NDArray[np.int64]:
        ns = [0] * n
        gc.collect()
        gc.disable()
        try:
            with self._within():
                self._each(self._names, range(n), time.perf_counter_ns, ns)
        finally:
            gc.enable()
        return np.array(ns) - _clock_of_python_ns()


class FromC:
    """A C function in a C loop."""

    tolerance: float | None

    def __init__(
        self, name: str, step: ctypes.c_void_p, stream: ctypes.c_void_p, x: NDArray[Any], y: NDArray[Any],
        tolerance: float = F32, owner: object = None,
    ) -> None:  # fmt: skip
        self.name, self.tolerance = name, tolerance
        self._arguments = step, stream, address(x), address(y)
        self._y, self._owner = y, owner

    def take(self, n: int) -> None:
        assert loops().bench_steps(*self._arguments, LONG(n)) == 0

    def answer(self) -> NDArray[Any]:
        return self._y

    def each_ns(self, n: int) -> NDArray[np.int64]:
        ns = np.zeros(n, np.int64)
        assert loops().bench_each(*self._arguments, LONG(n), address(ns)) == 0
        return ns - clock_cost_ns()


class Calls:
    """A function that takes the number of turns."""

    def __init__(self, name: str, take: Callable[[int], object], answer: Callable[[], NDArray[Any]] | None = None):
        self.name, self._take, self._answer = name, take, answer
        self.tolerance = None if answer is None else F32

    def take(self, n: int) -> None:
        self._take(n)

    def answer(self) -> NDArray[Any]:
        assert self._answer is not None
        return self._answer()

    def each_ns(self, n: int) -> NDArray[np.int64]:
        raise NotImplementedError(f"{self.name}: only timed many at a time")


def _clock_of_python_ns(n: int = 2001) -> int:
    clock = time.perf_counter_ns
    ns = []
    for _ in range(n):
        started = clock()
        ns.append(clock() - started)
    return int(np.median(ns))
