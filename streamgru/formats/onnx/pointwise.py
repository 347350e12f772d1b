"""Operators that treat every step alike: activation functions and arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import FormatError, UnsupportedError
from streamgru.formats.onnx.curves import curve
from streamgru.formats.onnx.moves import widened
from streamgru.formats.onnx.network import Part, Tensors
from streamgru.formats.onnx.op import Handler, Op, broadcast_shape, unpadded
from streamgru.formats.onnx.values import Constant, Flow, Misread, Value, features, in_bounds, is_features, per_feature
from streamgru.model import spec as s
from streamgru.model.functions import AnyFunction, Function

ALPHA, GAMMA = 1.67326319217681884765625, 1.05070102214813232421875
FOLDED: dict[str, Callable[..., Any]] = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}


def activation(name: Function, op: Op, **defaults: float) -> list[Value]:
    """A function of each number; *defaults* are those of the attributes alpha and beta."""
    op.ignore("consumed_inputs")
    parameters = {key: op.attribute(key, value) for key, value in defaults.items()}
    return [activated(op, op.flow(0), curve(name, *parameters.values()))]


def selu(op: Op) -> list[Value]:
    """With its two constants, which the first opset rounded."""
    alpha, gamma = (1.6732, 1.0507) if op.opset < 6 else (ALPHA, GAMMA)
    given = op.attribute("alpha", alpha), op.attribute("gamma", gamma)
    if max(abs(given[0] - ALPHA), abs(given[1] - GAMMA)) > 1e-6:
        raise UnsupportedError(f"its alpha and gamma are {given}; expected {(ALPHA, GAMMA)}")
    op.ignore("consumed_inputs")
    return [activated(op, op.flow(0), curve("selu"))]


def activated(op: Op, x: Flow, function: AnyFunction) -> Flow:
    """A function behind a layer, within it where it has none yet."""
    layer = op.network.parts[x.part].layer
    if isinstance(layer, (s.Dense, s.Conv1d)) and layer.function == "linear":
        return Flow(op.network.change(x.part, function=function), x.axes)
    return op.emit(s.Activation(name=op.name, function=function), x, size=x.size, axes=x.axes)


def clip(op: Op) -> list[Value]:
    """Between two bounds, either of which may be left out."""
    op.ignore("consumed_inputs")
    low, high = op.maybe("min", float), op.maybe("max", float)
    if op.opset >= 11:
        low, high = _bound(op.array(1)), _bound(op.array(2))
    largest = float(np.finfo(np.float32).max)
    open_below, open_above = low is None or low <= -largest, high is None or high >= largest
    if open_below and open_above:
        return [op.flow(0)]
    return [activated(op, op.flow(0), curve("clip", None if open_below else low, None if open_above else high))]


def _bound(array: NDArray[Any] | None) -> float | None:
    if array is not None and array.size != 1:
        raise FormatError(f"expected one number as a bound, got {array.size}")
    return None if array is None else float(array.reshape(-1)[0])


def gelu(op: Op) -> list[Value]:
    """The exact one, or the one by tanh."""
    names: dict[str, Function] = {"none": "gelu", "tanh": "gelu_tanh"}
    how = op.attribute("approximate", "none")
    if how not in names:
        raise UnsupportedError(f"its attribute 'approximate' is {how!r}")
    return [activated(op, op.flow(0), curve(names[how]))]


def negative(op: Op) -> list[Value]:
    """``-x``."""
    value = op.value(0)
    if isinstance(value, Constant):
        if value.array.dtype.kind == "b":
            raise UnsupportedError("it computes with booleans")
        return [op.constant(-value.array, value)]
    return [_scaled(op, op.flow(0), -np.ones(value.size, np.float32), None)]


def arithmetic(op: Op) -> list[Value]:
    """Two values, or a value and a constant, broadcast."""
    op.ignore("consumed_inputs")
    if op.opset < 7 and (op.attribute("broadcast", 0) and op.maybe("axis", int) is not None):
        raise UnsupportedError("it broadcasts along an axis of its own, as before opset 7; convert it to a newer opset")
    left, right = op.value(0), op.value(1)
    if isinstance(left, Constant) and isinstance(right, Constant):
        return [_folded(op, left, right)]
    if isinstance(left, Flow) and isinstance(right, Flow):
        return [_two_values(op, left, right)]
    flow, constant = (left, right) if isinstance(left, Flow) else (right, left)
    assert isinstance(flow, Flow) and isinstance(constant, Constant)
    if constant.array.dtype.kind != "f" or constant.array.size == 0:
        raise UnsupportedError("it computes with whole numbers")
    array, shape = per_feature(constant, unpadded(flow))
    wide = widened(op, flow, shape)
    row = np.broadcast_to(array, shape).reshape(-1).astype(np.result_type(array, np.float32))
    return [_with_constant(op, wide, row, constant_first=flow is right)]


def _with_constant(op: Op, x: Flow, row: NDArray[Any], constant_first: bool) -> Flow:
    kind = op.node.op
    if kind == "Add":
        return _scaled(op, x, None, row)
    if kind == "Sub":
        return _scaled(op, x, -np.ones_like(row), row) if constant_first else _scaled(op, x, None, -row)
    if kind == "Mul":
        return _scaled(op, x, row, None)
    if constant_first:
        over = _scaled(op, x, np.zeros_like(row), row)
        return op.emit(s.Div(name=op.name), over, x, size=x.size, axes=x.axes)
    if not row.all():
        raise UnsupportedError("it divides by a constant that is 0")
    return _scaled(op, x, 1 / row, None)


def _scaled(op: Op, x: Flow, weight: NDArray[Any] | None, bias: NDArray[Any] | None) -> Flow:
    """``x * weight + bias``; a bias alone goes into the layer before, if that has none yet."""
    part = op.network.parts[x.part]
    sources = op.sources(0, 1)
    if weight is None and bias is not None and _lacks_bias(part):
        return Flow(op.network.change(x.part, {"bias": np.ascontiguousarray(bias)}, sources), x.axes)
    given = {"weight": weight, "bias": bias}
    tensors: Tensors = {key: np.ascontiguousarray(row) for key, row in given.items() if row is not None}
    return op.emit(s.Scale(name=op.name), x, size=x.size, axes=x.axes, tensors=tensors, sources=sources)


def _lacks_bias(part: Part) -> bool:
    layer = part.layer
    takes = isinstance(layer, s.Scale) or (isinstance(layer, s.Dense | s.Conv1d) and layer.function == "linear")
    return takes and "bias" not in part.tensors


def _two_values(op: Op, left: Flow, right: Flow) -> Flow:
    """Values of the same steps; features of the one may be repeated for the other."""
    left, right = unpadded(left), unpadded(right)
    rank = max(len(left.axes), len(right.axes))
    pairs = list(zip(*(((),) * (rank - len(flow.axes)) + flow.axes for flow in (left, right)), strict=True))
    for own, other in pairs:
        if own != other and not (is_features(own) and is_features(other)):
            raise Misread(f"its inputs are of other steps or streams: {left.shape} and {right.shape}")
    shape = []
    for own, other in pairs:
        sizes = [1 if not is_features(axis) else Flow(0, (axis,)).size for axis in (own, other)]
        if min(sizes) not in (1, max(sizes)):
            raise Misread(f"{left.shape} and {right.shape} cannot be broadcast")
        shape.append(max(sizes))
    left, right = widened(op, left, shape), widened(op, right, shape)
    # Widening makes one atom of each axis that grows; the other's may be cut in pieces, to the same effect.
    axes = tuple(axis if not is_features(axis) else features(size) for axis, size in zip(left.axes, shape, strict=True))
    layers: dict[str, type[s.Add | s.Mul | s.Div]] = {"Add": s.Add, "Sub": s.Add, "Mul": s.Mul, "Div": s.Div}
    if op.node.op == "Sub":
        right = _scaled(op, right, -np.ones(right.size, np.float32), None)
    return op.emit(layers[op.node.op](name=op.name), left, right, size=left.size, axes=axes)


def _folded(op: Op, left: Constant, right: Constant) -> Constant:
    in_bounds(*broadcast_shape(left.array, right.array))
    a, b = left.array, right.array
    if "b" in (a.dtype.kind, b.dtype.kind):
        raise UnsupportedError("it computes with booleans")
    whole = a.dtype.kind in "iu" and b.dtype.kind in "iu"
    if op.node.op == "Div" and whole:
        if not b.all():
            raise FormatError("it divides by 0")
        a, b = a.astype(np.int64), b.astype(np.int64)
        quotient = np.abs(a) // np.abs(b) * np.sign(a) * np.sign(b)  # towards 0, as ONNX does
        return op.constant(quotient, left, right)
    return op.constant(FOLDED[op.node.op](a, b), left, right)


def power(op: Op) -> list[Value]:
    """Squares, square roots, and what can be made of them."""
    x, exponent = op.flow(0), op.needed(1)
    if exponent.size != 1:
        raise UnsupportedError("its exponents differ")
    number = float(exponent.reshape(-1)[0])
    if number == 1:
        return [x]
    if number == 2:
        return [op.emit(s.Mul(name=op.name), x, x, size=x.size, axes=x.axes)]
    if number == 0.5:
        return [activated(op, x, curve("sqrt"))]
    raise UnsupportedError(f"its exponent is {number}; expected 0.5, 1 or 2")


def softmax(op: Op) -> list[Value]:
    """Over the features, or its logarithm."""
    x = op.flow(0)
    axis = op.attribute("axis", -1 if op.opset >= 13 else 1)
    # Before opset 13 everything from that axis on counted as one.
    taken = x.axes[axis:] if op.opset < 13 or axis == -1 else x.axes[axis : axis + 1]
    if not taken or not all(is_features(one) for one in taken) or Flow(0, taken).size != x.size:
        raise Misread(f"its axis {axis} is not that of all features")
    layer = s.Softmax(name=op.name, log=op.node.op == "LogSoftmax")
    return [op.emit(layer, x, size=x.size, axes=x.axes)]


def prelu(op: Op) -> list[Value]:
    """A leaky relu whose slope was learned, if it is one for all features."""
    slope = op.needed(1)
    if slope.size == 0 or (slope != slope.reshape(-1)[0]).any():
        raise UnsupportedError("its slope differs from feature to feature; expected one for all")
    return [activated(op, op.flow(0), curve("leaky_relu", float(slope.reshape(-1)[0])))]


OPERATORS: dict[str, Handler] = {
    "Relu": partial(activation, "relu"), "Tanh": partial(activation, "tanh"), "Sigmoid": partial(activation, "sigmoid"),
    "Selu": selu,
    "HardSigmoid": partial(activation, "hard_sigmoid", alpha=0.2, beta=0.5),
    "LeakyRelu": partial(activation, "leaky_relu", alpha=0.01), "Elu": partial(activation, "elu", alpha=1.0),
    "ThresholdedRelu": partial(activation, "thresholded_relu", alpha=1.0),
    "Softplus": partial(activation, "softplus"), "Softsign": partial(activation, "softsign"),
    "Exp": partial(activation, "exp"), "Log": partial(activation, "log"), "Sqrt": partial(activation, "sqrt"),
    "Abs": partial(activation, "abs"), "Clip": clip, "Gelu": gelu, "PRelu": prelu, "Neg": negative, "Pow": power,
    "Add": arithmetic, "Sub": arithmetic, "Mul": arithmetic, "Div": arithmetic,
    "Softmax": softmax, "LogSoftmax": softmax,
}  # fmt: skip
