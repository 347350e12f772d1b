"""The names and shapes of a PyTorch ``state_dict``, sorted by the module they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from msgspec.structs import replace

from streamgru.errors import SpecError, UnsupportedError
from streamgru.formats.safetensors_file import Tensors
from streamgru.model import spec as s
from streamgru.model.layout import tensor_shapes

GRU_LEAF = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh)(?:_l(0|[1-9][0-9]{0,2})(_reverse)?)?")
DIRECTIONS: dict[str, Literal["forward", "reverse"]] = {"": "forward", "_reverse": "reverse"}
UNNAMED = "gru"  # what a GRU without a name is called
COUNTER = "num_batches_tracked"  # of a BatchNorm; means nothing after the training

Kind = Literal["gru", "linear", "table", "norm", "conv", "unknown"]


@dataclass
class Part:
    """One module: its tensors by native name, the layers that they make, and its sizes.

    A *table* is a matrix without a bias: an Embedding, or a Linear made with ``bias=False``.
    """

    prefix: str
    kind: Kind
    n_in: int = 0
    n_out: int = 0
    vocab: int = 0  # of an Embedding
    first: str = ""  # one of its tensors
    layers: tuple[s.AnyLayer, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)  # native name -> name in the file

    @property
    def title(self) -> str:
        """What a message calls it: a module without a name, or of no known kind, goes by a tensor."""
        return self.prefix if self.prefix and self.kind != "unknown" else self.first


def parts(tensors: Tensors, where: str) -> list[Part]:
    """Group the tensors of a ``state_dict`` into modules, in the order of their names.

    Raises
    ------
    SpecError, UnsupportedError
        If a module is not what its names promise, or is a recurrent one that is no GRU.
    """
    groups: dict[tuple[str, bool], dict[str, str]] = {}
    for name in sorted(tensors):
        prefix, _, leaf = name.rpartition(".")
        if leaf != COUNTER:
            groups.setdefault((prefix, bool(GRU_LEAF.fullmatch(leaf))), {})[leaf] = name
    return [_part(prefix, is_gru, leaves, tensors, where) for (prefix, is_gru), leaves in groups.items()]


def candidates(layer: s.AnyLayer, key: str) -> Iterator[str]:
    """The names under which a file may have tensor *key* of *layer*: the native one, then PyTorch's."""
    yield f"{layer.name}.{key}"
    if isinstance(layer, s.Gru):
        name, reverse = _turned(layer.name)
        module, _, index = name.rpartition(".")
        if module and index.isdecimal():
            yield f"{module}.{key}_l{index}{reverse}"
        yield f"{layer.name}.{key}_l0"
        if module == UNNAMED and index.isdecimal():
            yield f"{key}_l{index}{reverse}"
        if layer.name == UNNAMED:
            yield f"{key}_l0"
            yield key
    elif isinstance(layer, s.BatchNorm) and key in ("mean", "var"):
        yield f"{layer.name}.running_{key}"


def _turned(name: str) -> tuple[str, str]:
    """The name of a layer without its direction, and what PyTorch's names end in for it."""
    stem, _, direction = name.rpartition(".")
    for suffix, ours in DIRECTIONS.items():
        if direction == ours:
            return stem, suffix
    return name, ""


def both_ways(name: str, n_hid: int) -> tuple[s.AnyLayer, ...]:
    """The layers of a bidirectional GRU, whose answer is that of both directions, one behind the other."""
    ways = tuple(s.Gru(name=f"{name}.{way}", n_hid=n_hid, direction=way) for way in DIRECTIONS.values())
    return *ways, s.Concat(name=name, inputs=tuple(way.name for way in ways))


def chained(layers: Iterable[s.AnyLayer], source: str) -> Iterator[s.AnyLayer]:
    """Layers in a row, the first of which reads *source*: both directions of a GRU read what the one before gave."""
    for layer in layers:
        if isinstance(layer, s.Gru) and layer.name.endswith(tuple(f".{way}" for way in DIRECTIONS.values())):
            yield replace(layer, inputs=(source,))
        else:
            yield layer
            source = layer.name


