"""A map and a file of bare arrays -> spec + tensors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamgru.errors import SpecError
from streamgru.formats import conventions as c
from streamgru.formats.arrays import Arrays, Shape, fitted
from streamgru.formats.map_gru import GruReader, turned
from streamgru.formats.map_schema import MapProgram, Stored, StoredGru, nearest, programs, read_layer, read_map
from streamgru.model import spec as s
from streamgru.model.layout import output_size, tensor_shapes

Tensors = dict[str, NDArray[Any]]
MapSource = str | os.PathLike[str] | Mapping[str, Any]


def apply(src: MapSource, arrays: Mapping[str, NDArray[Any]], where: str) -> tuple[s.Spec, Tensors, tuple[str, ...]]:
    """Take from *arrays* what a map names.

    Parameters
    ----------
    src : str, path-like or mapping
        The map, a TOML or JSON file, or the same data in Python.
    arrays : mapping of str to ndarray
        Those of the file; only the named ones are read.
    where : str
        What error messages call the file.

    Returns
    -------
    spec, tensors, findings
        *findings* are lines for people: which array became what.

    Raises
    ------
    FormatError, SpecError, UnsupportedError
        If the map is wrong in itself, or does not fit the arrays.
    """
    found = read_map(src)
    source = Arrays(arrays, where)
    tensors: Tensors = {}
    findings: list[str] = []
    made = {}
    for name, program in programs(found).items():
        reader = _Program(source, program, "layer" if name == "main" else f"program {name!r}, layer")
        layers = tuple(reader.layers())
        made[name] = s.Program(inputs=program.inputs, layers=layers, outputs=program.outputs, feedback=program.feedback)
        for key, tensor in reader.tensors.items():
            if key in tensors and not np.array_equal(tensors[key], tensor):
                raise SpecError(f"map: the programs differ in {key!r}; give their layers different names")
            tensors[key] = tensor
        findings += reader.findings
    source.check_all_used(found.ignore)
    spec = s.Spec(programs=made, title=found.title, origin=found.origin, handoffs=found.handoffs)
    return s.checked(spec), tensors, tuple(findings)


class _Program:
    """Goes through the layers of a program; sizes are followed from one to the next, as they tell what must fit."""

    def __init__(self, arrays: Arrays, program: MapProgram, where: str) -> None:
        self._arrays, self._program, self._where = arrays, program, where
        self._sizes = {item.name: item.size for item in program.inputs}
        self._vocab = {item.name: item.vocab or 0 for item in program.inputs}
        self.tensors: Tensors = {}
        self.findings: list[str] = []

    def layers(self) -> Iterator[s.AnyLayer]:
        if not self._sizes:
            raise SpecError(
                f'map: expected inputs, like inputs = [{{ name = "x", size = 6 }}], before the {self._where}s'
            )
        before = tuple(self._sizes)  # the first layer takes all inputs
        for raw in self._program.layers:
            layer, stored, both = read_layer(raw, self._where)
            for name in layer.inputs:
                if name not in self._sizes:
                    close = nearest(name, self._sizes)
                    raise SpecError(f"layer {layer.name!r}: its input {name!r} is no input or earlier layer{close}")
            names = layer.inputs or before
            sizes = tuple(self._sizes[name] for name in names)
            if not layer.inputs:
                sizes = (sum(sizes),)
            if isinstance(layer, s.Gru) and isinstance(stored, StoredGru):
                yield from self._gru(layer, stored, names, sizes[0], both)
            elif isinstance(stored, Stored):
                self._plain(layer, stored, sizes[0], self._vocab.get(names[0], 0))
                yield layer
            size = 2 * layer.n_hid if isinstance(layer, s.Gru) and both else output_size(layer, sizes)
            self._sizes[layer.name], before = size, (layer.name,)

    def _gru(
        self, layer: s.Gru, stored: StoredGru, names: tuple[str, ...], n_in: int, both: bool
    ) -> Iterator[s.AnyLayer]:
        if not both:
            if stored.reverse is not None:
                raise SpecError(f'layer {layer.name!r}: arrays of the reverse direction need direction = "both"')
            yield self._direction(layer, stored, n_in, 0, 1)
            return
        if len(names) != 1:
            raise SpecError(f"layer {layer.name!r}: both directions read one input, got {', '.join(names) or 'none'}")
        if stored.stacked == (stored.reverse is not None):
            raise SpecError(
                f'layer {layer.name!r}: direction = "both" needs the arrays of the second one, in reverse.arrays or, '
                "with stacked = true, as second blocks of the others"
            )
        ways: tuple[tuple[str, Any], ...] = (("forward", 0), ("reverse", 1))
        for way, index in ways:
            one = msgspec.structs.replace(layer, name=f"{layer.name}.{way}", inputs=names, direction=way)
            self._sizes[one.name] = one.n_hid
            yield self._direction(one, stored, n_in, index, 2)
        yield s.Concat(name=layer.name, inputs=tuple(f"{layer.name}.{way}" for way, _ in ways))

    def _direction(self, layer: s.Gru, stored: StoredGru, n_in: int, index: int, n_directions: int) -> s.Gru:
        names = stored.reverse if index and stored.reverse else stored.arrays
        if layer.initial == "learned" and names.h0 is None:
            raise SpecError(f"layer {layer.name!r}: name the array of its initial state in arrays.h0")
        layer = msgspec.structs.replace(layer, initial="zero" if names.h0 is None else "learned")
        reader = GruReader(self._arrays, layer, stored, names, n_in, index, n_directions)
        self.tensors |= {f"{layer.name}.{key}": tensor for key, tensor in reader.tensors().items()}
        self.findings += reader.findings
        return layer

    def _plain(self, layer: s.AnyLayer, stored: Stored, n_in: int, vocab: int) -> None:
        """A layer of any other kind: its tensors are those of the spec, at most transposed."""
        shapes = tensor_shapes(layer, n_in, vocab)
        for key in stored.arrays:
            if key not in shapes:
                has = f"has {', '.join(shapes)}" if shapes else "has none"
                raise SpecError(f"layer {layer.name!r}: it has no tensor {key!r}; a layer of this kind {has}")
        for key, of in (("rows", (s.Dense, s.Embedding)), ("axes", (s.Conv1d,))):
            if getattr(stored, key) is not None and not isinstance(layer, of):
                kinds = " and ".join(one.__name__.lower() for one in of)
                raise SpecError(f"layer {layer.name!r}: {key} is for {kinds} layers; leave it out")
        self._arrays.check_scale(stored.scale, stored.arrays.values(), layer.name)
        for key, (shape, required) in shapes.items():
            name = stored.arrays.get(key)
            if name is None:
                if required:
                    raise SpecError(f"layer {layer.name!r}: name its array in arrays.{key}, of shape {shape}")
                continue
            array = self._arrays.get(name, layer.name, stored.scale)
            what = f"layer {layer.name!r}: arrays.{key}, {name!r}"
            self.findings.append(f"{name} {array.shape} -> {layer.name}.{key}")
            self.tensors[f"{layer.name}.{key}"] = self._fitted(array, layer, stored, shape, what)

    def _fitted(self, array: NDArray[Any], layer: s.AnyLayer, stored: Stored, shape: Shape, what: str) -> NDArray[Any]:
        if len(shape) == 1:
            return np.ascontiguousarray(fitted(array, shape, stored.flat, what, {}))
        if isinstance(layer, s.Conv1d):
            return _kernel(array, layer, stored, shape, what)
        rows = stored.rows or ("inputs" if isinstance(layer, s.Embedding) else None)
        if rows is None:
            raise SpecError(f'{what}: tell what its rows are: rows = "inputs", or rows = "outputs"')
        # A table of embeddings is the transposed of what multiplies a one-hot vector, so its rows are as we have them.
        as_they_are = rows == ("inputs" if isinstance(layer, s.Embedding) else "outputs")
        other = shape[::-1]
        others = {turned(rows): other if as_they_are else shape}
        matrix = fitted(array, shape if as_they_are else other, stored.flat, what, others)
        return np.ascontiguousarray(c.rows_as_outputs(matrix, "outputs" if as_they_are else "inputs"))


def _kernel(array: NDArray[Any], layer: s.Conv1d, stored: Stored, shape: Shape, what: str) -> NDArray[Any]:
    if stored.axes is None:
        raise SpecError(f'{what}: tell the order of its axes: axes = "oik" (PyTorch), "kio" (Keras), ...')
    sizes = {"o": shape[0], "i": shape[1] // layer.size, "k": layer.size}
    wanted = {axes: tuple(sizes[axis] for axis in axes) for axes in ("oik", "oki", "iok", "iko", "koi", "kio")}
    others = {f'axes = "{axes}"': one for axes, one in wanted.items() if axes != stored.axes}
    kernel = fitted(array, wanted[stored.axes], stored.flat, what, others)
    return c.steps_oldest_first(kernel, stored.axes)
