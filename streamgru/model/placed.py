"""Where things lie: the values of a network in the scratch, what it remembers in the state, and when each is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from streamgru.model import spec as s
from streamgru.model.clocks import EVERY, Clock
from streamgru.model.small import Quantised, TensorInfo

ALIGN = 16  # elements; 64 bytes of float32, so that no value shares a cache line with another


@dataclass(frozen=True)
class Value:
    """An array of *size* elements at a fixed place of the scratch, new at the steps of *clock*."""

    offset: int
    size: int
    clock: Clock = EVERY


@dataclass(frozen=True)
class StateEntry:
    """What one layer remembers: *size* elements at *offset* of the state, after a step at *new* of the scratch.

    They are rows of *width* elements, the oldest first, if there is a width.
    """

    name: str
    offset: int
    size: int
    new: int
    clock: Clock = EVERY
    width: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """As an array."""
        return (self.size // self.width, self.width) if self.width else (self.size,)


@dataclass(frozen=True)
class Window:
    """Rows of *source* that are kept for later: at *buffer* those of the state, oldest first, and the new one behind.

    So the next state is the buffer without its oldest row. *taken* is what is read of it, by its own clock: where
    it does not begin with the buffer, it is made of rows *dilation* apart or, *late*, it is the oldest row of
    the state, since no new one comes at that step.
    """

    source: Value
    buffer: Value
    state: StateEntry
    taken: Value
    dilation: int = 1
    late: bool = False


@dataclass(frozen=True)
class Placed:
    """One layer with its values placed and its tensors found."""

    layer: s.AnyLayer
    inputs: tuple[Value, ...]
    output: Value
    tensors: Mapping[str, np.ndarray | Quantised | TensorInfo]
    state: StateEntry | None = None
    gates: Value | None = None  # r, z and n of a GRU, each rounded up to whole panels
    scratch: Value | None = None  # for products and quantised vectors
    projected: Value | None = None  # what a GRU has added up before it comes to the state
    delays: tuple[Window, ...] = ()  # of inputs that wait for others, and that no layer before made wait
    window: Window | None = None  # of a layer that looks at more than one row

    @property
    def clock(self) -> Clock:
        """When it answers."""
        return self.output.clock

    @property
    def reads(self) -> Value:
        """What it computes from."""
        return self.inputs[0] if self.window is None else self.window.taken


@dataclass(frozen=True)
class Token:
    """Element *index* of x is a token below *vocab*."""

    index: int
    vocab: int
    name: str


@dataclass
class Layout:
    """Everything that a plan needs to know about a program."""

    x: Value
    y: Value = Value(0, 0)
    tokens: list[Token] = field(default_factory=list)
    layers: list[Placed] = field(default_factory=list)
    state: list[StateEntry] = field(default_factory=list)
    n_state: int = 0  # elements of the state block
    n_work: int = 0  # elements of the scratch

    @property
    def timed(self) -> bool:
        """Whether a layer does not answer at every step."""
        return any(placed.clock != EVERY for placed in self.layers)

    def reserve(self, size: int, clock: Clock = EVERY) -> Value:
        """A place in the scratch."""
        value = Value(self.n_work, size, clock)
        self.n_work += aligned(size)
        return value

    def remember(self, name: str, size: int, new: int, clock: Clock, width: int = 0) -> StateEntry:
        """A place in the state, for what a step leaves at *new* of the scratch."""
        entry = StateEntry(name, self.n_state, size, new, clock, width)
        self.n_state += aligned(size)
        self.state.append(entry)
        return entry


def aligned(size: int) -> int:
    """*size* rounded up, so that what comes behind begins on a cache line."""
    return -(-size // ALIGN) * ALIGN
