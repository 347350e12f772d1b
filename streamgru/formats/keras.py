"""A Keras model -> spec + tensors, without Keras: ``.keras``, ``.h5`` with a model, ``.h5`` of weights with a spec.

The config tells which layers there are and how they are called; nothing in it is ever imported or executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from streamgru.errors import FormatError, SpecError, UnsupportedError
from streamgru.formats import hdf5_file, keras_weights
from streamgru.formats.hdf5_file import Datasets
from streamgru.formats.keras_build import Builder, Source, Value, plain
from streamgru.formats.keras_config import Graph, Node, graph, parse_json
from streamgru.formats.keras_layers import convert
from streamgru.formats.safetensors_file import Tensors
from streamgru.model import spec as s
from streamgru.model.layout import tensor_shapes

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
ROOTS = ("layers", "_layer_checkpoint_dependencies")  # the second was written for some months of 2023

Found = tuple[s.Spec, Tensors, tuple[str, ...]]


def find_keras(members: Mapping[str, bytes], spec: s.Spec | None, where: str) -> Found:
    """Find the network in the members of a ``.keras`` archive.

    Returns
    -------
    spec, tensors, findings
        *findings* are lines for people: what became which layer, and from which arrays.

    Raises
    ------
    FormatError, SpecError, UnsupportedError
        If it is damaged, contradicts itself, or has a part that is not understood; the message names it.
    """
    for name in (CONFIG, WEIGHTS):
        if name not in members:
            raise FormatError(f"{where}: expected a Keras model with {name} in it, got {sorted(members)[:6]}")
    data = hdf5_file.datasets(members[WEIGHTS], f"{where}: {WEIGHTS}")
    model = graph(parse_json(members[CONFIG], f"{where}: {CONFIG}"))
    sources = _by_class(data, model.nodes)
    if spec is not None:
        return _with_spec(spec, data, sources)
    told = parse_json(members[METADATA], f"{where}: {METADATA}") if METADATA in members else {}
    return _build(model, data, sources, str(told.get("keras_version", "3")))


def find_hdf5(data: Datasets, spec: s.Spec | None, where: str) -> Found:
    """Find the network in an ``.h5`` of Keras 1, 2 or 3; as :func:`find_keras`."""
    attributes = data.attributes()
    root = "model_weights" if "model_weights" in data.groups() else ""
    sources = _by_name(data, root, where)
    if spec is not None:
        return _with_spec(spec, data, sources)
    if "model_config" not in attributes:
        raise SpecError(
            f"{where}: expected a Keras model; this HDF5 file has weights alone, of the layers "
            f"{', '.join(sorted(sources)[:20]) or 'none'}. Save the whole model (model.save), or give a spec whose "
            "layers have these names (spec=, --spec)"
        )
    config = graph(parse_json(str(attributes["model_config"]), f"{where}: model_config"))
    return _build(config, data, sources, str(attributes.get("keras_version", "1")))


def _build(model: Graph, data: Datasets, sources: Mapping[str, Sequence[str]], version: str) -> Found:
    """Convert node by node."""
    major = re.match(r"\d+", version)
    if major is None or not 1 <= int(major[0]) <= 3:
        raise UnsupportedError(f"the file was written by Keras {version[:40]!r}; expected Keras 1, 2 or 3")
    builder = Builder(int(major[0]), lambda node: _source(node.name, data, sources))
    values: dict[str, Value] = {}
    order = model.order()
    for node in order:
        values[node.name] = convert(builder, node, [values[name] for name in node.inputs])
    outputs = _outputs(builder, [(plain(name), values[name]) for name in model.outputs])
    if not builder.layers:
        raise SpecError("the model: expected at least one layer")
    inputs = tuple(builder.inputs[key] for key in map(plain, model.inputs) if key in builder.inputs)
    program = s.Program(inputs=inputs, layers=tuple(builder.layers), outputs=outputs)
    spec = s.Spec(programs={"main": program}, title=model.title, origin=f"Keras {version}")
    spare = [node.name for node in model.nodes if node not in order]
    findings = builder.findings + [f"layer {name} left out, since no output of the model needs it" for name in spare]
    return s.checked(spec), builder.tensors, tuple(findings)


def _outputs(builder: Builder, ends: Sequence[tuple[str, Value]]) -> tuple[s.Output, ...]:
    """One answer is all of y; several are joined, and each has its name."""
    for name, value in ends:
        if value.token or value.padding != (0, 0):
            raise UnsupportedError(f"layer {name!r} ends the model: expected an answer there")
    if len(ends) == 1:
        return ()
    if len({value.sequence for _, value in ends}) != 1:
        raise UnsupportedError("the model: one output answers at each step, and another one for the whole sequence")
    made = builder.layer("concat", "outputs", [value for _, value in ends])
    builder.found(made.name, f"concat of the outputs {', '.join(name for name, _ in ends)}")
    outputs, start = [], 0
    for name, value in ends:
        outputs.append(s.Output(name=name, start=start, stop=start + value.size))
        start += value.size
    return tuple(outputs)


def _with_spec(spec: s.Spec, data: Datasets, sources: Mapping[str, Sequence[str]]) -> Found:
    """The tensors for the layers of a spec that was given; what it does not name stays in the file."""
    tensors: Tensors = {}
    findings = []
    used = set()
    for layer in (layer for program in spec.programs.values() for layer in program.layers):
        if not tensor_shapes(layer, 1, 1):
            continue
        outer, _, end = layer.name.rpartition(".")
        if layer.name not in sources and outer in sources and end in ("forward", "backward"):
            source = _source(outer, data, sources).halves()[end == "backward"]
        else:
            source = _source(layer.name, data, sources)
        used |= set(source.paths)
        arrays = source.read()
        made = keras_weights.by_spec(arrays, layer, f"layer {layer.name!r}")
        tensors |= {f"{layer.name}.{key}": array for key, array in made.items()}
        shapes = ", ".join(f"{path} {array.shape}" for path, array in zip(source.paths, arrays, strict=True))
        findings.append(f"{shapes} -> layer {layer.name}, as the spec has it")
    spare = sorted(name for name, paths in sources.items() if paths and not set(paths) & used)
    findings += [f"the weights of {name} are not used: the spec has no such layer" for name in spare]
    return spec, tensors, tuple(findings)


def _source(name: str, data: Datasets, sources: Mapping[str, Sequence[str]]) -> Source:
    if name not in sources:
        known = ", ".join(sorted(name for name, paths in sources.items() if paths)[:20])
        raise SpecError(f"layer {name!r}: the file has no weights of that name; it has those of {known or 'none'}")
    return Source(sources[name], data)


def _by_name(data: Datasets, root: str, where: str) -> dict[str, list[str]]:
    """The paths of each layer's arrays where groups go by the names of layers, as in an ``.h5``."""
    attributes = data.attributes(root)
    if not any(name.startswith("layer_names") for name in attributes):
        return _by_group(data)
    found = {}
    for name in _listed(attributes, "layer_names"):
        group = f"{root}/{name}" if root else name
        if group not in data.groups():
            raise FormatError(f"{where}: expected weights of layer {name!r}, as layer_names promises")
        found[name] = [f"{group}/{path}" for path in _listed(data.attributes(group), "weight_names")]
        for path in found[name]:
            if path not in data:
                raise FormatError(f"{where}: expected the array {path!r}, as weight_names promises")
    return found


