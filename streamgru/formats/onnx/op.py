"""One operator as its handler sees it: every attribute and every input that is not asked for is a reason to refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import FormatError, UnsupportedError
from streamgru.formats.onnx.network import Network, Tensors, plain_name
from streamgru.formats.onnx.values import Axis, Constant, Flow, Value, in_bounds
from streamgru.formats.onnx_file import Node
from streamgru.model import spec as s

T = TypeVar("T")
NUMBER_TYPES = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}


@dataclass
class Trace:
    """What is found on a walk through the graph, beside the network itself."""

    network: Network
    opset: int
    pytorch: bool  # whether PyTorch wrote the file
    open_time: bool  # whether the file leaves open how many steps there are
    inputs: dict[int, str] = field(default_factory=dict)  # part -> the name of the program's input
    vocab: dict[int, int] = field(default_factory=dict)  # part -> how many tokens its input knows
    starts: dict[str, tuple[int, int]] = field(
        default_factory=dict
    )  # GRU -> part and place of the state it begins with
    ends: set[int] = field(default_factory=set)  # parts that hand out the final states of GRUs
    lengths: dict[str, int | None] = field(default_factory=dict)  # GRU -> part that tells how long the sequences are
    integers: set[int] = field(default_factory=set)  # parts whose input is of whole numbers
    notes: list[str] = field(default_factory=list)


class Op:
    """A node with its values."""

    def __init__(self, node: Node, values: Sequence[Value | None], trace: Trace) -> None:
        self.node, self.trace, self.network, self.opset = node, trace, trace.network, trace.opset
        self._values = values
        self._asked: set[int] = set()
        self._attributes = dict(node.attributes)

    @property
    def name(self) -> str:
        """What its layers are called."""
        return plain_name(self.node.name or next(filter(None, self.node.outputs), ""), self.node.op)

    @property
    def count(self) -> int:
        """How many inputs it has."""
        return len(self._values)

    def attribute(self, name: str, default: T) -> T:
        """An attribute, of the type of *default*: int, float, str, or a tuple."""
        value = self._attributes.pop(name, default)
        if type(value) is not type(default):
            raise FormatError(f"expected the attribute {name!r} as {type(default).__name__}, got {str(value)[:40]}")
        return value

    def ints(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """An attribute of integers."""
        found = self.attribute(name, default)
        if not all(type(item) is int for item in found):
            raise FormatError(f"expected the attribute {name!r} to be of integers, got {str(found)[:40]}")
        return found

    def only(self, **expected: Any) -> None:
        """Refuse attributes that are there with another value."""
        for name, value in expected.items():
            found = self._attributes.pop(name, value)
            if type(found) is not type(value) or found != value:
                raise UnsupportedError(f"its attribute {name!r} is {str(found)[:40]!r}; only {value!r} is understood")

    def ignore(self, *names: str) -> None:
        """Attributes without effect on what comes out."""
        for name in names:
            self._attributes.pop(name, None)

    def maybe(self, name: str, kind: type[T]) -> T | None:
        """An attribute that may be left out, of a certain type."""
        value = self._attributes.pop(name, None)
        if value is not None and type(value) is not kind:
            raise FormatError(f"expected the attribute {name!r} as {kind.__name__}, got {str(value)[:40]}")
        return value

    def value(self, at: int) -> Value:
        """An input that must be there."""
        found = self.optional(at)
        if found is None:
            raise FormatError(f"expected an input number {at}")
        return found

    def optional(self, at: int) -> Value | None:
        """An input, if it is there."""
        self._asked.add(at)
        return self._values[at] if at < len(self._values) else None

    def flow(self, at: int, padded: bool = False) -> Flow:
        """An input that changes from step to step; with zeros around it only for who asks for them."""
        value = self.value(at)
        if isinstance(value, Constant):
            raise UnsupportedError(f"its input {at} is a constant ({value.name!r}); expected a value")
        return value if padded else unpadded(value)

    def array(self, at: int) -> NDArray[Any] | None:
        """A constant input, if it is there, that was not measured."""
        value = self.optional(at)
        if value is None:
            return None
        if not isinstance(value, Constant) or value.measured:
            raise UnsupportedError(f"its input {at} is computed; expected a constant")
        return value.array

    def needed(self, at: int) -> NDArray[Any]:
        """A constant input that must be there."""
        array = self.array(at)
        if array is None:
            raise FormatError(f"expected an input number {at}")
        return array

    def integers(self, at: int) -> list[int] | None:
        """A constant input of integers, perhaps measured: axes, places and sizes."""
        value = self.optional(at)
        if value is None:
            return None
        if not isinstance(value, Constant) or value.array.dtype.kind not in "iu" or value.array.size > 1024:
            raise UnsupportedError(f"its input {at} is computed; expected constant integers")
        return [int(item) for item in value.array.ravel()]

    def sources(self, *inputs: int) -> tuple[str, ...]:
        """The names and shapes of constant inputs, for findings."""
        found = (self._values[at] if at < len(self._values) else None for at in inputs)
        return tuple(f"{c.name} {c.array.shape}" for c in found if isinstance(c, Constant))

    def constant(self, array: Any, *by: Value | None) -> Constant:
        """A constant that was computed; from what was measured, if one of *by* was."""
        array = np.asarray(array)
        in_bounds(*array.shape)
        self.network.spend(array.nbytes)
        return Constant(array, self.name, any(isinstance(value, Constant) and value.measured for value in by))

    def emit(
        self, layer: s.AnyLayer, *flows: Flow, size: int, axes: tuple[Axis, ...], tensors: Tensors | None = None,
        sources: tuple[str, ...] = (),
    ) -> Flow:  # fmt: skip
        """Add a layer."""
        parts = tuple(unpadded(flow).part for flow in flows)
        number = self.network.layer(layer, parts, size, tensors or {}, sources=sources, origin=self.node.title)
        return Flow(number, axes)

    def check_done(self, wanted: Iterable[int], given: int) -> None:
        """Refuse what was not asked for, after the handler has done its work."""
        if self._attributes:
            raise UnsupportedError(f"its attribute {min(self._attributes)!r} is not understood")
        for at, value in enumerate(self._values):
            if value is not None and at not in self._asked:
                raise UnsupportedError(f"its input {at} is not understood")
        for at in wanted:
            if at >= given:
                raise UnsupportedError(f"its output {at} is not understood")


Handler = Callable[[Op], Sequence[Value | None]]


def unpadded(flow: Flow) -> Flow:
    """A value without zeros around it; only convolutions and pools know what to do with these."""
    if flow.padded != (0, 0):
        raise UnsupportedError("zeros were padded to its input in time; only Conv and AveragePool can take them")
    return flow


def moved(flow: Flow, part: int, axes: tuple[Axis, ...]) -> Flow:
    """The same steps with other features or another order of axes."""
    return replace(flow, part=part, axes=axes)


def broadcast_shape(*arrays: NDArray[Any]) -> tuple[int, ...]:
    """The shape of what comes out of elementwise arithmetic."""
    try:
        return np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError:
        raise FormatError(f"shapes {', '.join(str(array.shape) for array in arrays)} cannot be broadcast") from None
