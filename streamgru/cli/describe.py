"""What a model is: as plain data, and as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from streamgru.model import spec as s
from streamgru.model.layout import Placed
from streamgru.model.small import info
from streamgru.stream.model import Model

Record = dict[str, Any]


def describe(model: Model, name: str, findings: Sequence[str]) -> Record:
    """Describe a model, ready for JSON; *findings* are what loading said about the file."""
    program, plan = model.spec.main, model.plan
    layers = [_layer(placed) for placed in plan.layout.layers]
    return {
        "model": name,
        "title": model.spec.title,
        "origin": model.spec.origin,
        "fingerprint": model.fingerprint,
        "kernel": model.kernel,
        "dtype": model.dtype.name,
        "weights": weights_of(model),
        "inputs": [msgspec.structs.asdict(item) for item in program.inputs],
        "outputs": [msgspec.structs.asdict(item) for item in program.outputs],
        "n_in": model.n_in,
        "n_out": model.n_out,
        "layers": layers,
        "parameters": sum(layer["parameters"] for layer in layers),
        "tensor_bytes": sum(layer["bytes"] for layer in layers),
        "macs_per_step": sum(layer["macs"] for layer in layers),
        "state_bytes": plan.state_bytes,
        "findings": list(findings),
    }


def weights_of(model: Model) -> list[str]:
    """The dtypes of its matrices as they came."""
    tensors = (info(tensor) for placed in model.plan.layout.layers for tensor in placed.tensors.values())
    return sorted({tensor.dtype.name for tensor in tensors if tensor.ndim == 2})


def runs_as(told: Record) -> str:
    """What computes a model, and on which weights, if they are not in the same dtype; from its record."""
    weights = " and ".join(told["weights"])
    on = f" on weights of {weights}" if weights not in ("", told["dtype"]) else ""
    return f"{told['dtype']}{on}, kernel {told['kernel']}"


def _layer(placed: Placed) -> Record:
    layer, tensors = placed.layer, {key: info(tensor) for key, tensor in placed.tensors.items()}
    multiplied = 0 if isinstance(layer, s.Embedding) else sum(t.size for t in tensors.values() if t.ndim == 2)
    return {
        "kind": type(layer).__struct_config__.tag,
        **msgspec.structs.asdict(layer),
        "n_in": sum(value.size for value in placed.inputs),
        "n_out": placed.output.size,
        "tensors": {
            key: {"shape": list(tensor.shape), "dtype": tensor.dtype.name, "bytes": tensor.nbytes}
            for key, tensor in tensors.items()
        },
        "parameters": sum(tensor.size for tensor in tensors.values()),
        "bytes": sum(tensor.nbytes for tensor in tensors.values()),
        "macs": multiplied,
        "about": _about(layer, placed),
    }


def _about(layer: s.AnyLayer, placed: Placed) -> str:
    """What its sizes do not tell."""
    if not isinstance(layer, s.Gru):
        told = msgspec.structs.asdict(layer)
        return ", ".join(f"{key} {told[key]}" for key in told if key not in ("name", "inputs", "n_out"))
    biases = sum(key.startswith("bias") for key in placed.tensors)
    parts = [f"reset {layer.variant} the product", f"{layer.gate} gates", f"{layer.candidate} candidate"]
    parts.append(("no bias", "one bias", "two biases")[biases])
    if layer.clip is not None:
        parts.append(f"clip {layer.clip:g}")
    if layer.initial == "learned":
        parts.append("learned start")
    return ", ".join(parts)


def text(told: Record) -> Iterator[str]:
    """The lines for people."""
    yield told["model"] + (f"   {told['title']}" if told["title"] else "")
    yield ""
    yield from _facts({
        "origin": told["origin"],
        "fingerprint": told["fingerprint"],
        "runs as": runs_as(told),
        "parameters": f"{told['parameters']:,} in {told['tensor_bytes']:,} bytes",
        "work": f"{told['macs_per_step']:,} multiply-adds per step",
        "state": f"{told['state_bytes']:,} bytes per stream",
    })  # fmt: skip
    yield ""
    yield "inputs and outputs"
    for item in told["inputs"]:
        what = f"a token below {item['vocab']}" if item["kind"] == "token" else f"{item['size']} numbers"
        yield f"  in   {item['name']}: {what}{_unit(item)}{_listed(item['features'])}"
    for item in told["outputs"]:
        start, stop = item["start"], item["stop"] or told["n_out"]
        yield f"  out  {item['name']}: y[{start}:{stop}]{_unit(item)}{_listed(item['labels'])}"
    if not told["outputs"]:
        yield f"  out  {told['n_out']} numbers"
    yield ""
    yield "layers"
    yield from _columns([
        (layer["name"], layer["kind"], f"{layer['n_in']} → {layer['n_out']}", f"{layer['parameters']:,} parameters",
         f"{layer['macs']:,} multiply-adds", layer["about"])
        for layer in told["layers"]
    ])  # fmt: skip
    yield ""
    yield "tensors"
    yield from _columns([
        (f"{layer['name']}.{key}", " × ".join(map(str, tensor["shape"])), tensor["dtype"], f"{tensor['bytes']:,} bytes")
        for layer in told["layers"] for key, tensor in layer["tensors"].items()
    ])  # fmt: skip
    if told["findings"]:
        yield ""
        yield "found in the file"
        yield from (f"  {line}" for line in told["findings"])


def _facts(facts: dict[str, str]) -> Iterator[str]:
    width = max(map(len, facts))
    yield from (f"{name:{width}}  {value}" for name, value in facts.items() if value)


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _unit(item: Record) -> str:
    return f" [{item['unit']}]" if item["unit"] else ""


def _listed(names: Sequence[str] | None) -> str:
    return f" ({', '.join(names)})" if names else ""
