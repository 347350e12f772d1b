"""What Keras tells of a network: the JSON of its config -> nodes in the order in which they run.

Sequential and functional models of Keras 1, 2 and 3 are read. A node's config is taken apart with
:class:`Settings`, which refuses what nobody asked for: a key that is not understood may mean anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from streamgru.errors import FormatError, SpecError, UnsupportedError

MAX_CONFIG_BYTES = 16 << 20
MAX_LAYERS = 1000
WAY_OUT = "or give a spec of the part that is to run, with the names of its layers (spec=, --spec)"
LARGEST = 3e38  # of a float32, about; more than a number of a config can mean
MISSING: Any = object()
OPERATIONS = {"Add": "Add", "Multiply": "Multiply", "Subtract": "Subtract", "Divide": "Divide", "TrueDivide": "Divide"}

# Only training asks for these, or how, not what, is computed.
IDLE_KEYS = {
    "name", "trainable", "batch_input_shape", "batch_shape", "input_dtype", "seed", "supports_masking", "build_config",
    "init", "inner_init", "forget_bias_init", "input_length", "input_dim",
}  # fmt: skip
IDLE_ENDINGS = ("_initializer", "_regularizer", "_constraint")


@dataclass(frozen=True)
class Node:
    """One layer: *kind* is its class, *inputs* are the nodes that it is called with."""

    name: str
    kind: str
    config: dict[str, Any]
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """A model: *nodes* as they stand in the file, *outputs* those that answer, *inputs* in the order of the caller."""

    title: str
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def order(self) -> list[Node]:
        """The nodes that the outputs need, each behind its inputs."""
        known = {node.name: node for node in self.nodes}
        done: dict[str, Node] = {}
        rest = [(name, False) for name in reversed(self.outputs)]
        under_way: set[str] = set()
        while rest:
            name, inputs_done = rest.pop()
            if name in done:
                continue
            if name not in known or (name in under_way and not inputs_done):
                raise SpecError(f"layer {name!r}: is called with itself, or is not there")
            if inputs_done:
                done[name] = known[name]
            else:
                under_way.add(name)
                rest.append((name, True))
                rest.extend((source, False) for source in reversed(known[name].inputs) if source not in done)
        return list(done.values())


def parse_json(text: str | bytes, what: str) -> dict[str, Any]:
    """Read an object of JSON from a file that nobody vouches for.

    Raises
    ------
    FormatError
        If it is none, too long, too deep, or has a name twice.
    """
    if len(text) > MAX_CONFIG_BYTES:
        raise FormatError(f"{what}: expected at most {MAX_CONFIG_BYTES} bytes of JSON, got {len(text)}")
    try:
        found = json.loads(text, object_pairs_hook=_no_twins)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what}: expected JSON, got: {error}") from None
    if not isinstance(found, dict):
        raise FormatError(f"{what}: expected an object of JSON, got {type(found).__name__}")
    return found


def graph(model: dict[str, Any]) -> Graph:
    """The nodes of a model, given what ``model.to_json()`` says.

    Raises
    ------
    SpecError, UnsupportedError
        If it is not as Keras writes it, or has a part that is not understood.
    """
    model = _dict(model, "the model")
    kind, config = model.get("class_name"), model.get("config")
    if kind == "Sequential":
        layers = config if isinstance(config, list) else _dict(config, "Sequential").get("layers")
        return _sequential(_layers(layers), _dict(config, "").get("name", "") if isinstance(config, dict) else "")
    if kind in ("Functional", "Model"):
        config = _dict(config, str(kind))
        nodes = tuple(_functional(entry) for entry in _layers(config.get("layers")))
        if len({node.name for node in nodes}) != len(nodes):
            raise SpecError("the model has two layers of one name")
        inputs, outputs = (tuple(_ends(config.get(key), key)) for key in ("input_layers", "output_layers"))
        return Graph(str(config.get("name", "")), nodes, inputs, outputs)
    raise UnsupportedError(
        f"the model is of the class {shown(kind)}; expected keras.Sequential or a functional keras.Model: "
        f"rebuild it as one and copy its weights, {WAY_OUT}"
    )


class Settings:
    """The config of one layer, taken apart key by key; what is left at the end is refused."""

    def __init__(self, config: dict[str, Any], what: str) -> None:
        self._left, self.what = dict(config), what

    def take(self, *keys: str, default: Any = MISSING) -> Any:
        """The value of the first of *keys* that is there: Keras 1 and 2 call the same thing by two names."""
        for key in keys:
            if key in self._left:
                return self._left.pop(key)
        if default is MISSING:
            raise SpecError(f"{self.what}: expected {keys[0]!r} in its config")
        return default

    def flag(self, *keys: str, default: bool) -> bool:
        """A value that is true or false."""
        value = self.take(*keys, default=default)
        if not isinstance(value, bool):
            raise SpecError(f"{self.what}: expected {keys[0]} to be true or false, got {shown(value)}")
        return value

    def size(self, *keys: str, default: Any = MISSING) -> int:
        """A number of elements or steps; Keras 2 and 3 write those of one dimension as a list of one."""
        value = self.take(*keys, default=default)
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        if type(value) is not int or not 1 <= value <= 65_536:
            raise SpecError(f"{self.what}: expected {keys[0]} from 1 to 65536, got {shown(value)}")
        return value

    def number(self, *keys: str, default: Any = MISSING) -> float:
        """A finite number; Keras 3 writes some as a list of one, or as an array with its dtype."""
        value: Any = self.take(*keys, default=default)
        value = _dict(value.get("config"), self.what).get("value") if isinstance(value, dict) else value
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        if type(value) not in (int, float) or not -LARGEST <= value <= LARGEST:
            raise SpecError(f"{self.what}: expected {keys[0]} to be a number, got {shown(value)}")
        return float(value)

    def only(self, key: str, *allowed: Any) -> None:
        """Refuse every value of *key* but these."""
        value = self.take(key, default=allowed[0])
        if value not in allowed:
            self.refuse(f"{key} is {shown(value)}; this version knows {' and '.join(map(repr, allowed))} alone")

    def refuse(self, why: str) -> NoReturn:
        """Say what it is about this layer that cannot be run."""
        raise UnsupportedError(f"{self.what}: {why}. Leave it out and save the model again, {WAY_OUT}")

    def done(self, *idle: str) -> None:
        """Refuse what is left, but for what is known to mean nothing here, such as *idle*."""
        self._check_dtype(self._left.pop("dtype", None))
        self.only("quantization_config", None)
        for key, value in self._left.items():
            if not (key in IDLE_KEYS or key in idle or key.endswith(IDLE_ENDINGS)):
                self.refuse(f"its config has {key} = {shown(value)}, which is not understood")

    def _check_dtype(self, dtype: Any) -> None:
        while isinstance(dtype, dict):  # a policy
            dtype = dtype.get("config", dtype).get("name") if isinstance(dtype.get("config", dtype), dict) else None
        if dtype is not None and "float" not in str(dtype).replace("float8", "") and dtype not in ("int32", "int64"):
            self.refuse(f"its dtype is {shown(dtype)}")
        if "int8" in str(dtype) or "int4" in str(dtype):
            self.refuse("it is quantised")


def shown(value: Any) -> str:
    """What a message says of a value that somebody else has chosen."""
    return repr(value)[:80]


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    items = dict(pairs)
    if len(items) != len(pairs):
        raise ValueError("a name is there twice")
    return items


def _dict(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SpecError(f"{what}: expected a config, got {type(value).__name__}")
    return value


def _layers(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_LAYERS:
        raise SpecError(f"the model: expected a list of 1 to {MAX_LAYERS} layers")
    return [_dict(entry, "a layer") for entry in value]


def layer(entry: dict[str, Any], name: str = "") -> Node:
    """One layer without its place: its class, if that is Keras's own, and its config."""
    entry = _dict(entry, f"layer {name!r}")
    kind, config = str(entry.get("class_name"))[:80], _dict(entry.get("config"), f"layer {name!r}")
    name = str(config.get("name", entry.get("name", name)))
    module, registered = str(entry.get("module") or "keras.layers"), entry.get("registered_name")
    if module.startswith("keras.src.ops") and kind in OPERATIONS:  # a + b, written on tensors
        return Node(name, OPERATIONS[kind], config)
    if not module.startswith(("keras.layers", "keras.src.layers", "tf_keras.layers")) or registered not in (None, kind):
        raise UnsupportedError(
            f"layer {name!r} is a {module}.{kind}, which is no layer of Keras; what it computes only its program "
            f"knows. Replace it by layers of Keras, {WAY_OUT}"
        )
    return Node(name, kind, config)


