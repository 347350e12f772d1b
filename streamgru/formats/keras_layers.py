"""Each class of Keras layers, and what it is in a spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from streamgru.formats import keras_functions, keras_recurrent, keras_windows
from streamgru.formats import keras_weights as w
from streamgru.formats.keras_build import Builder, Value, one, plain, settle
from streamgru.formats.keras_config import Node, Settings, layer, shown
from streamgru.formats.keras_functions import activation, named
from streamgru.model import spec as s

Handler = Callable[[Builder, Node, Settings, Sequence[Value]], Value]
EPSILON = 1e-7  # keras.config.epsilon() where nobody has changed it


def convert(b: Builder, node: Node, inputs: Sequence[Value]) -> Value:
    """Turn one Keras layer into layers of the spec.

    Raises
    ------
    SpecError, UnsupportedError
        If its weights do not fit, or it is, or has, something that is not understood.
    """
    settings = Settings(node.config, f"layer {node.name!r} ({node.kind})")
    handler = HANDLERS.get(node.kind)
    if handler is None:
        settings.refuse("this version has no layer for it")
    return handler(b, node, settings, inputs)


def _input(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    shape = settings.take("batch_shape", "batch_input_shape", default=None)
    if (
        not isinstance(shape, list)
        or not 2 <= len(shape) <= 3
        or any(type(n) is not int and n is not None for n in shape)
    ):
        settings.refuse(f"its shape is {shown(shape)}; expected (batch, steps, features), or (batch, steps) of tokens")
    for key in ("dtype", "sparse", "ragged", "optional"):
        value = settings.take(key, default=None)
        if key != "dtype" and value not in (None, False):
            settings.refuse(f"{key} is {value}")
    settings.done()
    name, n_steps = plain(node.name), shape[1]
    if len(shape) == 2:  # what it is, the layer behind tells
        return Value(name, 1, n_steps=n_steps, token=True)
    if shape[2] is None:
        settings.refuse("its number of features is not told")
    b.inputs[name] = s.Input(name=name, size=Settings({"features": shape[2]}, settings.what).size("features"))
    return Value(name, shape[2], n_steps=n_steps)


def _embedding(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    if len(inputs) != 1 or not inputs[0].token:
        settings.refuse("expected it to take an input of the model, of the shape (batch, steps)")
    value, vocab, n_out = inputs[0], settings.size("input_dim"), settings.size("output_dim")
    masked = settings.flag("mask_zero", default=False)
    settings.done("dropout")
    name = value.name
    if b.inputs.get(name, s.Input(name=name, kind="token", vocab=vocab)).vocab != vocab:
        settings.refuse("another Embedding takes the same tokens, with another input_dim")
    b.inputs[name] = s.Input(name=name, kind="token", vocab=vocab)
    source = b.sources(node)
    arrays = source.read()
    made = b.layer("embedding", node.name, [value], n_out=n_out)
    b.give(made, w.embedding(arrays, made, settings.what))
    b.found(made.name, f"embedding, {vocab} tokens -> {n_out}", source, arrays)
    return replace(value, name=made.name, size=n_out, token=False, masked=masked)


def _dense(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    value, n_out = one(inputs, settings), settings.size("units", "output_dim")
    own, rest = b.split(activation(settings.take("activation", default=None), b.version, settings))
    settings.flag("use_bias", "bias", default=True)
    settings.done()
    source = b.sources(node)
    arrays = source.read()
    made = b.layer("dense", node.name, [value], n_out=n_out, function=own)
    b.give(made, w.dense(arrays, made, settings.what))
    b.found(made.name, f"dense, {named(own)}, {value.size} -> {n_out}", source, arrays)
    return b.function(f"{node.name}.softmax", rest, replace(value, name=made.name, size=n_out))


def _time_distributed(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    inner = layer(settings.take("layer"), f"{node.name}, its layer")
    settings.done()
    if inner.kind not in POINTWISE:
        settings.refuse(f"its layer is a {inner.kind}, which this version cannot distribute over steps")
    return convert(b, Node(node.name, inner.kind, inner.config), inputs)


def _batchnorm(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    value = one(inputs, settings)
    _last_axis(settings, value)
    settings.only("mode", 0)
    settings.only("renorm", False)
    settings.only("virtual_batch_size", None)
    given = (settings.flag("scale", default=True), settings.flag("center", default=True), True, True)
    eps = settings.number("epsilon", default=1e-3)
    settings.done("momentum", "fused", "synchronized", "renorm_clipping", "renorm_momentum")
    source = b.sources(node)
    arrays = source.read()
    made = b.layer("batchnorm", node.name, [value], eps=eps)
    b.give(made, w.norm(arrays, [key for key, there in zip(w.NORM_KEYS, given, strict=True) if there], settings.what))
    b.found(made.name, f"batchnorm, statistics of the training, eps {eps:g}", source, arrays)
    return replace(value, name=made.name)


def _layernorm(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    value = one(inputs, settings)
    _last_axis(settings, value)
    settings.only("rms_scaling", False)
    given = (settings.flag("scale", default=True), settings.flag("center", default=True))
    eps = settings.number("epsilon", default=1e-3)
    settings.done()
    source = b.sources(node)
    arrays = source.read()
    made = b.layer("layernorm", node.name, [value], eps=eps)
    b.give(made, w.norm(arrays, [key for key, there in zip(w.NORM_KEYS, given, strict=False) if there], settings.what))
    b.found(made.name, f"layernorm, eps {eps:g}", source, arrays)
    return replace(value, name=made.name)


def _unit_norm(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    value = one(inputs, settings)
    _last_axis(settings, value)
    settings.done()
    # Keras 3: x * min(rsqrt(sum(x^2)), 1e12). Keras 2: x * rsqrt(max(sum(x^2), 1e-12)).
    made = b.layer("normalize", node.name, [value], to="length", eps=1e-24 if b.version >= 3 else 1e-12)
    b.found(made.name, "normalize, to unit length")
    return replace(value, name=made.name)


def _normalization(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    value = one(inputs, settings)
    _last_axis(settings, value)
    invert = settings.flag("invert", default=False)
    told = [settings.take(key, default=None) for key in ("mean", "variance")]
    settings.done()
    if None in told:
        source = b.sources(node)
        told = [array.ravel() for array in source.read()[:2]]  # the third counts what was seen
    try:
        mean, variance = (np.broadcast_to(np.ravel(np.asarray(part, np.float64)), (value.size,)) for part in told)
    except (ValueError, TypeError, OverflowError):
        settings.refuse(f"expected a mean and a variance for each of {value.size} features")
    deviation = np.maximum(np.sqrt(np.maximum(variance, 0)), EPSILON)
    weight, bias = (deviation, mean) if invert else (1 / deviation, -mean / deviation)
    b.found(plain(node.name), "scale, by the mean and the variance that it was adapted to")
    return b.scale(node.name, value, weight, bias)


def _rescaling(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    value = one(inputs, settings)
    weight, bias = settings.number("scale"), settings.number("offset", default=0.0)
    settings.done()
    b.found(plain(node.name), f"scale, x * {weight:g} + {bias:g}")
    return b.scale(node.name, value, weight, bias)


def _activation(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    value = one(inputs, settings)
    function = keras_functions.of_layer(node.kind, settings, b.version)
    if function == "linear":
        b.found(plain(node.name), "left out, since it changes nothing")
    return b.function(node.name, function, value)


def _concatenate(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    _alike(inputs, settings)
    _last_axis(settings, inputs[0])
    settings.done()
    made = b.layer("concat", node.name, inputs)
    b.found(made.name, f"concat of {' and '.join(str(value.size) for value in inputs)}")
    masked = any(value.masked for value in inputs)
    return replace(inputs[0], name=made.name, size=sum(value.size for value in inputs), masked=masked)


def _merge(kind: str, b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    """Add, Multiply, Subtract, Divide and Average: of two layers at a time, in the order of Keras."""
    _alike(inputs, settings)
    settings.done()
    if len({value.size for value in inputs}) != 1 or (kind in ("sub", "div") and len(inputs) != 2):
        settings.refuse(f"its inputs have the sizes {[value.size for value in inputs]}; expected inputs of one size")
    total, *rest = inputs
    for i, value in enumerate(rest, 1):
        last = i == len(rest) and kind != "average"
        name = node.name if last else f"{node.name}.{i}"
        value = b.scale(f"{node.name}.minus", value, -1.0) if kind == "sub" else value
        made = b.layer({"sub": "add", "average": "add"}.get(kind, kind), name, [total, value])
        total = replace(total, name=made.name, masked=any(value.masked for value in inputs))
    b.found(plain(node.name), f"{kind} of {len(inputs)}")
    return b.scale(node.name, total, 1 / len(inputs)) if kind == "average" else total


def _idle(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    """What only training does."""
    if len(inputs) != 1:
        settings.refuse("expected one input")
    b.found(plain(node.name), "left out, since it does something in training alone")
    return inputs[0]


def _masking(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    """It makes masked steps zeros, which for the mask 0 they are, and tells the GRUs behind to pass over them."""
    value = one(inputs, settings, sequence=True)
    if settings.number("mask_value", default=0.0) != 0.0:
        settings.refuse("its mask_value is not 0, so it changes what goes through it")
    settings.done()
    return replace(value, masked=True)


def _reshape(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    """Only where nothing moves."""
    value = one(inputs, settings)
    target = settings.take("target_shape", default=[value.size] if node.kind == "Flatten" else None)
    settings.only("data_format", "channels_last", None)
    settings.done()
    shape: list[int | None] = [value.n_steps, value.size] if value.sequence else [value.size]
    known = isinstance(target, list) and len(target) == len(shape) and target.count(-1) <= 1
    if not known or any(new not in (-1, old) for new, old in zip(target, shape, strict=True)):
        settings.refuse(f"it makes {target} of {shape}, and this version cannot mix steps and features")
    b.found(plain(node.name), "left out, since it changes nothing")
    return value


def _last_axis(settings: Settings, value: Value) -> None:
    axis = settings.take("axis", default=-1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if axis not in (-1, 2 if value.sequence else 1):
        settings.refuse(f"its axis is {shown(axis)}; expected the last one, the features")


def _alike(inputs: Sequence[Value], settings: Settings) -> None:
    if len(inputs) < 2:
        settings.refuse(f"expected at least two inputs, got {len(inputs)}")
    for value in inputs:
        settle(value, settings)
    if len({value.sequence for value in inputs}) != 1:
        settings.refuse("one input has an answer for each step, and another one for the whole sequence")
    lengths = {value.n_steps for value in inputs}
    if len(lengths - {None}) > 1 or lengths == {1, None}:
        settings.refuse("its inputs have different numbers of steps, one of which Keras would repeat")


HANDLERS: dict[str, Handler] = {
    "InputLayer": _input, "Embedding": _embedding, "Dense": _dense, "TimeDistributed": _time_distributed,
    "GRU": keras_recurrent.recurrent, "CuDNNGRU": keras_recurrent.recurrent, "RNN": keras_recurrent.recurrent,
    "Bidirectional": keras_recurrent.bidirectional,
    "Conv1D": keras_windows.conv1d, "ZeroPadding1D": keras_windows.zero_padding,
    "AveragePooling1D": keras_windows.average_pooling, "MaxPooling1D": keras_windows.max_pooling,
    "BatchNormalization": _batchnorm, "LayerNormalization": _layernorm, "UnitNormalization": _unit_norm,
    "Normalization": _normalization, "Rescaling": _rescaling, "Concatenate": _concatenate, "Masking": _masking,
    "Reshape": _reshape, "Flatten": _reshape,
}  # fmt: skip
HANDLERS |= dict.fromkeys(keras_functions.LAYERS, _activation)
HANDLERS |= dict.fromkeys(
    ("Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization"), _idle
)
MERGES = {"Add": "add", "Multiply": "mul", "Subtract": "sub", "Divide": "div", "Average": "average"}
HANDLERS |= {name: partial(_merge, kind) for name, kind in MERGES.items()}

# What TimeDistributed may have within: Keras would flatten batch and steps into one, and these do not mind.
POINTWISE = {"Dense", "Dropout", "Rescaling", "LayerNormalization", "UnitNormalization", *keras_functions.LAYERS}
