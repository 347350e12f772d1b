"""The way through a graph: which axis of its inputs is what, node by node, and the program that comes out.

A file does not say which axis is that of the steps, but its operators do: a GRU wants them first, a convolution last.
So all the ways to read the inputs are tried until one goes through; where none does, the error is that of the one
that came farthest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations, islice, permutations, product

import numpy as np

from streamgru.errors import FormatError, LoadError, UnsupportedError
from streamgru.formats.onnx import folds, gru, moves, norms, pieces, pointwise, products, windows
from streamgru.formats.onnx.network import Network, Part
from streamgru.formats.onnx.op import Handler, Op, Trace
from streamgru.formats.onnx.program import program
from streamgru.formats.onnx.values import (
    MAX_FEATURES,
    OPEN_BATCH,
    OPEN_TIME,
    Atom,
    Axis,
    Constant,
    Flow,
    Misread,
    Value,
    features,
)
from streamgru.formats.onnx_file import Graph, Node, Port, parse
from streamgru.formats.safetensors_file import Tensors
from streamgru.model import spec as s

OPERATORS: dict[str, Handler] = {
    **moves.OPERATORS, **pieces.OPERATORS, **folds.OPERATORS, **pointwise.OPERATORS, **norms.OPERATORS,
    **products.OPERATORS, **windows.OPERATORS, **gru.OPERATORS,
}  # fmt: skip
NEWEST_OPSET = 28
MAX_READINGS = 256  # ways to read the inputs that are tried
MAX_WORK = 200_000  # nodes that are looked at on all these ways together
FREE_BYTES = 256 << 20  # of constants and tensors, beside some times those of the file
FLOATS, INTEGERS = (1, 10, 11, 16), (2, 3, 4, 5, 6, 7, 12, 13)
# What may stand between an input and the place where a GRU takes it for its first state, or for lengths
MOVERS = ("Identity", "Cast", "Slice", "Split", "Gather", "Squeeze", "Unsqueeze", "Transpose", "Reshape", "Expand")


Places = tuple[tuple[int, str], ...]  # which axes are those of the streams and the steps


@dataclass(frozen=True)
class Reading:
    """What the axes of one input are."""

    port: Port
    axes: tuple[Axis, ...]


def find(data: bytes, where: str) -> tuple[s.Spec, Tensors, tuple[str, ...]]:
    """Find the network in an ONNX file.

    Returns
    -------
    spec, tensors, findings
        *findings* are lines for people: which node became which layer, and what became of inputs and outputs.

    Raises
    ------
    FormatError
        If it is no well-formed ONNX file.
    UnsupportedError
        If it has an operator, or an attribute of one, that is not understood; the message names the node.
    """
    graph = parse(data, where)
    try:
        if not 1 <= graph.opset <= NEWEST_OPSET:
            raise UnsupportedError(f"expected an opset from 1 to {NEWEST_OPSET}, got {graph.opset}")
        with np.errstate(all="ignore"):  # what is not finite is refused where it has become a weight
            return _read(graph, _needed(graph))
    except LoadError as error:
        raise type(error)(f"{where}: {error}") from None


def _read(graph: Graph, nodes: list[Node]) -> tuple[s.Spec, Tensors, tuple[str, ...]]:
    for node in nodes:
        _handler(node)  # no reading helps against an operator that is not known
    reasons: list[tuple[int, LoadError]] = []
    for readings in islice(_readings(graph, nodes), min(MAX_READINGS, max(1, MAX_WORK // (len(nodes) + 1)))):
        done = 0
        trace = _begin(graph, readings)
        values: dict[str, Value] = {name: Constant(array, name) for name, array in graph.constants.items()}
        values |= {reading.port.name: Flow(k, reading.axes) for k, reading in enumerate(readings)}
        try:
            for node in nodes:
                _run(node, values, trace)
                done += 1
            if not any(node.op == "GRU" for node in nodes):
                raise UnsupportedError("it has no GRU, and only that tells for sure which axis is that of the steps")
            return program(graph, values, trace)
        except LoadError as error:
            reasons.append((done, error))
    if not reasons:
        ports = ", ".join(f"{port.name} {port.shape}" for port in graph.inputs)
        raise UnsupportedError(f"expected inputs of known sizes but for streams and steps, got {ports[:200] or 'none'}")
    _, worst = max(reasons, key=lambda reason: (reason[0], not isinstance(reason[1], Misread)))
    raise UnsupportedError(str(worst)) if isinstance(worst, Misread) else worst


def _begin(graph: Graph, readings: tuple[Reading, ...]) -> Trace:
    """A trace with the inputs as its first parts."""
    atoms = [atom for reading in readings for axis in reading.axes for atom in axis]
    pytorch = graph.producer.lower().startswith("pytorch")
    budget = FREE_BYTES + 4 * sum(array.nbytes for array in graph.constants.values())
    trace = Trace(Network(budget), graph.opset, pytorch, any(a.kind == "time" and a.size == OPEN_TIME for a in atoms))
    for reading in readings:
        part = trace.network.add(Part(None, (), Flow(0, reading.axes).size))
        trace.inputs[part] = reading.port.name
        if reading.port.dtype in INTEGERS:
            trace.integers.add(part)
    return trace


def _handler(node: Node) -> Handler:
    handler = OPERATORS.get(node.op)
    if handler is None or node.domain not in ("", "ai.onnx"):
        of = f" of {node.domain[:80]}" if node.domain not in ("", "ai.onnx") else ""
        raise UnsupportedError(f"{node.title}: this operator{of} is not understood; expected one of those in the docs")
    return handler


def _run(node: Node, values: dict[str, Value], trace: Trace) -> None:
    """What comes out of one node."""
    handler = _handler(node)
    op = Op(node, [values[name] if name else None for name in node.inputs], trace)
    try:
        made = handler(op)
        op.check_done((k for k, name in enumerate(node.outputs) if name), len(made))
    except LoadError as error:
        raise type(error)(f"{node.title}: {error}") from None
    except (ValueError, TypeError, OverflowError, MemoryError) as error:  # how NumPy says that arrays do not fit
        raise FormatError(f"{node.title}: {error}") from None
    for name, value in zip(node.outputs, made, strict=False):
        if name and value is not None:
            values[name] = value


def _needed(graph: Graph) -> list[Node]:
    """The nodes that the outputs are computed from, in their order, which must be one that can be followed."""
    makers: dict[str, Node] = {}
    known = {*graph.constants, *(port.name for port in graph.inputs)}
    for node in graph.nodes:
        missing = [name for name in node.inputs if name and name not in known]
        if missing:
            raise FormatError(f"{node.title}: its input {missing[0][:80]!r} is computed by no node before it")
        for name in filter(None, node.outputs):
            if name in known:
                raise FormatError(f"{node.title}: the name {name[:80]!r} is taken twice")
            known.add(name)
            makers[name] = node
    if not graph.outputs or not set(graph.outputs) <= known:
        raise FormatError("expected outputs that are computed by some node")
    needed: set[int] = set()
    stack = list(graph.outputs)
    while stack:
        node = makers.get(stack.pop())  # type: ignore[assignment]
        if node is not None and id(node) not in needed:
            needed.add(id(node))
            stack += filter(None, node.inputs)
    return [node for node in graph.nodes if id(node) in needed]


def _readings(graph: Graph, nodes: list[Node]) -> Iterator[tuple[Reading, ...]]:
    """The ways to read the inputs, each once; the likeliest first."""
    used = {name for node in nodes for name in node.inputs} | set(graph.outputs)
    ports = [port for port in graph.inputs if port.name in used]
    for node in nodes:
        weights = [name for name in node.inputs[1:4] if node.op == "GRU" and any(name == port.name for port in ports)]
        if weights:
            raise UnsupportedError(f"{node.title}: its weights {weights[0]!r} are an input; expected constants")
    states, lengths = _origins(nodes, 5), _origins(nodes, 4)
    choices = []
    for port in ports:
        if port.dtype not in (*FLOATS, *INTEGERS):
            raise UnsupportedError(f"input {port.name!r}: expected floats or integers, got type {port.dtype}")
        kinds = ("batch",) if port.name in states or port.name in lengths else ("batch", "time")
        choices.append({places: Reading(port, axes) for places, axes in _axes(port, kinds)})
    known: set[tuple[Reading, ...]] = set()
    for readings in chain(_alike(choices), product(*(choice.values() for choice in choices))):
        if readings not in known:
            known.add(readings)
            yield readings


def _alike(choices: list[dict[Places, Reading]]) -> Iterator[tuple[Reading, ...]]:
    """The ways in which all inputs that can be read alike are."""
    groups: dict[tuple[Places, ...], list[int]] = {}
    for k, choice in enumerate(choices):
        groups.setdefault(tuple(choice), []).append(k)
    for places in product(*groups):
        of = {k: place for group, place in zip(groups.values(), places, strict=True) for k in group}
        yield tuple(choice[of[k]] for k, choice in enumerate(choices))


def _axes(port: Port, kinds: tuple[str, ...]) -> Iterator[tuple[Places, tuple[Axis, ...]]]:
    """What the axes of an input can be: each kind at most once, and features elsewhere, whose sizes are known."""
    rank = len(port.shape)
    for count in range(len(kinds), -1, -1):
        for chosen in permutations(kinds, count):
            for places in combinations(range(rank), count):
                where = dict(zip(places, chosen, strict=True))
                axes = [_axis(size, where.get(k, "feature")) for k, size in enumerate(port.shape)]
                if all(axis is not None for axis in axes):
                    yield tuple(where.items()), tuple(axis for axis in axes if axis is not None)


def _axis(size: int | str | None, kind: str) -> Axis | None:
    """An axis; None for features of unknown number."""
    if kind == "feature":
        return features(size) if isinstance(size, int) and size <= MAX_FEATURES else None
    if not isinstance(size, int):
        size = OPEN_BATCH if kind == "batch" else OPEN_TIME
    return (Atom(kind, size),) if size > 1 else ()  # type: ignore[arg-type]


def _origins(nodes: list[Node], at: int) -> set[str]:
    """The inputs that enter the GRUs as their input number *at*, perhaps by way of operators that move things."""
    makers = {name: node for node in nodes if node.op in MOVERS for name in node.outputs}
    found: set[str] = set()
    stack = [node.inputs[at] for node in nodes if node.op == "GRU" and len(node.inputs) > at]
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack += makers[name].inputs[:1] if name in makers else ()
    return found