def _sequential(entries: list[dict[str, Any]], title: Any) -> Graph:
    nodes: list[Node] = []
    for entry in entries:
        found = layer(entry, f"layer_{len(nodes)}")
        if not nodes and found.kind != "InputLayer":
            shape = found.config.get("batch_input_shape", found.config.get("batch_shape"))
            nodes.append(Node("x", "InputLayer", {"batch_shape": shape}))
        if any(found.name == node.name for node in nodes):
            raise SpecError(f"layer {found.name!r}: expected a name of its own, but another layer has it")
        nodes.append(Node(found.name, found.kind, found.config, tuple(node.name for node in nodes[-1:])))
    return Graph(str(title), tuple(nodes), (nodes[0].name,), (nodes[-1].name,))


def _functional(entry: dict[str, Any]) -> Node:
    found = layer(entry)
    name = str(entry.get("name", found.name))
    calls = entry.get("inbound_nodes", [])
    if not isinstance(calls, list):
        raise SpecError(f"layer {name!r}: expected inbound_nodes to be a list, got {shown(calls)}")
    if len(calls) > 1:
        raise UnsupportedError(f"layer {name!r} is called {len(calls)} times; expected layers that are called once")
    inputs = tuple(source for call in calls for source in _call(call, name))
    return Node(name, found.kind, found.config, inputs)


