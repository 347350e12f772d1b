"""What flows along the edges of a graph: constants, and values of which it is known which axis is what.

An axis of a value is a row of atoms, in row-major order: the streams (``batch``), the steps (``time``), and pieces of
the features. So a Reshape is understood as a regrouping of the atoms, whatever the exporter had in mind with it.
All feature atoms of a value, in order, are the vector that a layer hands out. Atoms of size 1 do not exist.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import FormatError, UnsupportedError

# Sizes that a file leaves open are given a number, so that arithmetic with shapes is plain arithmetic: primes that
# no file has for a size of its own.
OPEN_BATCH, OPEN_TIME = 1009, 10_007
MAX_ELEMENTS = 1 << 24  # of one constant that was computed
MAX_RANK = 8  # of one; NumPy itself ends at 64
MAX_FEATURES = 65_536


class Misread(UnsupportedError):
    """The axes of a value are not what an operator expects: its input may have been read in the wrong way."""


@dataclass(frozen=True)
class Atom:
    """A piece of an axis."""

    kind: Literal["batch", "time", "feature"]
    size: int


Axis = tuple[Atom, ...]


@dataclass(frozen=True)
class Constant:
    """An array. One that is *measured* came from the shape of a value, and tells sizes, not numbers to compute with."""

    array: NDArray[Any]
    name: str = ""
    measured: bool = False


@dataclass(frozen=True)
class Flow:
    """What part *part* of the network hands out at each step; *padded* zeros stand before and behind it in time."""

    part: int
    axes: tuple[Axis, ...]
    padded: tuple[int, int] = (0, 0)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        return tuple(math.prod(atom.size for atom in axis) for axis in self.axes)

    @property
    def pieces(self) -> tuple[int, ...]:
        """The sizes of the feature atoms, in order."""
        return tuple(atom.size for axis in self.axes for atom in axis if atom.kind == "feature")

    @property
    def size(self) -> int:
        """How many features there are."""
        return math.prod(self.pieces)

    def has(self, kind: str) -> bool:
        """Whether an axis has an atom of that kind."""
        return any(atom.kind == kind for axis in self.axes for atom in axis)

    def grid(self) -> NDArray[np.int64]:
        """The features' numbers, in an array with the axes of the value, those of batch and time being of size 1."""
        return np.arange(self.size).reshape([feature_size(axis) for axis in self.axes])


Value = Flow | Constant


def features(size: int) -> Axis:
    """An axis of *size* features."""
    return (Atom("feature", size),) if size > 1 else ()


def feature_size(axis: Axis) -> int:
    """How many features an axis has.

    Raises
    ------
    UnsupportedError
        If it mixes them with steps or streams.
    """
    kinds = {atom.kind for atom in axis}
    if len(kinds) > 1 and "feature" in kinds:
        raise Misread("an axis mixes features with steps or streams; every step must be treated alike")
    return math.prod(atom.size for atom in axis) if kinds == {"feature"} else 1


def is_features(axis: Axis) -> bool:
    """Whether there is nothing but features along an axis."""
    return all(atom.kind == "feature" for atom in axis)


def is_kind(axis: Axis, kind: str) -> bool:
    """Whether an axis is that of the steps or the streams, perhaps of a single one."""
    return axis == () or (len(axis) == 1 and axis[0].kind == kind)


def axis_number(number: int, rank: int) -> int:
    """An axis counted from the front."""
    if not -rank <= number < rank:
        raise FormatError(f"expected an axis of {rank}, got {number}")
    return number % rank


def reshaped(flow: Flow, target: Sequence[int]) -> Flow:
    """Group the atoms of a value into axes of other sizes; features may be cut, steps and streams stay whole."""
    rest = [atom for axis in flow.axes for atom in axis]
    axes = []
    for size in target:
        axis: list[Atom] = []
        missing = size
        while missing > 1 and rest:
            atom = rest.pop(0)
            if missing % atom.size:
                if atom.kind != "feature" or atom.size % missing:
                    raise Misread(_cut(flow, target))
                rest.insert(0, Atom("feature", atom.size // missing))
                atom = Atom("feature", missing)
            axis.append(atom)
            missing //= atom.size
        if missing != 1:
            raise Misread(_cut(flow, target))
        axes.append(tuple(axis))
    if rest:
        raise Misread(_cut(flow, target))
    return replace(flow, axes=tuple(axes))


def _cut(flow: Flow, target: Sequence[int]) -> str:
    axes = ", ".join(" x ".join(f"{atom.kind} {atom.size}" for atom in axis) or "1" for axis in flow.axes)
    return f"({axes}) cannot become {tuple(target)} without mixing streams, steps and features"


def in_bounds(*shape: int) -> None:
    """Refuse a shape of more axes or elements than are computed with; before it is made."""
    if len(shape) > MAX_RANK or max(shape, default=0) > MAX_ELEMENTS or math.prod(shape) > MAX_ELEMENTS:
        got = " x ".join(map(str, shape[: MAX_RANK + 1]))
        raise UnsupportedError(f"expected constants of at most {MAX_RANK} axes and {MAX_ELEMENTS} elements, got {got}")


def per_feature(constant: Constant, flow: Flow) -> tuple[NDArray[Any], tuple[int, ...]]:
    """A constant for a value to be broadcast with: an array that has no batch and no time, and the features' shape.

    Raises
    ------
    UnsupportedError
        If it differs from step to step or from stream to stream.
    """
    if constant.measured:
        raise UnsupportedError(f"it computes with the sizes of its input ({constant.name!r}), which a stream has not")
    array = constant.array
    if not array.size:
        raise FormatError(f"the constant {constant.name!r} has no elements")
    rank = max(array.ndim, len(flow.axes))
    axes = ((),) * (rank - len(flow.axes)) + flow.axes
    array = array.reshape((1,) * (rank - array.ndim) + array.shape)
    for k, axis in enumerate(axes):
        if axis and not is_features(axis) and array.shape[k] > 1:
            feature_size(axis)
            first = array.take([0], axis=k)
            if not np.array_equal(np.broadcast_to(first, array.shape), array):
                raise UnsupportedError(f"the constant {constant.name!r} differs from step to step or stream to stream")
            array = first
    own = tuple(feature_size(axis) for axis in axes)
    try:
        shape = np.broadcast_shapes(array.shape, own)
    except ValueError:
        raise FormatError(f"{array.shape} and {own} features cannot be broadcast") from None
    if math.prod(shape) > MAX_FEATURES:
        raise UnsupportedError(f"expected at most {MAX_FEATURES} features, got {math.prod(shape)}")
    return array, shape
