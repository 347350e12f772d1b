"""The network that grows while a graph is walked through: parts, each a layer with its tensors and its inputs.

Parts are only ever added. What a later one replaces, or nobody asks for, is left out in the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamgru.errors import UnsupportedError
from streamgru.formats.onnx.values import MAX_FEATURES, in_bounds
from streamgru.model import spec as s

MAX_RUNS = 16  # slices that are put together; more of them are a matrix of zeros and ones
MAX_PARTS = 65_536
OVER_TIME = (s.Conv1d, s.AveragePool1d, s.MaxPool1d)

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Part:
    """One layer, or one input of the program, which has none.

    *origin* tells which node it came from, *sources* from which constants its tensors did. *unit* is what two layers
    of one GRU node have in common, the one that answers at each step and the one that answers in the end.
    """

    layer: s.AnyLayer | None
    inputs: tuple[int, ...]
    size: int
    tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    origin: str = ""
    unit: str = ""


class Network:
    """Parts by their numbers, which only grow from inputs to outputs."""

    def __init__(self, budget: int) -> None:
        self.parts: list[Part] = []
        self._budget = budget  # bytes that constants and tensors may take, all together
        self._expanded: dict[int, tuple[NDArray[Any], NDArray[Any]]] = {}
        self._last: dict[int, int] = {}

    def add(self, part: Part) -> int:
        """Take a part in, and number it."""
        if part.size > MAX_FEATURES or len(self.parts) >= MAX_PARTS:
            raise UnsupportedError(f"expected at most {MAX_FEATURES} features and {MAX_PARTS} layers, got more")
        self.parts.append(part)
        return len(self.parts) - 1

    def spend(self, n_bytes: int) -> None:
        """Refuse a file that makes more numbers than its size bears out."""
        self._budget -= n_bytes
        if self._budget < 0:
            raise UnsupportedError("it makes far more numbers than there are in the file")

    def layer(self, layer: s.AnyLayer, inputs: tuple[int, ...], size: int, tensors: Tensors, **about: Any) -> int:
        """Take a layer in; its tensors as they will be named."""
        self.spend(sum(array.nbytes for array in tensors.values()))
        return self.add(Part(layer, inputs, size, tensors, **about))

    def change(self, number: int, tensors: Tensors | None = None, sources: Iterable[str] = (), **changes: Any) -> int:
        """A part like another, with some of its layer's settings and of its tensors changed."""
        part = self.parts[number]
        assert part.layer is not None
        layer = msgspec.structs.replace(part.layer, **changes)
        self.spend(sum(array.nbytes for array in (tensors or {}).values()))
        merged = {**part.tensors, **(tensors or {})}
        return self.add(replace(part, layer=layer, tensors=merged, sources=(*part.sources, *sources)))

    def expand(self, number: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Where each feature of a part really comes from: numbers of parts, and places in them."""
        whole = self.parts[number].size
        return self._expanded.get(number) or (np.full(whole, number), np.arange(whole))

    def select(self, number: int, index: NDArray[Any], name: str) -> int:
        """Some features of a part, in some order."""
        parts, places = self.expand(number)
        return self.collect(parts[index.ravel()], places[index.ravel()], name)

    def join(self, numbers: Sequence[int], index: NDArray[Any], name: str) -> int:
        """Features of several parts: *index* counts through all of them, one behind the other."""
        expanded = [self.expand(number) for number in numbers]
        parts, places = (np.concatenate(column) for column in zip(*expanded, strict=True))
        return self.collect(parts[index.ravel()], places[index.ravel()], name)

    def collect(self, parts: NDArray[Any], places: NDArray[Any], name: str) -> int:
        """Features by where they come from: as few slices as can be, put together."""
        if not 0 < parts.size <= MAX_FEATURES:
            raise UnsupportedError(f"expected 1 to {MAX_FEATURES} features, got {parts.size}")
        breaks = np.flatnonzero((np.diff(parts) != 0) | (np.diff(places) != 1)) + 1
        if breaks.size >= MAX_RUNS:
            return self._picked(parts, places, name)
        made = []
        for run, place in zip(np.split(parts, breaks), np.split(places, breaks), strict=True):
            source, start, stop = int(run[0]), int(place[0]), int(place[-1]) + 1
            if stop - start < self.parts[source].size:
                source = self.layer(s.Slice(name=name, start=start, stop=stop), (source,), stop - start, {})
                self._expanded[source] = (run, place)
            made.append(source)
        if len(made) == 1:
            return made[0]
        number = self.layer(s.Concat(name=name), tuple(made), parts.size, {})
        self._expanded[number] = (parts, places)
        return number

    def _picked(self, parts: NDArray[Any], places: NDArray[Any], name: str) -> int:
        """Features in an order of their own, by a matrix of zeros and ones."""
        sources = np.unique(parts)
        starts = np.cumsum([0, *(self.parts[source].size for source in sources)])
        base = int(sources[0])
        if sources.size > 1:
            base = self.layer(s.Concat(name=name), tuple(map(int, sources)), int(starts[-1]), {})
        in_bounds(parts.size, int(starts[-1]))
        weight = np.zeros((parts.size, int(starts[-1])), np.float32)
        weight[np.arange(parts.size), starts[np.searchsorted(sources, parts)] + places] = 1
        return self.layer(
            s.Dense(name=name, n_out=parts.size), (base,), parts.size, {"weight": weight}, origin="an order of features"
        )

    def last(self, number: int) -> int:
        """What a part hands out at the end of a sequence: the last states of the GRUs behind it, and what follows."""
        for at in sorted(self._behind(number, self._last)):
            part = self.parts[at]
            layer = part.layer
            if layer is None or isinstance(layer, OVER_TIME) or getattr(layer, "direction", "") == "reverse":
                what = "an input" if layer is None else f"{layer.name!r}, which sees other steps too"
                raise UnsupportedError(f"it takes the last step of {what}; expected that of a GRU that runs forward")
            if isinstance(layer, s.Gru):
                self._last[at] = self.change(at, returns="last") if layer.returns == "each" else at
            elif at in self._expanded:
                parts, places = self._expanded[at]
                self._last[at] = self.collect(np.array([self._last[int(p)] for p in parts]), places, layer.name)
            else:
                self._last[at] = self.add(replace(part, inputs=tuple(self._last[i] for i in part.inputs)))
        return self._last[number]

    def _behind(self, number: int, known: Mapping[int, int]) -> set[int]:
        """A part and all that it is computed from, up to the GRUs, and without what is known."""
        found: set[int] = set()
        stack = [number]
        while stack:
            at = stack.pop()
            if at in found or at in known:
                continue
            found.add(at)
            if not isinstance(self.parts[at].layer, s.Gru):
                stack += [*self.parts[at].inputs, *(int(p) for p in np.unique(self.expand(at)[0]) if p != at)]
        return found

    def reached(self, outputs: Iterable[int]) -> list[int]:
        """The parts that outputs are computed from, in order."""
        found: set[int] = set()
        stack = list(outputs)
        while stack:
            at = stack.pop()
            if at not in found:
                found.add(at)
                stack += self.parts[at].inputs
        return sorted(found)


def plain_name(text: str, op: str) -> str:
    """The name of a node as that of a layer: ``/encoder/gru/GRU`` becomes ``encoder.gru``."""
    name = re.sub(r"[^A-Za-z0-9_.\-]+", "_", text.strip("/").replace("/", ".").replace("::", "."))
    name = name.removesuffix(f".{op}").lstrip(".-")[:100]
    return name or re.sub(r"[^a-z0-9]+", "_", op.lower())[:100].strip("_") or "layer"


def unique(name: str, taken: dict[str, int]) -> str:
    """A name that is not taken, which has a number for each that was; from now on it is."""
    fresh, count = name, taken.get(name, 0)
    while fresh in taken:
        count += 1
        fresh = f"{name}.{count}"
    taken[name] = max(count, 1)
    taken[fresh] = 1
    return fresh
