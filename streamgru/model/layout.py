"""From spec and tensors to a layout: every size known, every tensor checked, every value placed.

The result is plain data. ``plan`` turns it into operations; nothing here computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from streamgru.errors import SpecError, UnsupportedError
from streamgru.model import spec as s
from streamgru.model.small import Q8, SCALE, Quantised, TensorInfo, find_quantised

ALIGN = 16  # elements; 64 bytes of float32, so that no value shares a cache line with another
MAX_ELEMENTS = 1 << 24
NOT_BUILT = (s.Conv1d, s.AveragePool1d, s.MaxPool1d, s.Div)
RESERVED = ("id", "t", "seq", "label", "error")  # what else a prediction may tell, beside its outputs


@dataclass(frozen=True)
class Value:
    """An array of *size* elements at a fixed place of the scratch."""

    offset: int
    size: int


@dataclass(frozen=True)
class StateEntry:
    """What one layer remembers: *size* elements at *offset* of the state, after a step at *new* of the scratch."""

    name: str
    offset: int
    size: int
    new: int


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


def lay_out(program: s.Program, tensors: dict[str, np.ndarray], header: int) -> Layout:
    """Check *program* against *tensors* and place everything; *header* elements open the state block.

    Raises
    ------
    SpecError
        If a name is unknown or taken twice, a size does not fit, or a tensor is missing, of the
        wrong shape, not finite, or used by no layer.
    """
    if not program.inputs or not program.layers:
        raise SpecError("a program needs at least one input and one layer")
    n_in = sum(_input_size(item) for item in program.inputs)
    layout = Layout(x=Value(0, n_in), n_state=header, n_work=_aligned(n_in))
    values: dict[str, Value] = {}
    vocab: dict[str, int] = {}
    offset = 0
    for item in program.inputs:
        _fresh(item.name, values)
        values[item.name] = Value(offset, item.size)
        if item.kind == "token":
            vocab[item.name] = item.vocab or 0
            layout.tokens.append(Token(offset, vocab[item.name], item.name))
        offset += item.size
    before = values[program.inputs[0].name] if len(program.inputs) == 1 else layout.x
    before_names = tuple(item.name for item in program.inputs)
    used: set[str] = set()
    for layer in program.layers:
        _fresh(layer.name, values)
        names = layer.inputs or before_names
        inputs = tuple(_find(name, values, layer) for name in layer.inputs) or (before,)
        tokens = [name for name in names if name in vocab]
        if isinstance(layer, s.Embedding) and (len(names) != 1 or not tokens):
            raise SpecError(f"layer {layer.name!r}: an embedding takes one token input, got {', '.join(names)}")
        if tokens and not isinstance(layer, s.Embedding):
            raise SpecError(f"layer {layer.name!r}: a {_kind(layer)} layer takes floats, but {tokens[0]!r} is a token")
        if isinstance(layer, NOT_BUILT) or (isinstance(layer, s.Gru) and layer.direction == "reverse"):
            raise UnsupportedError(f"layer {layer.name!r}: this version has no {_kind(layer)} layer of this kind")
        placed = _place(layer, inputs, tensors, layout, vocab.get(names[0], 0))
        for key, tensor in placed.tensors.items():
            name = f"{layer.name}.{key}"
            used.update((name + Q8, name + SCALE) if isinstance(tensor, Quantised) else (name,))
        if max(layout.n_work, layout.n_state) > MAX_ELEMENTS:
            raise SpecError(f"layer {layer.name!r}: the network needs more than {MAX_ELEMENTS} elements of scratch")
        layout.layers.append(placed)
        values[layer.name] = before = placed.output
        before_names = (layer.name,)
    unused = sorted(set(tensors) - used)
    if unused:
        raise SpecError(f"no layer of the spec uses the tensor {unused[0]!r}" + _others(unused))
    layout.y = before
    _check_outputs(program, before.size)
    return layout


def tensor_shapes(layer: s.AnyLayer, n_in: int, vocab: int = 0) -> dict[str, tuple[tuple[int, ...], bool]]:
    """The tensors of a layer: name -> (shape, required)."""
    match layer:
        case s.Gru(n_hid=n_hid):
            shapes = {
                "weight_ih": ((3 * n_hid, n_in), True),
                "weight_hh": ((3 * n_hid, n_hid), True),
                "bias_ih": ((3 * n_hid,), False),
                "bias_hh": ((3 * n_hid,), False),
            }
            return shapes | ({"h0": ((n_hid,), True)} if layer.initial == "learned" else {})
        case s.Dense(n_out=n_out):
            return {"weight": ((n_out, n_in), True), "bias": ((n_out,), False)}
        case s.Conv1d(n_out=n_out, size=size):
            return {"weight": ((n_out, size * n_in), True), "bias": ((n_out,), False)}
        case s.Embedding(n_out=n_out):
            return {"weight": ((vocab, n_out), True)}
        case s.Scale() | s.LayerNorm():
            return {"weight": ((n_in,), False), "bias": ((n_in,), False)}
        case s.BatchNorm():
            return {key: ((n_in,), key in ("mean", "var")) for key in ("mean", "var", "weight", "bias")}
    return {}


def output_size(layer: s.AnyLayer, sizes: tuple[int, ...]) -> int:
    """The size of a layer's output, given those of its inputs."""
    match layer:
        case s.Gru(n_hid=n_out) | s.Dense(n_out=n_out) | s.Conv1d(n_out=n_out) | s.Embedding(n_out=n_out):
            return n_out
        case s.Concat():
            return sum(sizes)
        case s.Slice(start=start, stop=stop):
            if not start < stop <= sizes[0]:
                raise SpecError(f"layer {layer.name!r}: {start}:{stop} is no slice of {sizes[0]} elements")
            return stop - start
        case s.Add() | s.Mul() if sizes[0] != sizes[-1]:
            raise SpecError(f"layer {layer.name!r}: expected two inputs of one size, got {sizes[0]} and {sizes[-1]}")
    return sizes[0]