def sources(layers: tuple[s.AnyLayer, ...], names: set[str]) -> dict[str, str]:
    """Where the tensors of the layers are in a file that has *names*: native name -> name in the file."""
    found = {}
    for layer in layers:
        for key in tensor_shapes(layer, 1, 1):
            for name in candidates(layer, key):
                if name in names:
                    found[f"{layer.name}.{key}"] = name
                    break
    return found


def _part(prefix: str, is_gru: bool, leaves: dict[str, str], tensors: Tensors, where: str) -> Part:
    shapes = {leaf: tensors[name].shape for leaf, name in leaves.items()}
    weight = shapes.get("weight", ())
    if is_gru:
        part = _gru(prefix, shapes, where)
    elif set(leaves) <= {"weight", "bias"} and len(weight) == 2:
        kind: Kind = "linear" if "bias" in leaves else "table"
        part = Part(prefix, kind, weight[1], weight[0])
        part.layers = (s.Dense(name=prefix or "head", n_out=weight[0]),)
    elif set(leaves) <= {"weight", "bias"} and len(weight) == 3 and 0 not in weight:
        part = Part(prefix, "conv", weight[1], weight[0])
        part.layers = (s.Conv1d(name=prefix or "conv", n_out=weight[0], size=weight[2]),)
    elif {"running_mean", "running_var"} <= set(leaves) <= {"running_mean", "running_var", "weight", "bias"}:
        size = shapes["running_mean"][0] if shapes["running_mean"] else 0
        part = Part(prefix, "norm", size, size, layers=(s.BatchNorm(name=prefix or "norm"),))
    elif set(leaves) <= {"weight", "bias"} and len(weight) == 1:
        part = Part(prefix, "norm", weight[0], weight[0], layers=(s.LayerNorm(name=prefix or "norm"),))
    else:
        part = Part(prefix, "unknown")
    part.first = next(iter(leaves.values()))
    part.sources = sources(part.layers, set(leaves.values()))
    if set(part.sources.values()) != set(leaves.values()):
        part.kind = "unknown"
    return part


def _gru(prefix: str, shapes: dict[str, tuple[int, ...]], where: str) -> Part:
    """An nn.GRU of any depth and in either or both directions, or an nn.GRUCell."""
    found = [match for match in map(GRU_LEAF.fullmatch, shapes) if match and match[1] == "weight_hh"]
    indices = sorted({int(match[2]) for match in found if match[2]})
    n_ways = len({match[3] for match in found})
    name = prefix or UNNAMED
    if indices != list(range(len(indices))) or not found or len(found) != n_ways * max(1, len(indices)):
        names = sorted(shapes)[:9]
        raise SpecError(f"{where}: module {prefix!r}: expected weight_hh_l0 and on without gaps, got {names}")
    layers: list[s.AnyLayer] = []
    for suffix in [f"_l{index}" for index in indices] or [""]:
        (n_hid,) = {_n_hid(prefix, shapes, suffix + way, where) for way in list(DIRECTIONS)[:n_ways]}
        own = name + suffix.replace("_l", ".")
        layers += both_ways(own, n_hid) if n_ways == 2 else [s.Gru(name=own, n_hid=n_hid)]
    n_in = shapes["weight_ih_l0" if indices else "weight_ih"][1]
    return Part(prefix, "gru", n_in, n_ways * n_hid, layers=tuple(layers))


def _n_hid(prefix: str, shapes: dict[str, tuple[int, ...]], suffix: str, where: str) -> int:
    w, u = shapes.get(f"weight_ih{suffix}", ()), shapes.get(f"weight_hh{suffix}", ())
    if len(w) != 2 or len(u) != 2 or u[1] == 0 or w[0] != u[0]:
        raise SpecError(f"{where}: module {prefix!r}: expected weight_ih, weight_hh of 3*n_hid rows, got {w}, {u}")
    if u[0] != 3 * u[1]:
        kind = {1: "a plain RNN", 4: "an LSTM"}.get(u[0] // u[1], "no GRU")
        raise UnsupportedError(
            f"{where}: module {prefix!r} is {kind}: expected weight_hh of shape ({3 * u[1]}, {u[1]}), got {u}"
        )
    return u[1]
