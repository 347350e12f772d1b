"""Keras layers that carry a state: GRU, CuDNNGRU, RNN(GRUCell), and Bidirectional around one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from streamgru.formats import keras_weights as w
from streamgru.formats.keras_build import Builder, Source, Value, one
from streamgru.formats.keras_config import Node, Settings, layer, shown
from streamgru.formats.keras_functions import activation, hard_sigmoid, named

IDLE = ("dropout", "recurrent_dropout", "dropout_W", "dropout_U", "implementation", "unroll", "stateful",
        "consume_less", "zero_output_for_mask", "return_state", "reset_after", "use_cudnn")  # fmt: skip
KINDS = ("GRU", "CuDNNGRU", "RNN")
MERGES = {"concat": "concat", "sum": "add", "ave": "add", "mul": "mul"}


def recurrent(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    """A GRU under any of its names."""
    value = one(inputs, settings, sequence=True)
    backwards = settings.flag("go_backwards", default=False)
    each = settings.flag("return_sequences", default=False)
    if backwards and each:
        settings.refuse(
            "it goes backwards and returns sequences: Keras hands its answers over in reverse order. Use a "
            "Bidirectional, which turns them round"
        )
    return _one_way(b, node.name, node.kind, settings, value, each, backwards, b.sources(node))


def bidirectional(b: Builder, node: Node, settings: Settings, inputs: Sequence[Value]) -> Value:
    """Two GRUs, of which one reads from the end, and what joins them."""
    value = one(inputs, settings, sequence=True)
    merge = settings.take("merge_mode", default="concat")
    if not isinstance(merge, str) or merge not in MERGES:
        settings.refuse(f"its merge_mode is {shown(merge)}; expected one of {', '.join(MERGES)}")
    forward = layer(settings.take("layer"), f"{node.name}, its layer")
    given = settings.take("backward_layer", default=None)
    backward = forward if given is None else layer(given, f"{node.name}, its backward layer")
    settings.done()
    source = b.sources(node)
    values, sizes = [], []
    halves = source.halves(forward.config.get("trainable") == backward.config.get("trainable"))
    for part, end, which in zip((forward, backward), ("forward", "backward"), halves, strict=True):
        inner = Settings(part.config, f"layer {node.name!r}, {end}")
        if part.kind not in KINDS:
            inner.refuse(f"it is a {part.kind}, which this version has no layer for")
        turned = inner.flag("go_backwards", default=False)
        if turned != (end == "backward" and given is not None):
            inner.refuse(f"go_backwards is {turned}, which turns its direction round")
        each = inner.flag("return_sequences", default=False)
        made = _one_way(b, f"{node.name}.{end}", part.kind, inner, value, each, end == "backward", which)
        values.append(made)
        sizes.append(made.size)
    if merge != "concat" and sizes[0] != sizes[1]:
        settings.refuse(f"its layers have {sizes[0]} and {sizes[1]} units, which cannot be merged by {merge}")
    joined = b.layer(MERGES[merge], node.name + (".sum" if merge == "ave" else ""), values)
    result = replace(values[0], name=joined.name, size=sum(sizes) if merge == "concat" else sizes[0])
    return b.scale(node.name, result, 0.5) if merge == "ave" else result


def _one_way(
    b: Builder, name: str, kind: str, settings: Settings, value: Value, each: bool, backwards: bool, source: Source
) -> Value:
    if value.masked:
        settings.refuse(
            "a Masking, or an Embedding with mask_zero, tells it to pass over some steps, and a stream takes them all. "
            "If they only fill sequences up at their end, a stream has none, and without the mask the model is the same"
        )
    settings.only("time_major", False)
    if kind == "RNN":
        cell = layer(settings.take("cell"), f"{name}, its cell")
        settings.done(*IDLE)
        settings = Settings(cell.config, f"{settings.what}, its cell")
        if cell.kind != "GRUCell":
            settings.refuse(f"it is a {cell.kind}, which this version has no layer for")
    n_hid = settings.size("units", "output_dim")
    # Keras 1 and early 2 know one variant alone, and do not name it.
    after = settings.flag("reset_after", default=b.version >= 3) or kind == "CuDNNGRU"
    gate = activation(settings.take("recurrent_activation", "inner_activation", default="sigmoid"), b.version, settings)
    candidate = activation(settings.take("activation", default="tanh"), b.version, settings)
    if "softmax" in (gate, candidate):
        settings.refuse("its activation is a softmax")
    settings.flag("use_bias", default=True)
    settings.done(*IDLE)
    made = b.layer(
        "gru", name, [value], n_hid=n_hid, variant="after" if after else "before", gate=gate, candidate=candidate,
        direction="reverse" if backwards else "forward", returns="each" if each else "last",
    )  # fmt: skip
    arrays = source.read()
    tensors = w.gru(arrays, made, settings.what)
    b.give(made, tensors)
    meaning = f" (Keras {b.version}: clip({'x / 6' if b.version >= 3 else '0.2 x'} + 0.5, 0, 1))"
    told = f"gate {named(gate)}{meaning if gate == hard_sigmoid(b.version) else ''}, candidate {named(candidate)}"
    way = "reads from the end, " if backwards else ""
    what = f"gru, reset {'after' if after else 'before'} the product, {told}, {way}{value.size} -> {n_hid}"
    b.found(made.name, what, source, arrays)
    return replace(value, name=made.name, size=n_hid, sequence=each)