def _place(
    layer: s.AnyLayer, inputs: tuple[Value, ...], tensors: dict[str, np.ndarray], layout: Layout, vocab: int
) -> Placed:
    wanted = 2 if isinstance(layer, (s.Add, s.Mul)) else 1
    if len(inputs) != wanted and not isinstance(layer, s.Concat):
        raise SpecError(f"layer {layer.name!r}: a {_kind(layer)} layer takes {wanted} input(s), got {len(inputs)}")
    found: dict[str, np.ndarray | Quantised] = {}
    for key, (shape, required) in tensor_shapes(layer, inputs[0].size, vocab).items():
        name = f"{layer.name}.{key}"
        quantised = find_quantised(name, tensors, shape)
        if quantised is not None:
            found[key] = quantised
        elif name in tensors:
            found[key] = _checked(name, tensors[name], shape)
        elif required:
            raise SpecError(f"tensor {name!r}: expected shape {shape}, but the file has none of that name")
    output = _reserve(layout, output_size(layer, tuple(value.size for value in inputs)))
    n_in = inputs[0].size
    if isinstance(layer, s.Dense):
        return Placed(layer, inputs, output, found, scratch=_reserve(layout, _quantised_size(n_in)))
    if not isinstance(layer, s.Gru):
        return Placed(layer, inputs, output, found)
    whole = _aligned(layer.n_hid)
    entry = StateEntry(layer.name, layout.n_state, layer.n_hid, output.offset)
    layout.state.append(entry)
    layout.n_state += whole
    gates, projected = _reserve(layout, 3 * whole), _reserve(layout, 3 * whole)
    # BLAS wants 6 vectors for its two products, the packed kernels r * h and two quantised vectors
    scratch = _reserve(layout, max(6 * layer.n_hid, whole + _quantised_size(n_in) + _quantised_size(whole)))
    return Placed(layer, inputs, output, found, entry, gates, scratch, projected)


def _quantised_size(n_cols: int) -> int:
    """Elements of a quantised vector: its scale, then two bytes of each number (sg_quantised_floats of packed.h)."""
    return ALIGN + _aligned(-(-n_cols // 2))


def _checked(name: str, tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if tensor.dtype.kind != "f":
        raise SpecError(f"tensor {name!r}: expected floats, got {tensor.dtype}")
    if tensor.shape != shape:
        raise SpecError(f"tensor {name!r}: expected shape {shape}, got {tensor.shape}")
    if not np.isfinite(tensor).all():
        raise SpecError(f"tensor {name!r}: holds NaN or infinity")
    return tensor


def _check_outputs(program: s.Program, n_out: int) -> None:
    seen: dict[str, Value] = {}
    for output in program.outputs:
        stop = n_out if output.stop is None else output.stop
        if not output.start < stop <= n_out:
            raise SpecError(f"output {output.name!r}: {output.start}:{stop} is no slice of {n_out} elements")
        if output.name in RESERVED:
            raise SpecError(f"output {output.name!r}: a prediction has a field of that name already; choose another")
        _fresh(output.name, seen)
        seen[output.name] = Value(output.start, stop - output.start)
        if output.labels is not None and len(output.labels) != stop - output.start:
            raise SpecError(f"output {output.name!r}: expected {stop - output.start} labels, got {len(output.labels)}")


def _input_size(item: s.Input) -> int:
    if item.kind == "token" and (item.vocab is None or item.size != 1):
        raise SpecError(f"input {item.name!r}: a token input has size 1 and a vocab")
    if item.kind == "float" and item.vocab is not None:
        raise SpecError(f"input {item.name!r}: only a token input has a vocab")
    if item.features is not None and len(item.features) != item.size:
        raise SpecError(f"input {item.name!r}: expected {item.size} features, got {len(item.features)}")
    return item.size


def _find(name: str, values: dict[str, Value], layer: s.AnyLayer) -> Value:
    if name not in values:
        raise SpecError(f"layer {layer.name!r}: its input {name!r} is neither an input nor an earlier layer")
    return values[name]


def _fresh(name: str, taken: dict[str, Value]) -> None:
    if name in taken:
        raise SpecError(f"the name {name!r} is taken twice")


def _reserve(layout: Layout, size: int) -> Value:
    value = Value(layout.n_work, size)
    layout.n_work += _aligned(size)
    return value


def _aligned(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def _kind(layer: s.AnyLayer) -> str:
    return str(type(layer).__struct_config__.tag)


def _others(names: list[str]) -> str:
    return f" (nor {len(names) - 1} others)" if len(names) > 1 else ""