def _listed(attributes: Mapping[str, hdf5_file.Attribute], name: str) -> Iterator[str]:
    """A list of names; where it is too long for one attribute, Keras numbers its parts."""
    parts = [attributes[name]] if name in attributes else []
    while f"{name}{len(parts)}" in attributes and name not in attributes:
        parts.append(attributes[f"{name}{len(parts)}"])
    for part in parts:
        yield from part if isinstance(part, list) else ()


def _by_group(data: Datasets) -> dict[str, list[str]]:
    """The paths of each layer's arrays in a ``.weights.h5`` of Keras 3, by the name that the layer had."""
    found = {}
    for root in ROOTS:
        for key, paths in _groups(data, root).items():
            inner = f"{root}/{key}/vars"
            name = data.attributes(inner).get("name") if inner in data.groups() else None
            found[str(name or key)] = paths
    return found


def _by_class(data: Datasets, nodes: Iterable[Node]) -> dict[str, list[str]]:
    """The paths of each layer's arrays in a ``.keras``, where groups are numbered within each class: gru, gru_1."""
    root = next((root for root in ROOTS if root in data.groups()), ROOTS[0])
    groups = _groups(data, root)
    by_class: dict[str, list[Node]] = {}
    for node in nodes:
        by_class.setdefault(_snake(node.kind), []).append(node)
    found = {}
    for kind, members in by_class.items():
        numbers = sorted(
            int(match[1] or 0) for key in groups if (match := re.fullmatch(rf"{kind}(?:_(\d{{1,6}}))?", key))
        )
        if len(numbers) == len(members):
            for node, number in zip(members, numbers, strict=True):
                found[node.name] = groups[f"{kind}_{number}" if number else kind]
    return found


def _groups(data: Datasets, root: str) -> dict[str, list[str]]:
    """The groups right below *root*, each with the paths of its arrays in the order of Keras."""
    below = [path.split("/") for path in data.groups() if path.startswith(root + "/")]
    found: dict[str, list[str]] = {parts[1]: [] for parts in below if len(parts) == 2}
    for path in data:
        parts = path.split("/")
        if parts[0] == root and len(parts) > 3 and "seed_generator" not in parts and parts[-1].isdecimal():
            found[parts[1]].append(path)
    for paths in found.values():
        paths.sort(key=lambda path: ("backward_layer" in path, path.rpartition("/")[0], int(path.rpartition("/")[2])))
    return found


def _snake(name: str) -> str:
    """The name of a class as Keras writes it in a path."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
