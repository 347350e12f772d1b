"""From spec and tensors to a layout: every size known, every tensor checked, every value placed.

The result is plain data. ``plan`` turns it into operations; nothing here computes.
"""

from __future__ import annotations

import numpy as np

from streamgru.errors import SpecError
from streamgru.model import spec as s
from streamgru.model import windows
from streamgru.model.clocks import LATEST, common
from streamgru.model.functions import AnyFunction, parameters
from streamgru.model.placed import ALIGN, Layout, Placed, Token, Value, Window, aligned
from streamgru.model.small import Q8, SCALE, Quantised, find_quantised

MAX_ELEMENTS = 1 << 24
RESERVED = ("id", "t", "seq", "label", "error")  # what else a prediction may tell, beside its outputs


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
    layout = Layout(x=Value(0, n_in), n_state=header, n_work=aligned(n_in))
    values: dict[str, Value] = {}
    delayed: dict[tuple[str, int], Value] = {}
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
        inputs, delays = _together(layer, inputs, layout, delayed)
        placed = _place(layer, inputs, delays, tensors, layout, vocab.get(names[0], 0))
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
        case s.Add() | s.Mul() | s.Div() if sizes[0] != sizes[-1]:
            raise SpecError(f"layer {layer.name!r}: expected two inputs of one size, got {sizes[0]} and {sizes[-1]}")
    return sizes[0]


def _together(
    layer: s.AnyLayer, inputs: tuple[Value, ...], layout: Layout, delayed: dict[tuple[str, int], Value]
) -> tuple[tuple[Value, ...], tuple[Window, ...]]:
    """The inputs of a layer, those that come early delayed, and what is kept for that beside *delayed*."""
    clock = common(layer.name, tuple(value.clock for value in inputs))
    ready, delays = [], []
    for name, value in zip(layer.inputs, inputs, strict=False):
        if value.clock == clock:
            ready.append(value)
            continue
        if (name, clock.first) not in delayed:
            delays.append(windows.delay(layout, name, value, clock.first))
            delayed[name, clock.first] = delays[-1].taken
        ready.append(delayed[name, clock.first])
    return tuple(ready) or inputs, tuple(delays)


def _place(
    layer: s.AnyLayer, inputs: tuple[Value, ...], delays: tuple[Window, ...], tensors: dict[str, np.ndarray],
    layout: Layout, vocab: int,
) -> Placed:  # fmt: skip
    wanted = 2 if isinstance(layer, (s.Add, s.Mul, s.Div)) else 1
    if len(inputs) != wanted and not isinstance(layer, s.Concat):
        raise SpecError(f"layer {layer.name!r}: a {_kind(layer)} layer takes {wanted} input(s), got {len(inputs)}")
    for key in ("gate", "candidate", "function"):
        _check_function(layer, getattr(layer, key, "linear"))
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
    clock = windows.clock_of(layer, inputs)
    if max(clock.first, clock.stride) >= LATEST:
        raise SpecError(
            f"layer {layer.name!r}: its first answer would come at step {clock.first}, and then one at every "
            f"{clock.stride}. step; expected both to be below 2**31"
        )
    kept = windows.window(layout, layer, inputs[0], clock)
    output = layout.reserve(output_size(layer, tuple(value.size for value in inputs)), clock)
    n_in = inputs[0].size if kept is None else kept.taken.size
    if isinstance(layer, (s.Dense, s.Conv1d)):
        scratch = layout.reserve(_quantised_size(n_in))
        return Placed(layer, inputs, output, found, scratch=scratch, delays=delays, window=kept)
    if not isinstance(layer, s.Gru):
        return Placed(layer, inputs, output, found, delays=delays, window=kept)
    whole = aligned(layer.n_hid)
    entry = layout.remember(layer.name, layer.n_hid, output.offset, clock)
    gates, projected = layout.reserve(3 * whole), layout.reserve(3 * whole)
    # BLAS wants 6 vectors for its two products, the packed kernels r * h and two quantised vectors
    scratch = layout.reserve(max(6 * layer.n_hid, whole + _quantised_size(n_in) + _quantised_size(whole)))
    return Placed(layer, inputs, output, found, entry, gates, scratch, projected)


def _check_function(layer: s.AnyLayer, function: AnyFunction) -> None:
    try:
        parameters(function)
    except SpecError as error:
        raise SpecError(f"layer {layer.name!r}: {error}") from None


def _quantised_size(n_cols: int) -> int:
    """Elements of a quantised vector: its scale, then two bytes of each number (sg_quantised_floats of packed.h)."""
    return ALIGN + aligned(-(-n_cols // 2))


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
    if (item.labels, item.unknown, item.end) != (None, None, None):
        _check_labels(item)
    return item.size


def _check_labels(item: s.Input) -> None:
    vocab = item.vocab or 0
    if item.kind != "token":
        raise SpecError(f"input {item.name!r}: only a token input has labels; the names of floats are its features")
    if item.labels is not None and (len(item.labels) != vocab or len(set(item.labels)) != vocab):
        raise SpecError(f"input {item.name!r}: expected {vocab} different labels, got {len(set(item.labels))}")
    for key, token in (("unknown", item.unknown), ("end", item.end)):
        if token is not None and token >= vocab:
            raise SpecError(f"input {item.name!r}: {key}: expected a token, an integer in [0, {vocab}), got {token}")


def _find(name: str, values: dict[str, Value], layer: s.AnyLayer) -> Value:
    if name not in values:
        raise SpecError(f"layer {layer.name!r}: its input {name!r} is neither an input nor an earlier layer")
    return values[name]


def _fresh(name: str, taken: dict[str, Value]) -> None:
    if name in taken:
        raise SpecError(f"the name {name!r} is taken twice")


def _kind(layer: s.AnyLayer) -> str:
    return str(type(layer).__struct_config__.tag)


def _others(names: list[str]) -> str:
    return f" (nor {len(names) - 1} others)" if len(names) > 1 else ""