def _call(call: Any, name: str) -> Iterator[str]:
    """The layers that one call takes its tensors from."""
    if isinstance(call, dict):  # Keras 3
        yield from _tensors(call.get("args"), name)
        for key, value in _dict(call.get("kwargs", {}), f"layer {name!r}").items():
            if value not in (None, False) and key not in ("training",):
                raise _odd_call(name, f"{key}={shown(value)}")
        return
    sources = [call] if isinstance(call, list) and call and isinstance(call[0], str) else call
    for source in sources if isinstance(sources, list) else [sources]:  # Keras 1 and 2
        if not isinstance(source, list) or not 3 <= len(source) <= 4 or not isinstance(source[0], str):
            raise SpecError(f"layer {name!r}: expected inbound_nodes of [name, node, tensor], got {shown(source)}")
        settings = _dict(source[3], f"layer {name!r}") if len(source) == 4 else {}
        for key, value in settings.items():
            if value not in (None, False) and key not in ("training", "name"):
                raise _odd_call(name, f"{key}={shown(value)}")
        yield _first(source[:3], name)


def _tensors(value: Any, name: str, depth: int = 0) -> Iterator[str]:
    if isinstance(value, list) and depth < 3:
        for item in value:
            yield from _tensors(item, name, depth + 1)
    elif isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        history = _dict(value.get("config"), f"layer {name!r}").get("keras_history")
        if not isinstance(history, list) or len(history) != 3:
            raise SpecError(f"layer {name!r}: expected keras_history [name, node, tensor], got {shown(history)}")
        yield _first(history, name)
    else:
        raise _odd_call(name, str(value)[:80])


def _first(history: list[Any], name: str) -> str:
    """The layer that a tensor comes from, if it is the first tensor of its first call."""
    if history[1:] != [0, 0]:
        raise UnsupportedError(
            f"layer {name!r} takes tensor {history[2]} of call {history[1]} of {history[0]!r}; expected the output of "
            f"a layer that is called once, not a state. Rebuild the model without it, {WAY_OUT}"
        )
    return str(history[0])


def _odd_call(name: str, got: str) -> UnsupportedError:
    return UnsupportedError(
        f"layer {name!r} is called with {got}; expected the outputs of other layers alone, neither constants nor an "
        f"initial state. Rebuild the model without it, {WAY_OUT}"
    )


def _ends(told: Any, key: str) -> Iterator[str]:
    """``input_layers`` or ``output_layers``: [name, node, tensor], or a list or a dict of these."""
    ends = list(told.values()) if isinstance(told, dict) else told
    ends = [ends] if isinstance(ends, list) and ends and isinstance(ends[0], str) else ends
    if not isinstance(ends, list) or not ends:
        raise SpecError(f"the model: expected {key}, got {shown(told)}")
    for end in ends:
        if not isinstance(end, list) or len(end) != 3:
            raise SpecError(f"the model: expected {key} of [name, node, tensor], got {shown(end)}")
        yield _first(end, str(end[0]))
