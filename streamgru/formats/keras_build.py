"""What the layers of a Keras model are turned into, piece by piece: a program, its tensors, and what was found."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np

from streamgru.errors import SpecError, UnsupportedError
from streamgru.formats.keras_config import Node, Settings
from streamgru.formats.keras_functions import Function, named
from streamgru.formats.keras_weights import Array, Tensors
from streamgru.model import spec as s

WAY = re.compile(r"(?:^|/)(forward|backward)_")  # how a Bidirectional calls its two layers


@dataclass(frozen=True)
class Value:
    """What a Keras layer gives: where it is in the spec, and how Keras sees it."""

    name: str
    size: int
    sequence: bool = True  # (batch, steps, size), or (batch, size)
    n_steps: int | None = None  # if the model is for sequences of one length
    padding: tuple[int, int] = (0, 0)  # steps of zeros that ZeroPadding1D wants around it
    masked: bool = False  # whether Keras would pass over some of its steps
    token: bool = False  # integers, one a step, from outside


class Source:
    """The arrays of one layer, in the order of Keras, with the paths that they have in the file."""

    def __init__(self, paths: Sequence[str], arrays: Mapping[str, Array]) -> None:
        self.paths, self._arrays = paths, arrays

    def read(self) -> list[Array]:
        """All of them, read from the file."""
        return [self._arrays[path] for path in self.paths]

    def halves(self, ordered: bool = True) -> tuple[Source, Source]:
        """The arrays of the two layers within a Bidirectional, forward and backward.

        Their names tell which is which. A layer that was given for the way back keeps its own: then it comes second,
        unless they are not *ordered*, since Keras puts what is trained before what is frozen.
        """
        ways = [(WAY.findall(path) or [""])[-1] for path in self.paths]
        if "" in ways:
            middle = len(self.paths) // 2
            if not ordered:
                raise SpecError(
                    f"expected weights of a forward and of a backward layer, got {self.paths[0]!r} and others"
                )
            return Source(self.paths[:middle], self._arrays), Source(self.paths[middle:], self._arrays)
        forward, backward = (
            [path for path, own in zip(self.paths, ways, strict=True) if own == way] for way in ("forward", "backward")
        )
        return Source(forward, self._arrays), Source(backward, self._arrays)


@dataclass
class Builder:
    """A program under way. *version* is the major version of the Keras that wrote the file."""

    version: int
    sources: Callable[[Node], Source]
    inputs: dict[str, s.Input] = field(default_factory=dict)
    layers: list[s.AnyLayer] = field(default_factory=list)
    tensors: Tensors = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def layer(self, kind: str, name: str, inputs: Sequence[Value], **fields: Any) -> Any:
        """Append a layer to the program, and return it."""
        sources = tuple(value.name for value in inputs)
        if self.layers and sources == (self.layers[-1].name,):
            sources = ()
        try:
            made = msgspec.convert({"kind": kind, "name": plain(name), "inputs": sources, **fields}, s.AnyLayer)
        except msgspec.ValidationError as error:
            raise UnsupportedError(f"layer {name!r}: this version has no such {kind} layer: {error}") from None
        self.layers.append(made)
        return made

    def give(self, layer: s.AnyLayer, tensors: Tensors) -> None:
        """Keep the tensors of a layer."""
        self.tensors.update({f"{layer.name}.{key}": np.ascontiguousarray(array) for key, array in tensors.items()})

    def function(self, name: str, function: Function, value: Value) -> Value:
        """Apply a function to *value*, as a layer of its own; none for the linear one."""
        if function == "linear":
            return value
        self.found(plain(name), named(function))
        kind = "softmax" if function == "softmax" else "activation"
        made = self.layer(kind, name, [value], **({} if kind == "softmax" else {"function": function}))
        return replace(value, name=made.name)

    def split(self, function: Function) -> tuple[Function, Function]:
        """What a layer can apply itself, and what must stand behind it: a softmax is none of its functions."""
        return ("linear", function) if function == "softmax" else (function, "linear")

    def scale(self, name: str, value: Value, weight: Any, bias: Any = None) -> Value:
        """Multiply by *weight* and add *bias*: numbers, or vectors."""
        made = self.layer("scale", name, [value])
        given = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        self.give(made, {key: np.broadcast_to(np.float64(number), (value.size,)) for key, number in given.items()})
        return replace(value, name=made.name)

    def found(self, name: str, what: str, source: Source | None = None, tensors: Sequence[Array] = ()) -> None:
        """Note what a layer became, and from which arrays."""
        paths = source.paths if source else ()
        arrays = ", ".join(f"{path} {array.shape}" for path, array in zip(paths, tensors, strict=False))
        self.findings.append(f"{arrays}{' -> ' if arrays else ''}layer {name}: {what}")


def plain(name: str) -> str:
    """A name that a spec may have: Keras allows any text."""
    name = re.sub(r"[^A-Za-z0-9_.\-]", "_", name)[:200]
    return name if re.match(r"[A-Za-z0-9_]", name) else f"_{name}"[:200]


def one(inputs: Sequence[Value], settings: Settings, *, sequence: bool = False) -> Value:
    """The only input of a layer; floats, and without padding that is still to come."""
    if len(inputs) != 1:
        raise SpecError(f"{settings.what}: expected one input, got {len(inputs)}")
    (value,) = inputs
    settle(value, settings)
    if sequence and not value.sequence:
        settings.refuse("it takes a sequence, but what is before it gives one answer for the whole sequence")
    return value


def settle(value: Value, settings: Settings) -> None:
    """Refuse tokens, and zeros that nothing but a convolution or a pool can take in."""
    if value.token:
        settings.refuse("it takes the model's input as tokens do; expected (batch, steps, features), or an Embedding")
    if value.padding != (0, 0):
        settings.refuse("it stands behind a ZeroPadding1D; expected a Conv1D or AveragePooling1D there")
