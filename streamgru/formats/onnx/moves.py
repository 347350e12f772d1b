"""Operators that compute nothing: constants, and axes in another order or of other sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from streamgru.errors import FormatError, UnsupportedError
from streamgru.formats.onnx.op import NUMBER_TYPES, Handler, Op, moved, unpadded
from streamgru.formats.onnx.values import (
    Constant,
    Flow,
    Value,
    axis_number,
    feature_size,
    features,
    in_bounds,
    is_features,
    reshaped,
)  # fmt: skip

DTYPES = {2: "u1", 3: "i1", 4: "u2", 5: "i2", 6: "i4", 7: "i8", 9: "b1", 12: "u4", 13: "u8"} | NUMBER_TYPES


def identity(op: Op) -> list[Value]:
    """``y = x``."""
    return [op.value(0)]


def dropout(op: Op) -> list[Value]:
    """Nothing is dropped once the training is over."""
    op.ignore("ratio", "seed", "consumed_inputs")
    op.array(1)
    training = op.array(2)
    if (training is not None and training.any()) or not (op.opset >= 7 or op.attribute("is_test", 0)):
        raise UnsupportedError("it drops out, as in training; export the model in its eval mode")
    return [op.value(0)]


def cast(op: Op) -> list[Value]:
    """Between floats nothing changes; whole numbers may become floats, and an index stays one."""
    op.ignore("saturate", "round_mode")  # of types that are not read
    value, to = op.value(0), op.attribute("to", 0)
    if to not in DTYPES:
        raise UnsupportedError(f"it casts to the type {to}")
    if isinstance(value, Constant):
        dtype = "float32" if to == 16 else DTYPES[to]
        return [op.constant(value.array.astype(dtype), value)]
    if to not in NUMBER_TYPES and value.part not in op.trace.integers:
        raise UnsupportedError("it rounds a value to whole numbers")
    return [value]


def constant(op: Op) -> list[Value]:
    """A constant, told in one of several ways."""
    values: list[Any] = [op.maybe("value", np.ndarray)]
    for name, kind in (("value_float", float), ("value_floats", tuple), ("value_int", int), ("value_ints", tuple)):
        given = op.maybe(name, kind)
        values.append(None if given is None else np.array(given, np.float32 if "float" in name else np.int64))
    value = next((value for value in values if value is not None), None)
    if value is None or value.dtype.kind not in "fiub":
        raise UnsupportedError("its value is neither of floats nor of integers")
    return [op.constant(value)]


def constant_of_shape(op: Op) -> list[Value]:
    """One value, over and over; that its shape was measured makes nothing of its value."""
    shape, value = op.integers(0), op.maybe("value", np.ndarray)
    item = np.zeros(1, np.float32) if value is None else value
    if item.size != 1 or shape is None or min(shape, default=1) < 0:
        raise FormatError(f"expected a shape and one value, got {shape}")
    in_bounds(*shape)
    return [op.constant(np.broadcast_to(item.reshape(()), shape))]


def shape_of(op: Op) -> list[Value]:
    """The sizes of a value."""
    value = op.value(0)
    sizes = value.array.shape if isinstance(value, Constant) else unpadded(value).shape
    start, stop = op.attribute("start", 0), op.maybe("end", int)
    return [Constant(np.array(sizes[start:stop], np.int64), op.name, measured=True)]


def transpose(op: Op) -> list[Value]:
    """Axes in another order; features too, where that changes the order of theirs."""
    value = op.value(0)
    rank = value.array.ndim if isinstance(value, Constant) else len(value.axes)
    order = op.ints("perm") or tuple(reversed(range(rank)))
    if sorted(order) != list(range(rank)):
        raise FormatError(f"expected an order of {rank} axes, got {order}")
    if isinstance(value, Constant):
        return [op.constant(value.array.transpose(order), value)]
    places = iter(range(len(value.pieces)))
    pieces = [[next(places) for atom in axis if atom.kind == "feature"] for axis in value.axes]
    index = np.arange(value.size).reshape(value.pieces).transpose([k for axis in order for k in pieces[axis]])
    part = op.network.select(value.part, index, op.name)
    return [moved(value, part, tuple(value.axes[axis] for axis in order))]


def reshape(op: Op) -> list[Value]:
    """The same elements in axes of other sizes."""
    value = op.value(0)
    target = list(op.ints("shape")) if op.opset < 5 else op.integers(1)
    own = value.array.shape if isinstance(value, Constant) else value.shape
    if target is None:
        raise FormatError("expected a shape")
    if not op.attribute("allowzero", 0):
        target = [own[k] if size == 0 and k < len(own) else size for k, size in enumerate(target)]
    return [_regroup(op, value, target)]


def flatten(op: Op) -> list[Value]:
    """Two axes of all."""
    value = op.value(0)
    own = value.array.shape if isinstance(value, Constant) else value.shape
    axis = op.attribute("axis", 1)
    axis = len(own) if axis == len(own) else axis_number(axis, len(own))
    return [_regroup(op, value, [math.prod(own[:axis]), math.prod(own[axis:])])]


def squeeze(op: Op) -> list[Value]:
    """Without axes of size 1."""
    value = op.value(0)
    own = value.array.shape if isinstance(value, Constant) else value.shape
    given = _axes(op)
    axes = (
        [k for k, size in enumerate(own) if size == 1] if given is None else [axis_number(a, len(own)) for a in given]
    )
    if any(own[k] != 1 for k in axes):
        raise FormatError(f"expected axes of size 1, got {own} and {axes}")
    return [_regroup(op, value, [size for k, size in enumerate(own) if k not in axes])]


def unsqueeze(op: Op) -> list[Value]:
    """With more axes of size 1."""
    value, axes = op.value(0), _axes(op)
    own = list(value.array.shape if isinstance(value, Constant) else value.shape)
    if axes is None or len(axes) + len(own) > 8:
        raise FormatError("expected axes, and no more than 8 in all")
    rank = len(own) + len(axes)
    for axis in sorted(axis_number(axis, rank) for axis in axes):
        own.insert(axis, 1)
    return [_regroup(op, value, own)]


def expand(op: Op) -> list[Value]:
    """Repeated along axes of size 1: constants and features, never steps or streams."""
    value, target = op.value(0), op.integers(1)
    if target is None or min(target, default=1) < 1:
        raise FormatError(f"expected a shape, got {target}")
    if isinstance(value, Constant):
        try:
            shape = np.broadcast_shapes(value.array.shape, tuple(target))
        except ValueError:
            raise FormatError(f"{value.array.shape} cannot be expanded to {target}") from None
        in_bounds(*shape)
        return [op.constant(np.broadcast_to(value.array, shape), value)]
    axes = ((),) * (len(target) - len(value.axes)) + value.axes
    own = (1,) * (len(axes) - len(target)) + tuple(target)
    ones = [1 if axis and not is_features(axis) else size for axis, size in zip(axes, own, strict=True)]
    given = op.optional(1)
    measured = isinstance(given, Constant) and given.measured
    if measured and any(size > 1 and not axis for axis, size in zip(axes, own, strict=True)):
        raise UnsupportedError("it repeats a value over steps or streams")
    return [widened(op, value, ones)]


def tile(op: Op) -> list[Value]:
    """Constants over and over; of values only those that stay as they are."""
    value, counts = op.value(0), op.integers(1)
    if counts is None or min(counts, default=1) < 1:
        raise FormatError(f"expected how often to repeat, got {counts}")
    if isinstance(value, Constant):
        rank = max(value.array.ndim, len(counts))
        own = (1,) * (rank - value.array.ndim) + value.array.shape
        in_bounds(*(size * count for size, count in zip(own, [1] * (rank - len(counts)) + counts, strict=True)))
        return [op.constant(np.tile(value.array, counts), value)]
    if math.prod(counts) != 1:
        raise UnsupportedError("it repeats a value over steps, streams or features")
    return [value]


def widened(op: Op, flow: Flow, shape: Sequence[int]) -> Flow:
    """A value with its features repeated, where *shape* is larger than it along an axis of features."""
    axes = ((),) * (len(shape) - len(flow.axes)) + flow.axes
    sizes = [feature_size(axis) for axis in axes]
    try:
        full = np.broadcast_shapes(tuple(sizes), tuple(shape))
    except ValueError:
        raise FormatError(f"features of {tuple(sizes)} cannot be broadcast to {tuple(shape)}") from None
    in_bounds(*full)
    part = op.network.select(flow.part, np.broadcast_to(flow.grid().reshape(sizes), full), op.name)
    grown = (features(size) if size > own else axis for axis, own, size in zip(axes, sizes, full, strict=True))
    return moved(flow, part, tuple(grown))


def _axes(op: Op) -> Sequence[int] | None:
    return (op.ints("axes") or None) if op.opset < 13 else op.integers(1)


def _regroup(op: Op, value: Value, target: Sequence[int]) -> Value:
    own = value.array.shape if isinstance(value, Constant) else value.shape
    known = math.prod(size for size in target if size != -1)
    target = [math.prod(own) // known if size == -1 and known > 0 else size for size in target]
    if min(target, default=1) < 0 or math.prod(target) != math.prod(own) or len(target) > 8:
        raise FormatError(f"{tuple(own)} cannot become {tuple(target)[:9]}")
    if isinstance(value, Constant):
        in_bounds(*target)
        return op.constant(value.array.reshape(target), value)
    return reshaped(value, target)


OPERATORS: dict[str, Handler] = {
    "Identity": identity, "Dropout": dropout, "Cast": cast, "Constant": constant, "ConstantOfShape": constant_of_shape,
    "Shape": shape_of, "Transpose": transpose, "Reshape": reshape, "Flatten": flatten, "Squeeze": squeeze,
    "Unsqueeze": unsqueeze, "Expand": expand, "Tile": tile,
}  # fmt: skip
