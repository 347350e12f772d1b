"""Keras layers that look at several steps at once: convolution and pooling over time, and the zeros around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from streamgru.formats import keras_weights as w
from streamgru.formats.keras_build import Builder, Value
from streamgru.formats.keras_config import Node, Settings, shown
from streamgru.formats.keras_functions import activation, named

MAX_WEIGHTS = 1 << 26  # a small file of many groups would else become a large matrix of zeros


def zero_padding(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    """Zeros at both ends of the sequence: they go into the layer behind, which knows where its window begins."""
    value = _sequence(inputs, settings)
    given = settings.take("padding", default=1)
    given = given[0] if isinstance(given, list) and len(given) == 1 else given
    ends = [given, given] if type(given) is int else given
    if not isinstance(ends, list) or len(ends) != 2 or any(type(n) is not int or not 0 <= n <= 65_536 for n in ends):
        settings.refuse(f"its padding is {shown(given)}; expected one or two numbers of steps")
    _plain_axes(settings)
    before, after = value.padding[0] + ends[0], value.padding[1] + ends[1]
    b.found(node.name, f"{ends[0]} zeros before and {ends[1]} after, part of the layer behind it")
    n_steps = None if value.n_steps is None else value.n_steps + sum(ends)
    return replace(value, padding=(before, after), n_steps=n_steps)


def conv1d(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    """A convolution; groups become one matrix with zeros in it."""
    value = _sequence(inputs, settings)
    n_out, size, stride = settings.size("filters"), settings.size("kernel_size"), settings.size("strides", default=1)
    dilation, groups = settings.size("dilation_rate", default=1), settings.size("groups", default=1)
    own, rest = b.split(activation(settings.take("activation", default=None), b.version, settings))
    before, after, n_steps = _window(settings, value, (size - 1) * dilation + 1, stride)
    settings.flag("use_bias", default=True)
    _plain_axes(settings)
    source = b.sources(node)
    arrays = source.read()
    if value.size % groups or n_out % groups:
        settings.refuse(f"its {groups} groups do not divide {value.size} inputs and {n_out} filters")
    if size * value.size * n_out > MAX_WEIGHTS:
        settings.refuse(f"as one matrix it has {size * value.size * n_out} weights; expected at most {MAX_WEIGHTS}")
    made = b.layer(
        "conv1d", node.name, [value], n_out=n_out, size=size, stride=stride,
        dilation=dilation, before=before, after=after, function=own,
    )  # fmt: skip
    b.give(made, w.conv1d(arrays, made, settings.what, groups))
    zeros = f"{before} zeros before and {after} after"
    b.found(made.name, f"conv1d of {size} steps, {zeros}, {named(own)}, {value.size} -> {n_out}", source, arrays)
    result = replace(value, name=made.name, size=n_out, n_steps=n_steps, padding=(0, 0))
    return b.function(f"{node.name}.softmax", rest, result)


def average_pooling(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    """A mean. Zeros of a ZeroPadding1D are part of it, those of ``padding="same"`` are not."""
    return _pool(b, node, settings, _sequence(inputs, settings), "average_pool1d")


def max_pooling(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    """A maximum."""
    value = _sequence(inputs, settings)
    if value.padding != (0, 0):
        settings.refuse("it stands behind a ZeroPadding1D, whose zeros would count as values")
    return _pool(b, node, settings, value, "max_pool1d")


def _pool(b: Builder, node: Node, settings: Settings, value: Value, kind: str) -> Value:
    size = settings.size("pool_size", "pool_length", default=2)
    given = settings.take("strides", "stride", default=None)
    stride = Settings({"strides": size if given is None else given}, settings.what).size("strides")
    padded = value.padding != (0, 0)
    before, after, n_steps = _window(settings, value, size, stride)
    if padded and (before, after) != value.padding:
        settings.refuse("it has zeros of a ZeroPadding1D, which count, and others of its own, which do not")
    _plain_axes(settings)
    counted = {"padding": "counted"} if padded else {}
    made = b.layer(kind, node.name, [value], size=size, stride=stride, before=before, after=after, **counted)
    b.found(made.name, f"{kind} of {size} steps, {before} zeros before and {after} after")
    return replace(value, name=made.name, n_steps=n_steps, padding=(0, 0))


def _window(settings: Settings, value: Value, reach: int, stride: int) -> tuple[int, int, int | None]:
    """The zeros before and after a window of *reach* steps, and how many steps come out of it."""
    padding = settings.take("padding", "border_mode", default="valid")
    before, after = 0, 0
    if padding == "causal":
        before = reach - 1
    elif padding == "same" and stride == 1:
        before, after = (reach - 1) // 2, reach // 2
    elif padding == "same":
        if value.n_steps is None:
            settings.refuse(
                f"its padding is 'same' with strides={stride}: where its windows begin depends on the length of the "
                "sequence, which a stream has not. Use padding='causal' or 'valid'"
            )
        total = max((-(-value.n_steps // stride) - 1) * stride + reach - value.n_steps, 0)
        before, after = total // 2, total - total // 2
    elif padding != "valid":
        settings.refuse(f"its padding is {shown(padding)}; expected 'causal', 'same' or 'valid'")
    n_steps = None if value.n_steps is None else (value.n_steps + before + after - reach) // stride + 1
    if n_steps is not None and n_steps < 1:
        settings.refuse(f"its window of {reach} steps does not fit into {value.n_steps}")
    return value.padding[0] + before, value.padding[1] + after, n_steps


def _sequence(inputs: Sequence[Value], settings: Settings) -> Value:
    if len(inputs) != 1 or inputs[0].token or not inputs[0].sequence:
        settings.refuse("expected one sequence (batch, steps, features) for it to look at")
    return inputs[0]


def _plain_axes(settings: Settings) -> None:
    settings.only("data_format", "channels_last", None)
    settings.done()
