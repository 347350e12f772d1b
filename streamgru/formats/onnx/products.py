"""Operators that multiply with a matrix, at each step or over several: dense layers, convolutions, pools."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import FormatError, UnsupportedError
from streamgru.formats.onnx.network import Tensors
from streamgru.formats.onnx.op import Handler, Op
from streamgru.formats.onnx.values import (
    Atom,
    Axis,
    Constant,
    Flow,
    Misread,
    Value,
    features,
    in_bounds,
    is_features,
    is_kind,
)
from streamgru.model import spec as s


def matmul(op: Op) -> list[Value]:
    """A value times a constant matrix, or the other way round."""
    left, right = op.value(0), op.value(1)
    if isinstance(left, Constant) and isinstance(right, Constant):
        raise UnsupportedError("it multiplies two constants; let the exporter fold them")
    if isinstance(left, Flow) and isinstance(right, Flow):
        raise UnsupportedError("it multiplies two values; expected a constant matrix")
    if isinstance(left, Flow):
        return [_dense(op, op.flow(0), -1, _matrix(op.needed(1)).T, op.sources(1))]
    return [_dense(op, op.flow(1), -2, _matrix(op.needed(0)), op.sources(0))]


def gemm(op: Op) -> list[Value]:
    """``alpha * A B + beta * C``, each of A and B perhaps transposed."""
    op.only(transA=0)
    op.ignore("broadcast")  # before opset 7, where C may be broadcast without it too
    x, b, c = op.flow(0), _matrix(op.needed(1)), op.array(2)
    alpha, beta = np.float32(op.attribute("alpha", 1.0)), np.float32(op.attribute("beta", 1.0))
    weight = b if op.attribute("transB", 0) else b.T
    if len(x.axes) != 2:
        raise FormatError(f"expected an input of two axes, got {len(x.axes)}")
    bias = None if c is None else _bias(c if beta == 1 else c * beta, weight.shape[0])
    return [_dense(op, x, -1, weight if alpha == 1 else weight * alpha, op.sources(1, 2), bias)]


def _matrix(array: NDArray[Any]) -> NDArray[Any]:
    """A constant as a matrix; axes of size 1 may stand before it."""
    if array.ndim < 2 or array.shape[-2] * array.shape[-1] != array.size or array.dtype.kind != "f" or not array.size:
        raise UnsupportedError(f"expected a matrix of floats, got {array.dtype} of shape {array.shape}")
    return array.reshape(array.shape[-2:])


def _bias(array: NDArray[Any], n_out: int) -> NDArray[Any]:
    if array.size not in (1, n_out) or array.shape[-1:] not in ((), (1,), (n_out,)):
        raise UnsupportedError(f"expected {n_out} biases, the same for all streams and steps, got {array.shape}")
    return np.ascontiguousarray(np.broadcast_to(array.reshape(-1), n_out))


def _dense(
    op: Op, x: Flow, at: int, weight: NDArray[Any], sources: tuple[str, ...], bias: NDArray[Any] | None = None
) -> Flow:
    """A layer in place of the features along one axis."""
    n_out, n_in = weight.shape
    if len(x.axes) < -at or not is_features(x.axes[at]) or x.size != n_in or x.shape[at] != n_in:
        raise Misread(f"expected {n_in} features along one axis, got axes of {x.shape}")
    tensors: Tensors = {"weight": np.ascontiguousarray(weight)} | ({} if bias is None else {"bias": bias})
    axes = list(x.axes)
    axes[at] = features(n_out)
    layer = s.Dense(name=op.name, n_out=n_out)
    return op.emit(layer, x, size=n_out, axes=tuple(axes), tensors=tensors, sources=sources)


def conv(op: Op) -> list[Value]:
    """A convolution over time of all features; groups become one matrix with zeros in it."""
    x, w, bias = op.flow(0, padded=True), op.needed(1), op.array(2)
    if w.ndim != 3 or w.dtype.kind != "f" or not w.size:
        raise UnsupportedError(f"expected a convolution over one axis, got weights of shape {w.shape}")
    n_out, per_group, size = w.shape
    groups, dilation = op.attribute("group", 1), _single(op, "dilations", 1)
    if op.ints("kernel_shape", (size,)) != (size,) or groups < 1 or n_out % groups or per_group * groups != x.size:
        raise Misread(f"weights of shape {w.shape} in {groups} group(s) do not fit {x.size} features")
    in_bounds(n_out * size * x.size)
    dense = np.zeros((n_out, size, x.size), w.dtype)
    for k in range(groups):
        rows, columns = _share(k, n_out, groups), _share(k, x.size, groups)
        dense[rows, :, columns] = w[rows].transpose(0, 2, 1)
    tensors: Tensors = {"weight": dense.reshape(n_out, -1)} | ({} if bias is None else {"bias": _bias(bias, n_out)})
    stride, before, after, steps = _window(op, x, size, dilation)
    layer = s.Conv1d(
        name=op.name, n_out=n_out, size=size, stride=stride, dilation=dilation,
        before=before + x.padded[0], after=after + x.padded[1],
    )  # fmt: skip
    bare = Flow(x.part, x.axes)
    axes = (x.axes[0], features(n_out), steps)
    return [op.emit(layer, bare, size=n_out, axes=axes, tensors=tensors, sources=op.sources(1, 2))]


def average_pool(op: Op) -> list[Value]:
    """The mean of some steps."""
    x = op.flow(0, padded=True)
    op.only(ceil_mode=0, dilations=(1,))
    size, counted = _single(op, "kernel_shape", 0), op.attribute("count_include_pad", 0)
    stride, before, after, steps = _window(op, x, size, 1)
    if any(x.padded) and (before or after) and not counted:
        raise UnsupportedError("zeros were padded to its input, which count, and it pads more, which do not")
    layer = s.AveragePool1d(
        name=op.name, size=size, stride=stride, before=before + x.padded[0], after=after + x.padded[1],
        padding="counted" if counted or any(x.padded) else "left_out",
    )  # fmt: skip
    return [op.emit(layer, Flow(x.part, x.axes), size=x.size, axes=(x.axes[0], x.axes[1], steps))]


def max_pool(op: Op) -> list[Value]:
    """The largest of some steps."""
    x = op.flow(0)
    op.only(ceil_mode=0, storage_order=0, dilations=(1,))
    size = _single(op, "kernel_shape", 0)
    stride, before, after, steps = _window(op, x, size, 1)
    layer = s.MaxPool1d(name=op.name, size=size, stride=stride, before=before, after=after)
    return [op.emit(layer, x, size=x.size, axes=(x.axes[0], x.axes[1], steps))]


def _share(k: int, whole: int, parts: int) -> slice:
    return slice(k * whole // parts, (k + 1) * whole // parts)


def _single(op: Op, name: str, default: int) -> int:
    """An attribute of one number, for the one axis that there is."""
    values = op.ints(name) or (default,)
    if len(values) != 1 or not 1 <= values[0] <= 65_536:
        raise UnsupportedError(f"expected one number from 1 to 65,536 for {name!r}, got {values[:8]}")
    return values[0]


def _window(op: Op, x: Flow, size: int, dilation: int) -> tuple[int, int, int, Axis]:
    """Stride, zeros before and behind, and the axis of the steps that come out."""
    if len(x.axes) != 3 or not is_kind(x.axes[0], "batch") or not is_features(x.axes[1]):
        raise Misread(f"expected streams, features and steps along the axes of its input, got {x.shape}")
    if not is_kind(x.axes[2], "time"):
        raise Misread("expected steps along the last axis of its input")
    stride, span, n_steps = _single(op, "strides", 1), (size - 1) * dilation + 1, x.shape[2]
    pads, auto = op.ints("pads") or (0, 0), op.attribute("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        if stride > 1 and op.trace.open_time:
            raise UnsupportedError(f"its padding depends on how many steps there are ({auto} with stride {stride})")
        total = max((-(-n_steps // stride) - 1) * stride + span - n_steps, 0)
        pads = (total // 2, total - total // 2) if auto == "SAME_UPPER" else (total - total // 2, total // 2)
    elif auto not in ("NOTSET", "VALID", ""):
        raise UnsupportedError(f"its auto_pad is {auto!r}")
    if len(pads) != 2 or not all(0 <= amount < 65_536 for amount in pads):
        raise UnsupportedError(f"expected two numbers from 0 to 65,535 for 'pads', got {pads[:8]}")
    left = n_steps + sum(pads) - span
    if left < 0:
        raise UnsupportedError(f"it needs {span} steps at least, and the file is for {n_steps}")
    count = left // stride + 1
    return stride, pads[0], pads[1], (Atom("time", count),) if count > 1 else ()


OPERATORS: dict[str, Handler] = {
    "MatMul": matmul, "Gemm": gemm, "Conv": conv, "AveragePool": average_pool, "MaxPool": max_pool,
}  # fmt: skip
