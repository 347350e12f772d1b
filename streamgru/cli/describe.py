"""What a model is: as plain data, and as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from streamgru.model import spec as s
from streamgru.model.placed import Placed
from streamgru.model.small import info
from streamgru.stream.model import Model

Record = dict[str, Any]
WIDTH = len("fingerprint")


def describe(model: Model, name: str, findings: Sequence[str]) -> Record:
    """Describe a model, ready for JSON; *findings* are what loading said about the file."""
    told = {"model": name, "title": model.spec.title, "origin": model.spec.origin, "fingerprint": model.fingerprint}
    if set(model.spec.programs) == {"main"}:
        return told | _program(model) | {"findings": list(findings)}
    return told | {
        "programs": {key: _program(part) for key, part in model.programs.items()},
        "handoffs": [msgspec.structs.asdict(handoff) for handoff in model.spec.handoffs],
        "findings": list(findings),
    }


def _program(model: Model) -> Record:
    """One program."""
    program = model.spec.main
    layers = [_layer(placed) for placed in model.layout.layers]
    return {
        "kernel": model.kernel,
        "dtype": model.dtype.name,
        "weights": weights_of(model),
        "inputs": [msgspec.structs.asdict(item) for item in program.inputs],
        "outputs": [msgspec.structs.asdict(item) for item in program.outputs],
        "n_in": model.n_in,
        "n_out": model.n_out,
        "stride": model.stride,
        "delay": model.delay,
        "layers": layers,
        "parameters": sum(layer["parameters"] for layer in layers),
        "tensor_bytes": sum(layer["bytes"] for layer in layers),
        "macs_per_step": sum(layer["macs"] for layer in layers),
        "streams": model.streams,
        "state_bytes": model.plan.state_bytes if model.streams else 0,
        "feedback": None if program.feedback is None else msgspec.structs.asdict(program.feedback),
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
    if layer.direction == "reverse":
        parts.append("from the end")
    if layer.returns == "last":
        parts.append("answers with its last state")
    return ", ".join(parts)


def text(told: Record) -> Iterator[str]:
    """The lines for people."""
    yield told["model"] + (f"   {told['title']}" if told["title"] else "")
    yield ""
    yield from _facts({"origin": told["origin"], "fingerprint": told["fingerprint"]})
    if "programs" in told:
        for name, part in told["programs"].items():
            yield ""
            yield f"program {name}"
            yield from (f"  {line}".rstrip() for line in _program_text(part))
        yield ""
        for item in told["handoffs"]:
            yield "final state of {source_layer} ({source}) -> initial state of {target_layer} ({target})".format(
                **item
            )
    else:
        yield from _program_text(told)
    if told["findings"]:
        yield ""
        yield "found in the file"
        yield from (f"  {line}" for line in told["findings"])


def _program_text(told: Record) -> Iterator[str]:
    """The lines of one program."""
    timed = told["streams"] and (told["stride"], told["delay"]) != (1, 0)
    yield from _facts({
        "runs as": runs_as(told),
        "parameters": f"{told['parameters']:,} in {told['tensor_bytes']:,} bytes",
        "work": f"{told['macs_per_step']:,} multiply-adds per step" + ", where all is due" * timed,
        "answers": f"{_every(told['stride'])}, step {told['delay']} the first (the count is from 0)" * timed,
        "state": f"{told['state_bytes']:,} bytes per stream" if told["streams"] else "none: it takes whole sequences",
    })  # fmt: skip
    yield ""
    yield "inputs and outputs"
    for item in told["inputs"]:
        what = f"a token below {item['vocab']}" if item["kind"] == "token" else f"{item['size']} numbers"
        yield f"  in   {item['name']}: {what}{_unit(item)}{_listed(item['features'] or item['labels'])}"
    for item in told["outputs"]:
        start, stop = item["start"], item["stop"] or told["n_out"]
        yield f"  out  {item['name']}: y[{start}:{stop}]{_unit(item)}{_listed(item['labels'])}"
    if not told["outputs"]:
        yield f"  out  {told['n_out']} numbers"
    if told["feedback"] is not None:
        yield f"  back {_fed_back(told['feedback'])}"
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


def _every(stride: int) -> str:
    return "at every step" if stride == 1 else f"at 1 of {stride} steps"


def _facts(facts: dict[str, str]) -> Iterator[str]:
    yield from (f"{name:{WIDTH}}  {value}" for name, value in facts.items() if value)


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _fed_back(feedback: Record) -> str:
    what = {"argmax": "the largest of {}", "sample": "one drawn from {}", "value": "{}"}[feedback["choose"]]
    parts = [f"{what.format(feedback['output'] or 'y')} is the next {feedback['input']}"]
    parts += [f"{key} {feedback[key]}" for key in ("start", "stop", "limit") if feedback[key] is not None]
    return ", ".join(parts)


def _unit(item: Record) -> str:
    return f" [{item['unit']}]" if item["unit"] else ""


def _listed(names: Sequence[str] | None) -> str:
    return f" ({', '.join(names)})" if names else ""
