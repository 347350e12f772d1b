"""Which predictions go out: ``every``, every N-th, on ``change``, ``above=P``, only the ``last``."""

from __future__ import annotations

import abc
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import OptionError

Rows = NDArray[np.floating[Any]]


class Emit(abc.ABC):
    """Chooses, stream by stream; remembers what it must, by the handle of the stream."""

    def __init__(self, answer: slice) -> None:
        self._answer = answer  # the part of y that the choice looks at
        self._memory: dict[int, Any] = {}

    @abc.abstractmethod
    def choose(self, handle: int, y: NDArray[np.floating[Any]], ends: bool) -> bool:
        """Whether the prediction y (n_out,) of a stream goes out; *ends*: it is the stream's last."""

    def forget(self, handle: int) -> None:
        """The stream has ended."""
        self._memory.pop(handle, None)

    @property
    def everything(self) -> bool:
        """Whether nothing is ever held back, so that nobody needs to ask row by row."""
        return False

    @property
    def holds_last(self) -> bool:
        """Whether the last prediction of a stream goes out when its source ends."""
        return False


class Every(Emit):
    """Every N-th prediction of each stream."""

    def __init__(self, answer: slice, n: int) -> None:
        super().__init__(answer)
        self._n = n

    @property
    def everything(self) -> bool:
        return self._n == 1

    def choose(self, handle: int, y: NDArray[np.floating[Any]], ends: bool) -> bool:
        count = self._memory.get(handle, 0) + 1
        self._memory[handle] = count % self._n
        return bool(count == self._n)


class Change(Emit):
    """When the answer is another one than before: the largest element, or the value if there is one."""

    def choose(self, handle: int, y: NDArray[np.floating[Any]], ends: bool) -> bool:
        part = y[self._answer]
        answer = part.argmax() if part.size > 1 else part[0]
        before = self._memory.get(handle)
        self._memory[handle] = answer
        return before is None or bool(before != answer)


class Above(Emit):
    """When any element of the answer is at least P."""

    def __init__(self, answer: slice, p: float) -> None:
        super().__init__(answer)
        self._p = p

    def choose(self, handle: int, y: NDArray[np.floating[Any]], ends: bool) -> bool:
        return bool(y[self._answer].max() >= self._p)


class Last(Emit):
    """One prediction per sequence: when a stream, or what it belongs to, ends."""

    @property
    def holds_last(self) -> bool:
        return True

    def choose(self, handle: int, y: NDArray[np.floating[Any]], ends: bool) -> bool:
        return ends


def make_emit(text: str, answer: slice = slice(None)) -> Emit:
    """Read ``every``, ``N``, ``change``, ``above=P`` or ``last``; OptionError for anything else."""
    name, _, value = text.partition("=")
    if text == "every":
        return Every(answer, 1)
    if re.fullmatch("0*[1-9][0-9]{0,17}", text):
        return Every(answer, int(text))
    if text == "change":
        return Change(answer)
    if text == "last":
        return Last(answer)
    if name == "above":
        try:
            p = float(value)
        except ValueError:
            p = float("nan")
        if np.isfinite(p):
            return Above(answer, p)
    raise OptionError(f"emit: expected every, a number N, change, above=P or last, got {text!r}")
