"""Operators that take some of the features or steps, put features together, or pad."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import FormatError, UnsupportedError
from streamgru.formats.onnx.op import Handler, Op, moved, unpadded
from streamgru.formats.onnx.values import (
    Atom,
    Axis,
    Constant,
    Flow,
    Misread,
    Value,
    axis_number,
    feature_size,
    features,
    in_bounds,
    is_features,
    is_kind,
    per_feature,
)
from streamgru.model import spec as s


def concat(op: Op) -> list[Value]:
    """One behind the other along an axis of features; constants among them are repeated at each step."""
    values = [op.value(k) for k in range(op.count)]
    axis = op.attribute("axis", 1)
    constants = [value for value in values if isinstance(value, Constant)]
    if len(constants) == len(values):
        in_bounds(sum(value.array.size for value in constants))
        try:
            return [op.constant(np.concatenate([value.array for value in constants], axis), *constants)]
        except ValueError as error:
            raise FormatError(str(error)) from None
    first = next(value for value in values if isinstance(value, Flow))
    flows = [_steady(op, value, first) if isinstance(value, Constant) else unpadded(value) for value in values]
    at = axis_number(axis, len(first.axes))
    for flow in flows:
        if len(flow.axes) != len(first.axes) or not is_features(flow.axes[at]):
            raise Misread("it joins values in time, or of several streams; only features can be joined")
        if [flow.axes[k] for k in range(len(flow.axes)) if k != at] != [
            first.axes[k] for k in range(len(first.axes)) if k != at
        ]:
            raise Misread(f"it joins values of other steps or features: {first.shape} and {flow.shape}")
    starts = np.cumsum([0, *(flow.size for flow in flows)])
    grids = [flow.grid() + start for flow, start in zip(flows, starts, strict=False)]
    part = op.network.join([flow.part for flow in flows], np.concatenate(grids, at), op.name)
    total = sum(feature_size(flow.axes[at]) for flow in flows)
    return [moved(first, part, (*first.axes[:at], features(total), *first.axes[at + 1 :]))]


def _steady(op: Op, constant: Constant, like: Flow) -> Flow:
    """A constant as a value: what *like* is times zero, and the constant added."""
    if constant.array.ndim != len(like.axes) or constant.array.size == 0:
        raise UnsupportedError("it joins a value with a constant of other axes")
    array, _ = per_feature(
        constant, Flow(like.part, tuple(axis if not is_features(axis) else () for axis in like.axes))
    )
    bias = array.reshape(-1).astype(np.float32)
    weight = np.zeros((bias.size, like.size), np.float32)
    own = iter(array.shape)
    axes = tuple(features(size) if is_features(axis) else axis for axis, size in zip(like.axes, own, strict=True))
    layer = s.Dense(name=op.name, n_out=bias.size)
    return op.emit(layer, like, size=bias.size, axes=axes, tensors={"weight": weight, "bias": bias})


def split(op: Op) -> list[Value]:
    """Pieces along an axis of features."""
    value, given = op.value(0), op.ints("split") if op.opset < 13 else op.integers(1)
    own = value.array.shape if isinstance(value, Constant) else value.shape
    at = axis_number(op.attribute("axis", 0), len(own))
    count = len(op.node.outputs)
    op.only(num_outputs=count)
    even = -(-own[at] // count) if count else 0
    sizes = list(given or []) or [min(even, own[at] - k * even) for k in range(count)]
    if sum(sizes) != own[at] or min(sizes, default=0) < 1 or len(sizes) != len(op.node.outputs):
        raise FormatError(f"{own[at]} cannot be split into {sizes[:9]}")
    stops = np.cumsum([0, *sizes])
    return [_take(op, value, at, np.arange(a, b)) for a, b in pairwise(stops)]


def slice_(op: Op) -> list[Value]:
    """Some of the features; of the steps all, the last, or all but what a convolution has padded."""
    value = op.value(0)
    own = value.array.shape if isinstance(value, Constant) else value.shape
    if op.opset < 10:
        starts, stops, axes = op.ints("starts"), op.ints("ends"), op.ints("axes") or None
        steps = None
    else:
        starts, stops, axes, steps = (op.integers(k) for k in (1, 2, 3, 4))  # type: ignore[assignment]
    axes = list(range(len(starts or ()))) if axes is None else axes  # type: ignore[assignment]
    steps = [1] * len(axes or ()) if steps is None else steps
    if not len(starts or ()) == len(stops or ()) == len(axes or ()) == len(steps):
        raise FormatError("expected as many starts, ends and steps as axes")
    for start, stop, axis, step in zip(starts or (), stops or (), axes or (), steps, strict=True):
        at = axis_number(axis, len(own))
        if step == 0:
            raise FormatError("expected a step that is not 0")
        chosen = range(own[at])[start:stop:step]
        if len(chosen) != own[at] or step < 0:
            in_bounds(len(chosen))
            value = _take(op, value, at, np.array(chosen, np.int64))
    return [value]


def gather(op: Op) -> list[Value]:
    """Some of the features, the last step, or rows of a table that tokens choose."""
    value, index = op.value(0), op.value(1)
    own = value.array.shape if isinstance(value, Constant) else value.shape
    at = axis_number(op.attribute("axis", 0), len(own))
    if isinstance(index, Flow):
        return [_embedding(op, value, unpadded(index), at)]
    if index.array.dtype.kind not in "iu" or index.array.size == 0:
        raise FormatError(f"expected indices, got {index.array.dtype} of {index.array.size} elements")
    if not (-own[at] <= int(index.array.min()) and int(index.array.max()) < own[at]):
        raise FormatError(f"expected indices below {own[at]}, got up to {index.array.max()}")
    if isinstance(value, Constant):
        in_bounds(*own[:at], *index.array.shape, *own[at + 1 :])
        return [op.constant(value.array.take(index.array.astype(np.int64), axis=at), value, index)]
    if index.array.ndim > 1:
        raise UnsupportedError("it takes features by a table of indices")
    taken = _take(op, value, at, index.array.reshape(-1).astype(np.int64) % own[at])
    if index.array.ndim == 0 and isinstance(taken, Flow):
        taken = moved(taken, taken.part, taken.axes[:at] + taken.axes[at + 1 :])
    return [taken]


def _embedding(op: Op, table: Value, tokens: Flow, at: int) -> Flow:
    if not isinstance(table, Constant) or table.measured or table.array.ndim != 2 or at != 0:
        raise UnsupportedError("it takes elements at places that are computed; expected rows of a constant table")
    if tokens.part not in op.trace.integers or tokens.pieces:
        raise Misread("its tokens are computed; expected an input of one whole number for each step")
    vocab, n_out = table.array.shape
    if op.trace.vocab.setdefault(tokens.part, vocab) != vocab:
        raise UnsupportedError(f"its tokens choose from {vocab} rows here, and from another number elsewhere")
    layer, tensors = s.Embedding(name=op.name, n_out=n_out), {"weight": table.array}
    axes = (*tokens.axes, features(n_out))
    return op.emit(layer, tokens, size=n_out, axes=axes, tensors=tensors, sources=op.sources(0))


def _take(op: Op, value: Value, at: int, chosen: NDArray[Any]) -> Value:
    """Elements along an axis."""
    if isinstance(value, Constant):
        return op.constant(value.array.take(chosen, axis=at), value)
    axis, size = value.axes[at], value.shape[at]
    if is_features(axis):
        part = op.network.select(value.part, value.grid().take(chosen, axis=at), op.name)
        return moved(value, part, (*value.axes[:at], features(len(chosen)), *value.axes[at + 1 :]))
    if not is_kind(axis, "time"):
        raise Misread("it takes some of the streams; only features and steps can be chosen")
    value = unpadded(value)
    if len(chosen) == 1 and chosen[0] == size - 1:
        return Flow(op.network.last(value.part), (*value.axes[:at], (), *value.axes[at + 1 :]))
    if len(chosen) and np.all(np.diff(chosen) == 1):
        return trimmed(op, value, at, int(chosen[0]), size - 1 - int(chosen[-1]))
    raise Misread("it takes some of the steps; expected all of them, or the last")


def trimmed(op: Op, flow: Flow, at: int, front: int, back: int) -> Flow:
    """Without some steps at both ends: those that a convolution owes to zeros that were padded."""
    part = op.network.parts[flow.part]
    layer = part.layer
    if not isinstance(layer, s.Conv1d) or layer.stride != 1 or layer.before < front or layer.after < back:
        which = f"{front} steps at the start and {back} at the end"
        raise UnsupportedError(f"it drops {which}, which are not what the convolution before it has padded")
    number = op.network.change(flow.part, before=layer.before - front, after=layer.after - back)
    steps = Atom("time", flow.shape[at] - front - back)
    return Flow(number, (*flow.axes[:at], (steps,), *flow.axes[at + 1 :]))


def pad(op: Op) -> list[Value]:
    """Zeros before and behind the steps, for a convolution or a pool to take in."""
    op.only(mode="constant")
    flow = op.flow(0, padded=True)
    if op.opset < 11:
        amounts: Sequence[int] | None = op.ints("pads") or op.ints("paddings")
        value = op.attribute("value", 0.0)
    else:
        amounts, given = op.integers(1), op.array(2)
        value = 0.0 if given is None or given.size == 0 else float(given.reshape(-1)[0])
    rank = len(flow.axes)
    chosen = op.integers(3)
    axes = range(rank) if chosen is None else [axis_number(axis, rank) for axis in chosen]
    if amounts is None or len(amounts) != 2 * len(axes) or value != 0:
        raise UnsupportedError(f"it pads with {value}; expected zeros, an amount for both ends of each axis")
    before, after = flow.padded
    grown: list[Axis] = list(flow.axes)
    for axis, front, back in zip(axes, amounts[: len(axes)], amounts[len(axes) :], strict=True):
        if not (front or back):
            continue
        atoms = flow.axes[axis]
        if not (len(atoms) == 1 and atoms[0].kind == "time") or not (0 <= front < 65_536 and 0 <= back < 65_536):
            raise Misread(f"it pads axis {axis} with {front} and {back}; expected steps to be added")
        before, after = before + front, after + back
        grown[axis] = (Atom("time", atoms[0].size + front + back),)
    return [Flow(flow.part, tuple(grown), (before, after))]


OPERATORS: dict[str, Handler] = {
    "Concat": concat, "Split": split, "Slice": slice_, "Gather": gather, "Pad": pad,
}  # fmt: skip
