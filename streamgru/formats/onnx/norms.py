"""Normalisations, and means and sums over the features, which older exporters build them of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import FormatError, UnsupportedError
from streamgru.formats.onnx.network import Tensors
from streamgru.formats.onnx.op import Handler, Op
from streamgru.formats.onnx.values import Misread, Value, axis_number, features, is_features
from streamgru.model import spec as s


def batch_normalization(op: Op) -> list[Value]:
    """With the statistics of the training."""
    x = op.flow(0)
    op.only(training_mode=0, spatial=1)
    op.ignore("momentum", "consumed_inputs")
    if op.opset < 7 and not op.attribute("is_test", 0):
        raise UnsupportedError("it normalises with the statistics of the batch; export the model in its eval mode")
    others = [axis for k, axis in enumerate(x.axes) if k != 1 and is_features(axis) and axis]
    if len(x.axes) < 2 or not is_features(x.axes[1]) or others:
        raise Misread(f"expected features along axis 1 of its input and nowhere else, got {x.shape}")
    names = ("weight", "bias", "mean", "var")
    tensors: Tensors = {name: _row(op.needed(k), x.size) for k, name in enumerate(names, 1)}
    layer = s.BatchNorm(name=op.name, eps=_eps(op))
    return [op.emit(layer, x, size=x.size, axes=x.axes, tensors=tensors, sources=op.sources(1, 2, 3, 4))]


def layer_normalization(op: Op) -> list[Value]:
    """Over the features of each step."""
    x = op.flow(0)
    op.only(stash_type=1)
    first = axis_number(op.attribute("axis", -1), len(x.axes))
    if not all(is_features(axis) for axis in x.axes[first:]) or any(is_features(a) and a for a in x.axes[:first]):
        raise Misread("expected it to normalise over all features, and over nothing else")
    tensors: Tensors = {"weight": _row(op.needed(1), x.size)}
    if (bias := op.array(2)) is not None:
        tensors["bias"] = _row(bias, x.size)
    layer = s.LayerNorm(name=op.name, eps=_eps(op))
    return [op.emit(layer, x, size=x.size, axes=x.axes, tensors=tensors, sources=op.sources(1, 2))]


def reduce_features(op: Op) -> list[Value]:
    """``ReduceMean`` and ``ReduceSum`` over all features."""
    x, keep = op.flow(0), op.attribute("keepdims", 1)
    old = op.opset < (13 if op.node.op == "ReduceSum" else 18)
    given = (op.ints("axes") or None) if old else op.integers(1)
    if given is None and (old or not op.attribute("noop_with_empty_axes", 0)):
        given = list(range(len(x.axes)))
    axes = {axis_number(axis, len(x.axes)) for axis in given or ()}
    if not old:
        op.ignore("noop_with_empty_axes")
    reduced = [axis for k, axis in enumerate(x.axes) if k in axes]
    rest = [axis for k, axis in enumerate(x.axes) if k not in axes]
    if not all(is_features(axis) for axis in reduced) or any(is_features(axis) and axis for axis in rest):
        raise Misread("it reduces steps or streams; only all features of a step can be reduced")
    weight = np.full((1, x.size), 1 / x.size if op.node.op == "ReduceMean" else 1, np.float32)
    whole = tuple(features(1) if k in axes else axis for k, axis in enumerate(x.axes))
    layer = s.Dense(name=op.name, n_out=1)
    return [op.emit(layer, x, size=1, axes=whole if keep else tuple(rest), tensors={"weight": weight})]


def _eps(op: Op) -> float:
    eps = op.attribute("epsilon", 1e-5)
    if not 0 < eps < 1e3:
        raise FormatError(f"expected an epsilon above 0, got {eps}")
    return eps


def _row(array: NDArray[Any], size: int) -> NDArray[Any]:
    if array.size != size or array.dtype.kind != "f":
        raise Misread(f"expected {size} floats, one for each feature, got {array.dtype} of shape {array.shape}")
    return array.reshape(-1)


OPERATORS: dict[str, Handler] = {
    "BatchNormalization": batch_normalization, "LayerNormalization": layer_normalization,
    "ReduceMean": reduce_features, "ReduceSum": reduce_features,
}  # fmt: skip
