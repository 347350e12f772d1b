"""Operators that look at several steps: convolutions and pools over time."""

from __future__ import annotations

from dataclasses import dataclass

from streamgru.errors import UnsupportedError
from streamgru.formats.conventions import steps_oldest_first
from streamgru.formats.onnx.network import Tensors
from streamgru.formats.onnx.op import Handler, Op
from streamgru.formats.onnx.products import bias_row
from streamgru.formats.onnx.values import Atom, Axis, Flow, Misread, Value, features, in_bounds, is_features, is_kind
from streamgru.model import spec as s

MAX_STEPS = 65_536


@dataclass(frozen=True)
class Window:
    """What of the steps is looked at, and the axes of what comes out but for the features."""

    size: int
    stride: int
    dilation: int
    before: int
    after: int
    axes: tuple[Axis, ...]


def conv(op: Op) -> list[Value]:
    """A convolution over time of all features; groups become one matrix with zeros in it."""
    x, w, bias = op.flow(0, padded=True), op.needed(1), op.array(2)
    if w.ndim != len(x.axes) or w.ndim < 3 or w.dtype.kind != "f" or not w.size:
        raise Misread(f"weights of shape {w.shape} do not fit an input with {len(x.axes)} axes")
    n_out, per_group, *kernel = w.shape
    groups = op.attribute("group", 1)
    if op.ints("kernel_shape", tuple(kernel)) != tuple(kernel) or groups < 1 or n_out % groups:
        raise UnsupportedError(f"weights of shape {w.shape} do not go with its kernel_shape or {groups} group(s)")
    if per_group * groups != x.size:
        raise Misread(f"weights of shape {w.shape} in {groups} group(s) do not fit {x.size} features")
    window = _window(op, x, tuple(kernel))
    in_bounds(n_out, window.size * x.size)
    kernel_of_steps = w.reshape(n_out, per_group, window.size)
    tensors: Tensors = {"weight": steps_oldest_first(kernel_of_steps, "oik", groups)}
    if bias is not None:
        tensors["bias"] = bias_row(bias, n_out)
    layer = s.Conv1d(
        name=op.name, n_out=n_out, size=window.size, stride=window.stride, dilation=window.dilation,
        before=window.before + x.padded[0], after=window.after + x.padded[1],
    )  # fmt: skip
    axes = (window.axes[0], features(n_out), *window.axes[2:])
    return [op.emit(layer, Flow(x.part, x.axes), size=n_out, axes=axes, tensors=tensors, sources=op.sources(1, 2))]


def average_pool(op: Op) -> list[Value]:
    """The mean of some steps."""
    x = op.flow(0, padded=True)
    op.only(ceil_mode=0)
    counted, window = op.attribute("count_include_pad", 0), _window(op, x, op.ints("kernel_shape"))
    if window.dilation != 1:
        raise UnsupportedError(f"its dilation is {window.dilation}; expected 1")
    if any(x.padded) and (window.before or window.after) and not counted:
        raise UnsupportedError("zeros were padded to its input, which count, and it pads more, which do not")
    layer = s.AveragePool1d(
        name=op.name, size=window.size, stride=window.stride, before=window.before + x.padded[0],
        after=window.after + x.padded[1], padding="counted" if counted or any(x.padded) else "left_out",
    )  # fmt: skip
    return [op.emit(layer, Flow(x.part, x.axes), size=x.size, axes=window.axes)]


def max_pool(op: Op) -> list[Value]:
    """The largest of some steps."""
    x = op.flow(0)
    op.only(ceil_mode=0, storage_order=0)
    window = _window(op, x, op.ints("kernel_shape"))
    if window.dilation != 1:
        raise UnsupportedError(f"its dilation is {window.dilation}; expected 1")
    layer = s.MaxPool1d(
        name=op.name, size=window.size, stride=window.stride, before=window.before, after=window.after
    )  # fmt: skip
    return [op.emit(layer, x, size=x.size, axes=window.axes)]


def _window(op: Op, x: Flow, kernel: tuple[int, ...]) -> Window:
    """The window over time; along other axes, as of a flat image, there is nothing but one element."""
    rank = len(x.axes) - 2
    if rank < 1 or not is_kind(x.axes[0], "batch") or not is_features(x.axes[1]):
        raise Misread(f"expected streams, features and steps along the axes of its input, got {x.shape}")
    strides, dilations = op.ints("strides") or (1,) * rank, op.ints("dilations") or (1,) * rank
    pads = op.ints("pads") or (0,) * 2 * rank
    if not len(kernel) == len(strides) == len(dilations) == len(pads) // 2 == rank or len(pads) % 2:
        raise Misread(f"expected {rank} number(s) for kernel_shape, strides and dilations, and twice as many pads")
    for name, values in (("kernel_shape", kernel), ("strides", strides), ("dilations", dilations)):
        if not all(1 <= value <= MAX_STEPS for value in values):
            raise UnsupportedError(f"expected numbers from 1 to {MAX_STEPS} for {name!r}, got {values[:8]}")
    if not all(0 <= amount < MAX_STEPS for amount in pads):
        raise UnsupportedError(f"expected numbers from 0 to {MAX_STEPS - 1} for 'pads', got {pads[:8]}")
    spatial = x.axes[2:]
    at = max(range(rank), key=lambda k: (spatial[k] != (), kernel[k]))
    for k, axis in enumerate(spatial):
        if k != at and (axis != () or kernel[k] != 1 or pads[k] or pads[rank + k]):
            raise Misread(f"expected a window over one axis, that of the steps, got {kernel} over {x.shape[2:]}")
    if not is_kind(spatial[at], "time"):
        raise Misread("expected steps along the last axis of its input")
    before, after = _padding(op, x.shape[2 + at], kernel[at], strides[at], dilations[at], (pads[at], pads[rank + at]))
    left = x.shape[2 + at] + before + after - (kernel[at] - 1) * dilations[at] - 1
    if left < 0:
        raise UnsupportedError(f"its window is longer than the {x.shape[2 + at]} steps that the file is for")
    count = left // strides[at] + 1
    steps: Axis = (Atom("time", count),) if count > 1 else ()
    axes = (*x.axes[: 2 + at], steps, *x.axes[3 + at :])
    return Window(kernel[at], strides[at], dilations[at], before, after, axes)


def _padding(op: Op, n_steps: int, size: int, stride: int, dilation: int, pads: tuple[int, int]) -> tuple[int, int]:
    """Zeros before and behind the steps."""
    auto = op.attribute("auto_pad", "NOTSET")
    if auto in ("NOTSET", ""):
        return pads
    if any(pads) or auto not in ("VALID", "SAME_UPPER", "SAME_LOWER"):
        raise UnsupportedError(f"its auto_pad is {auto!r}, with pads {pads}")
    if auto == "VALID":
        return 0, 0
    if stride > 1 and op.trace.open_time:
        raise UnsupportedError(f"its padding depends on how many steps there are ({auto} with stride {stride})")
    total = max((-(-n_steps // stride) - 1) * stride + (size - 1) * dilation + 1 - n_steps, 0)
    less, more = total // 2, total - total // 2
    return (less, more) if auto == "SAME_UPPER" else (more, less)


OPERATORS: dict[str, Handler] = {"Conv": conv, "AveragePool": average_pool, "MaxPool": max_pool}
