"""From the parts of a network to the program of a spec: states leave it, names are given, findings told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from streamgru.errors import UnsupportedError
from streamgru.formats.onnx.network import OVER_TIME, Part, plain_name, unique
from streamgru.formats.onnx.op import Trace, unpadded
from streamgru.formats.onnx.values import Flow, Value
from streamgru.formats.onnx_file import Graph
from streamgru.formats.safetensors_file import Tensors
from streamgru.model import spec as s
from streamgru.model.layout import RESERVED


@dataclass(frozen=True)
class Answer:
    """One output of the graph."""

    name: str
    flow: Flow


def program(graph: Graph, values: Mapping[str, Value], trace: Trace) -> tuple[s.Spec, Tensors, tuple[str, ...]]:
    """Make the spec of what was found on the way through a graph."""
    answers = []
    for name in graph.outputs:
        value = values[name]
        if not isinstance(value, Flow):
            raise UnsupportedError(f"output {name[:80]!r} is a constant, whatever comes in")
        answers.append(Answer(name, unpadded(value)))
    states = [answer for answer in answers if _is_state(answer, trace)]
    kept = [answer for answer in answers if answer not in states] or answers
    notes = [_told(answer, trace) for answer in answers if answer not in kept]
    if len({answer.flow.has("time") for answer in kept}) > 1:
        raise UnsupportedError("some outputs are of each step, others of whole sequences; export them apart")
    network = trace.network
    last = kept[0].flow.part
    if len(kept) > 1:
        parts = [answer.flow.part for answer in kept]
        last = network.join(parts, np.arange(sum(network.parts[part].size for part in parts)), "y")
    if network.parts[last].layer is None:
        last = network.layer(s.Activation(name="y", function="linear"), (last,), network.parts[last].size, {})
    reached = network.reached([last])
    _check_lengths(trace, reached)
    names = _names(trace, reached)
    reached = sorted({names[at]: at for at in reversed(reached)}.values())
    tensors = {
        f"{names[at]}.{key}": array.astype(np.float32) if array.dtype == np.float16 else np.ascontiguousarray(array)
        for at in reached
        for key, array in network.parts[at].tensors.items()
    }
    main = s.Program(
        inputs=tuple(_input(at, trace, names[at]) for at in reached if network.parts[at].layer is None),
        layers=tuple(_layer(network.parts[at], names, at) for at in reached if network.parts[at].layer is not None),
        outputs=tuple(_outputs(kept)),
    )
    findings = [line for at in reached for line in _finding(network.parts[at], names[at], trace)]
    origin = f"ONNX, opset {graph.opset}" + (f", written by {graph.producer[:80]}" if graph.producer else "")
    spec = s.Spec(programs={"main": main}, origin=origin)
    return spec, tensors, (origin, *findings, *notes, *_inputs_told(trace, reached, names, states), *trace.notes)


def _check_lengths(trace: Trace, reached: list[int]) -> None:
    """``model.run(X, lengths=)`` ends a sequence for all layers at once: so must the file."""
    parts = [trace.network.parts[at] for at in reached]
    told = {trace.lengths[part.unit] for part in parts if part.unit in trace.lengths}
    if len(told) > 1:
        raise UnsupportedError("its GRUs end their sequences at different steps; expected one sequence_lens for all")
    if told - {None} and any(isinstance(part.layer, OVER_TIME) for part in parts):
        raise UnsupportedError("it has sequence_lens, and layers over several steps, which see beyond the end")


def _is_state(answer: Answer, trace: Trace) -> bool:
    """Whether an output is nothing but final states of GRUs, which a stream keeps by itself.

    States that come in as an input must leave in the order in which they came: else the caller would swap them.
    """
    network = trace.network
    parts, places = network.expand(answer.flow.part)
    layers = {int(part): network.parts[part] for part in np.unique(parts)}
    if not set(layers) <= trace.ends:
        return False
    begins = [trace.starts.get(part.unit) for part in layers.values()]
    if any(begin is None for begin in begins):
        return all(begin is None for begin in begins)
    expected = np.array([trace.starts[layers[int(part)].unit] for part in parts])
    whole = expected[:, 1] + places
    source = int(expected[0, 0])
    in_order = np.array_equal(whole, np.arange(network.parts[source].size))
    if (expected[:, 0] != source).any() or not in_order:
        raise UnsupportedError(
            f"output {answer.name[:80]!r}: the states leave in another order than they come in as "
            f"{trace.inputs[source]!r}"
        )
    return True


def _told(answer: Answer, trace: Trace) -> str:
    parts = np.unique(trace.network.expand(answer.flow.part)[0])
    layers = [trace.network.parts[part].layer for part in parts]
    names = ", ".join(layer.name for layer in layers if layer is not None)
    return f"output {answer.name} is the state of {names}: kept by the stream itself (stream.state)"


def _inputs_told(trace: Trace, reached: list[int], names: Mapping[int, str], states: list[Answer]) -> Iterator[str]:
    """What became of the inputs of the graph that are none of the program."""
    leave = {
        trace.network.parts[int(part)].unit for answer in states for part in trace.network.expand(answer.flow.part)[0]
    }
    for part, name in trace.inputs.items():
        units = [unit for unit, (source, _) in trace.starts.items() if source == part]
        begun = dict.fromkeys(names[at] for at in reached if trace.network.parts[at].unit in units)
        if part in reached:
            if part in trace.lengths.values() or units:
                raise UnsupportedError(f"input {name!r} is a state or the lengths, and also taken for something else")
        elif part in trace.lengths.values():
            yield f"input {name} tells how long the sequences are: model.run(X, lengths=) takes them, no input"
        elif begun:
            alone = "" if leave.issuperset(units) else " (no output hands it on: make sure that it goes on as it is)"
            yield f"input {name} is the state that {', '.join(begun)} begins with: kept by the stream itself{alone}"
        else:
            yield f"input {name} has no influence on the outputs: left out"


def _names(trace: Trace, reached: list[int]) -> dict[int, str]:
    taken: dict[str, int] = {}
    names: dict[int, str] = {}
    states: dict[tuple[str, s.AnyLayer], str] = {}
    for at in reached:  # the inputs come first, and keep their names
        part = trace.network.parts[at]
        layer = part.layer
        if layer is not None and part.unit and (part.unit, layer) in states:
            names[at] = states[part.unit, layer]  # Y and Y_h of one GRU that goes step by step are the same
            continue
        wanted = plain_name(trace.inputs[at], "input") if layer is None else layer.name
        names[at] = unique(wanted, taken)
        if layer is not None and part.unit:
            states[part.unit, layer] = names[at]
    return names


def _layer(part: Part, names: Mapping[int, str], at: int) -> s.AnyLayer:
    assert part.layer is not None
    return msgspec.structs.replace(part.layer, name=names[at], inputs=tuple(names[k] for k in part.inputs))


def _input(at: int, trace: Trace, name: str) -> s.Input:
    if at in trace.vocab:
        return s.Input(name=name, kind="token", vocab=trace.vocab[at])
    return s.Input(name=name, size=trace.network.parts[at].size)


def _outputs(kept: list[Answer]) -> Iterator[s.Output]:
    start = 0
    taken = dict.fromkeys(RESERVED, 1)
    for answer in kept:
        stop = start + answer.flow.size
        name = unique(plain_name(answer.name, "output"), taken)
        yield s.Output(name=name, start=start, stop=None if answer is kept[-1] else stop)
        start = stop


def _finding(part: Part, name: str, trace: Trace) -> Iterator[str]:
    if part.layer is None or not part.origin:
        return
    n_in = "+".join(str(trace.network.parts[at].size) for at in part.inputs)
    made = f" from {', '.join(part.sources)}" if part.sources else ""
    yield f"{part.origin}{made} -> layer {name}: {_kind(part.layer)}, {n_in} -> {part.size}"


def _kind(layer: s.AnyLayer) -> str:
    if not isinstance(layer, s.Gru):
        return str(type(layer).__struct_config__.tag)
    words = [f"gru, reset {layer.variant} the product"]
    words += ["from the end to the start"] if layer.direction == "reverse" else []
    words += ["its last state"] if layer.returns == "last" else []
    words += ["rows z | r | h become r | z | n"]
    return ", ".join(words)
