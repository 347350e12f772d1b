"""Operators that multiply with a matrix at each step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import FormatError, UnsupportedError
from streamgru.formats.onnx.network import Tensors
from streamgru.formats.onnx.op import Handler, Op
from streamgru.formats.onnx.values import (
    Constant,
    Flow,
    Misread,
    Value,
    features,
    is_features,
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
    bias = None if c is None else bias_row(c if beta == 1 else c * beta, weight.shape[0])
    return [_dense(op, x, -1, weight if alpha == 1 else weight * alpha, op.sources(1, 2), bias)]


def _matrix(array: NDArray[Any]) -> NDArray[Any]:
    """A constant as a matrix; axes of size 1 may stand before it."""
    if array.ndim < 2 or array.shape[-2] * array.shape[-1] != array.size or array.dtype.kind != "f" or not array.size:
        raise UnsupportedError(f"expected a matrix of floats, got {array.dtype} of shape {array.shape}")
    return array.reshape(array.shape[-2:])


def bias_row(array: NDArray[Any], n_out: int) -> NDArray[Any]:
    """One number for each feature, or one for all; along other axes would be one for each stream or step."""
    if (array.size != 1 and array.shape[-1:] != (array.size,)) or array.size not in (1, n_out):
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


OPERATORS: dict[str, Handler] = {"MatMul": matmul, "Gemm": gemm}
