"""The GRU operator, whole: one layer for each direction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import FormatError, UnsupportedError
from streamgru.formats.conventions import join_gates, split_gates
from streamgru.formats.onnx.curves import curve
from streamgru.formats.onnx.network import Tensors
from streamgru.formats.onnx.op import Handler, Op, unpadded
from streamgru.formats.onnx.values import Axis, Constant, Flow, Misread, Value, features, is_features, is_kind
from streamgru.model import spec as s
from streamgru.model.functions import Function

DIRECTIONS = {"forward": ("forward",), "reverse": ("reverse",), "bidirectional": ("forward", "reverse")}
# lower-case name -> ours, and whether it takes alpha and beta from the lists of these
FUNCTIONS: dict[str, tuple[Function, bool, bool]] = {
    "relu": ("relu", False, False), "tanh": ("tanh", False, False), "sigmoid": ("sigmoid", False, False),
    "affine": ("affine", True, True), "leakyrelu": ("leaky_relu", True, False),
    "thresholdedrelu": ("thresholded_relu", True, False), "scaledtanh": ("scaled_tanh", True, True),
    "hardsigmoid": ("hard_sigmoid", True, True), "elu": ("elu", True, False),
    "softsign": ("softsign", False, False), "softplus": ("softplus", False, False),
}  # fmt: skip
FROM_PYTORCH = (
    "PyTorch wrote this file, and its GRU resets after the product, but linear_before_reset is not set: one of "
    "its exporters forgot it for a while (onnxscript#2852, seen with torch 2.10), and then what is in the file is not "
    "what was trained. It is read as written; compare with the model itself, and export again with a newer torch"
)


def gru(op: Op) -> list[Value | None]:
    """``Y`` with the states of all steps, ``Y_h`` with the last ones."""
    x, layout = op.flow(0), op.attribute("layout", 0)
    directions = DIRECTIONS.get(op.attribute("direction", "forward"))
    if directions is None or layout not in (0, 1):
        raise FormatError(f"expected a direction of {', '.join(DIRECTIONS)} and a layout of 0 or 1")
    w, r = op.needed(1), op.needed(2)
    n_hid, n_in = _sizes(w, r, len(directions))
    if op.attribute("hidden_size", n_hid) != n_hid:
        raise FormatError(f"expected the hidden_size of its weights, {n_hid}")
    b = op.array(3)
    b = np.zeros((len(directions), 6 * n_hid), w.dtype) if b is None else b
    if b.shape != (len(directions), 6 * n_hid):
        raise FormatError(f"expected biases of shape {(len(directions), 6 * n_hid)}, got {b.shape}")
    steps, streams = x.axes[layout : layout + 1], x.axes[1 - layout : 2 - layout]
    if len(x.axes) != 3 or not (is_kind(steps[0], "time") and is_kind(streams[0], "batch")):
        raise Misread(f"expected steps, streams and features along the axes of its input, got {x.shape}")
    if not is_features(x.axes[2]) or x.size != n_in:
        raise UnsupportedError(f"expected {n_in} features, got {x.size}")
    lengths = _lengths(op, x)
    starts = list(_starts(op, directions, n_hid, layout))
    settings = _settings(op, directions)
    each, ends = [], []
    for k, direction in enumerate(directions):
        tensors: Tensors = {
            "weight_ih": zrh_to_rzn(w[k]), "weight_hh": zrh_to_rzn(r[k]),
            "bias_ih": zrh_to_rzn(b[k][: 3 * n_hid]), "bias_hh": zrh_to_rzn(b[k][3 * n_hid :]),
        }  # fmt: skip
        name = op.name if len(directions) == 1 else f"{op.name}.{direction}"
        unit = f"{','.join(op.node.outputs)} {direction}"
        op.trace.lengths[unit] = lengths
        start, learned = starts[k]
        if start is not None:
            op.trace.starts[unit] = start
        if learned is not None:
            tensors["h0"] = learned
        layer = s.Gru(
            name=name, n_hid=n_hid, direction=direction, initial="zero" if learned is None else "learned",  # type: ignore[arg-type]
            **settings[k],
        )  # fmt: skip
        about = {
            "sources": op.sources(1, 2, 3, *([] if learned is None else [5])),
            "origin": op.node.title,
            "unit": unit,
        }
        each.append(op.network.layer(layer, (unpadded(x).part,), n_hid, tensors, **about))
        # A file of a single step that hands its state on has no last step, but one after the other.
        goes_on = start is not None and not x.has("time")
        ends.append(op.network.change(each[-1], returns="each" if goes_on else "last"))
        op.trace.ends.add(ends[-1])
    both, h = features(len(directions)), features(n_hid)
    y_axes = (*streams, *steps, both, h) if layout else (*steps, both, *streams, h)
    return [_all(op, each, y_axes), _all(op, ends, (*streams, both, h) if layout else (both, *streams, h))]


def zrh_to_rzn(rows: NDArray[Any]) -> NDArray[Any]:
    """ONNX' rows z | r | h as ours, r | z | n: it calls the candidate h, and the update gate comes first."""
    return join_gates(split_gates(rows, "zrn"))


def _sizes(w: NDArray[Any], r: NDArray[Any], count: int) -> tuple[int, int]:
    n_hid = r.shape[-1] if r.ndim == 3 else 0
    if n_hid < 1 or r.shape != (count, 3 * n_hid, n_hid) or w.ndim != 3 or w.shape[:2] != (count, 3 * n_hid):
        raise FormatError(f"expected weights for {count} direction(s), got shapes {w.shape} and {r.shape}")
    return n_hid, w.shape[2]


def _settings(op: Op, directions: tuple[str, ...]) -> list[dict[str, Any]]:
    """Variant, functions and clip of each direction."""
    op.ignore("output_sequence")  # whether Y is there; its name tells
    after = op.attribute("linear_before_reset", 0)
    if after not in (0, 1):
        raise FormatError(f"expected linear_before_reset to be 0 or 1, got {after}")
    clip = op.maybe("clip", float)
    if clip is not None and not clip >= 0:
        raise FormatError(f"expected a clip of 0 or more, got {str(clip)[:40]}")
    count = 2 * len(directions)
    names: tuple[str, ...] = op.attribute("activations", ()) or ("Sigmoid", "Tanh") * len(directions)
    alphas, betas = iter(op.attribute("activation_alpha", ())), iter(op.attribute("activation_beta", ()))
    if len(names) != count or not all(isinstance(name, str) and name.lower() in FUNCTIONS for name in names):
        raise UnsupportedError(f"expected {count} activations of {', '.join(FUNCTIONS)}; got {str(names)[:80]}")
    made = []
    for name in names:
        ours, takes_alpha, takes_beta = FUNCTIONS[name.lower()]
        made.append(curve(ours, next(alphas, None) if takes_alpha else None, next(betas, None) if takes_beta else None))
    if next(alphas, None) is not None or next(betas, None) is not None:
        raise UnsupportedError("activation_alpha or activation_beta has more numbers than its activations take")
    if op.trace.pytorch and not after:
        op.trace.notes.append(f"{op.node.title}: {FROM_PYTORCH}")
    return [
        {"variant": "after" if after else "before", "gate": made[2 * k], "candidate": made[2 * k + 1],
         "clip": clip or None}
        for k in range(len(directions))
    ]  # fmt: skip


def _lengths(op: Op, x: Flow) -> int | None:
    """How many steps of each sequence count: the input that tells; a constant must say that all do."""
    given = op.optional(4)
    if isinstance(given, Flow):
        if given.part not in op.trace.inputs or given.pieces:
            raise UnsupportedError("its sequence_lens are computed; expected an input or a constant")
        return given.part
    if given is not None:
        steps = [size for axis, size in zip(x.axes, x.shape, strict=True) if is_kind(axis, "time") and axis] or [1]
        if given.array.size == 0 or not np.all(given.array == steps[0]):
            raise UnsupportedError("its sequence_lens are constant and shorter than its input; make them an input")
    return None


def _starts(
    op: Op, directions: tuple[str, ...], n_hid: int, layout: int
) -> Iterator[tuple[tuple[int, int] | None, NDArray[Any] | None]]:
    """For each direction the input that it starts from, with the place in it, or a learned state, or neither."""
    given, count = op.optional(5), len(directions)
    if given is None:
        yield from [(None, None)] * count
    elif isinstance(given, Constant):
        yield from ((None, row if row.any() else None) for row in _learned(given, count, n_hid, layout))
    else:
        expected: tuple[Axis, Axis] = features(count), features(n_hid)
        streams = given.axes[0 if layout else 1] if len(given.axes) == 3 else None
        rest = given.axes[1:] if layout else given.axes[:1] + given.axes[2:]
        if streams is None or not is_kind(streams, "batch") or tuple(rest) != expected:
            raise Misread(f"expected an initial_h of {count} x streams x {n_hid}, got {given.shape}")
        parts, places = op.network.expand(unpadded(given).part)
        for k in range(count):
            part, place = int(parts[k * n_hid]), int(places[k * n_hid])
            own = slice(k * n_hid, (k + 1) * n_hid)
            if part not in op.trace.inputs or (parts[own] != part).any() or (np.diff(places[own]) != 1).any():
                raise UnsupportedError("its initial_h is computed; expected an input, a constant, or none")
            yield (part, place), None


def _learned(given: Constant, count: int, n_hid: int, layout: int) -> Iterator[NDArray[Any]]:
    array = given.array
    if layout and array.ndim == 3:
        array = array.transpose(1, 0, 2)
    if array.ndim != 3 or array.shape[0] != count or array.shape[2] != n_hid or not array.shape[1]:
        raise FormatError(f"expected an initial_h of {count} x streams x {n_hid}, got {given.array.shape}")
    if given.measured or (array != array[:, :1]).any():
        raise UnsupportedError("its initial_h differs from stream to stream, or is computed; make it an input")
    yield from array[:, 0]


def _all(op: Op, parts: list[int], axes: tuple[Axis, ...]) -> Flow:
    """Both directions, one behind the other."""
    index = np.arange(sum(op.network.parts[part].size for part in parts))
    return Flow(op.network.join(parts, index, op.name), axes)


OPERATORS: dict[str, Handler] = {"GRU": gru}
