"""The arrays of a GRU by any convention -> the tensors of our layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import SpecError
from streamgru.formats import conventions as c
from streamgru.formats.arrays import Arrays, Shape, fitted
from streamgru.formats.map_schema import GruArrays, StoredGru
from streamgru.model import spec as s

BIASES = {"one": (3,), "rows": (2, 3), "flat": (6,)}  # shapes, in units of n_hid along the last axis


def turned(rows: str) -> str:
    """The other orientation, as a map tells it."""
    return f'rows = "{"inputs" if rows == "outputs" else "outputs"}"'


def _listed(names: GruArrays) -> Iterator[str]:
    """All arrays that a GRU names."""
    for key in names.__struct_fields__:
        item = getattr(names, key) or {}
        yield from [item] if isinstance(item, str) else item.values()


class GruReader:
    """Reads one direction of a GRU.

    Parameters
    ----------
    arrays : Arrays
        The file.
    layer : Gru
        As in the spec.
    stored : StoredGru
        How the arrays lie.
    names : GruArrays
        Which they are, in this direction.
    n_in : int
        What enters the layer.
    direction, n_directions : int
        Which block of stacked arrays to take, and of how many.
    """

    def __init__(
        self, arrays: Arrays, layer: s.Gru, stored: StoredGru, names: GruArrays, n_in: int, direction: int,
        n_directions: int,
    ) -> None:  # fmt: skip
        self._arrays, self._layer, self._stored, self._names = arrays, layer, stored, names
        self._n_in, self._n_hid = n_in, layer.n_hid
        self._direction, self._n_directions = direction, n_directions
        self.findings: list[str] = []

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The tensors, under their names inside the layer.

        Raises
        ------
        SpecError
            If an array is missing or does not fit; the message tells which key of the map would make it fit.
        """
        self._arrays.check_scale(self._stored.scale, _listed(self._names), self._layer.name)
        with np.errstate(over="ignore"):  # the model refuses what becomes infinite
            weights_ih, weights_hh = self._weights()
            biases_ih, biases_hh = self._biases()
        found = {"weight_ih": weights_ih, "weight_hh": weights_hh}
        found |= {key: bias for key, bias in (("bias_ih", biases_ih), ("bias_hh", biases_hh)) if bias}
        if self._stored.update == "write":
            found = {key: c.keep_for_write(parts, self._layer.gate) for key, parts in found.items()}
        reset = f"reset {self._layer.variant} the product"
        update = "keeps" if self._stored.update == "keep" else "writes: its sign is turned"
        self.findings.append(f"layer {self._layer.name}: gru, {reset}; the update gate {update}")
        tensors = {key: c.join_gates(parts) for key, parts in found.items()}
        if self._names.h0 is not None:
            tensors["h0"] = self._array("h0", self._names.h0, (self._n_hid,), "the initial state", {})
        return tensors

    def _weights(self) -> tuple[c.Gates, c.Gates]:
        """What is multiplied with x, and what with h."""
        names = self._names
        if names.both is not None:
            if names.input is not None or names.recurrent is not None:
                raise self._wrong("its weights are in the array both, or in input and recurrent, not in all three")
            if self._stored.joined is None:
                raise self._wrong('both needs joined = "xh", where x comes first in [x, h], or "hx"')
            whole = self._matrices("both", self._n_in + self._n_hid)
            pairs = {letter: c.split_joined(part, self._n_in, self._stored.joined) for letter, part in whole.items()}
            inputs, recurrent = ({letter: pair[k] for letter, pair in pairs.items()} for k in (0, 1))
        else:
            inputs, recurrent = self._matrices("input", self._n_in), self._matrices("recurrent", self._n_hid)
        for letter, diagonal in self._vectors("recurrent_diagonal").items():
            recurrent[letter] = c.add_diagonal(recurrent[letter], diagonal)
        return inputs, recurrent

    def _biases(self) -> tuple[c.Gates, c.Gates]:
        """Those of the two products; a gate without one has zeros, and a product without any has none."""
        if self._stored.biases == "one" or self._names.bias is self._names.recurrent_bias is None:
            found = [self._vectors("bias"), self._vectors("recurrent_bias")]
        else:
            name = self._names.bias
            if not isinstance(name, str) or self._names.recurrent_bias is not None:
                raise self._wrong(f'biases = "{self._stored.biases}" needs one array, bias, with those of all gates')
            unit = BIASES[self._stored.biases]
            told = f"{' | '.join(self._stored.order)}, that of the input product first"
            whole = self._array("bias", name, self._bias_shape(unit), told, self._other_biases(unit))
            found = [c.split_gates(half, self._stored.order) for half in c.split_biases(whole)]
        for parts in found:
            if parts:
                zeros = np.zeros(self._n_hid, next(iter(parts.values())).dtype)
                parts.update({letter: zeros for letter in c.ORDER if letter not in parts})
        return found[0], found[1]

    def _matrices(self, key: str, n_cols: int) -> c.Gates:
        """The weights of all gates, rows as outputs, scaled."""
        scales = self._vectors(f"{key}_scale")
        parts: c.Gates = {}
        for letters, name in self._table(key):
            n_rows, rows = len(letters) * self._n_hid, self._stored.rows
            shape, other = (n_rows, n_cols), (n_cols, n_rows)
            others: dict[str, Shape] = {turned(rows): shape if rows == "inputs" else other}
            told = f"{'rows' if rows == 'outputs' else 'columns'} {' | '.join(letters)}"
            told += f" of [{', '.join(self._stored.joined or '')}]" if key == "both" else ""
            told += " times a scale each" if scales else ""
            matrix = self._array(key, name, shape if rows == "outputs" else other, told, others, bool(scales))
            parts |= c.split_gates(c.rows_as_outputs(matrix, rows), letters)
        missing = [letter for letter in c.ORDER if letter not in parts]
        if missing:
            raise self._wrong(f"arrays.{key}: expected weights of r, z and n, got none of {', '.join(missing)}")
        if scales and set(scales) != set(parts):
            raise self._wrong(f"arrays.{key}_scale: expected scales of all gates, got those of {', '.join(scales)}")
        return {letter: c.scale_rows(part, scales[letter]) if scales else part for letter, part in parts.items()}

    def _vectors(self, key: str) -> c.Gates:
        """Numbers of the units of some gates; none if the map does not name them."""
        parts: c.Gates = {}
        for letters, name in self._table(key):
            unit = (len(letters),)
            others = self._other_biases(unit) if key == "bias" else {}
            vector = self._array(key, name, self._bias_shape(unit), " | ".join(letters), others)
            parts |= c.split_gates(vector, letters)
        return parts

    def _table(self, key: str) -> Iterator[tuple[str, str]]:
        """Which gates are in which array."""
        names = getattr(self._names, key)
        table = {self._stored.order: names} if isinstance(names, str) else names or {}
        letters = "".join(table)
        if len(set(letters)) != len(letters):
            raise self._wrong(f"arrays.{key}: a gate is in two arrays, {table}")
        yield from table.items()

    def _array(
        self, key: str, name: str, shape: Shape, told: str, others: Mapping[str, Shape], scaled: bool = False
    ) -> NDArray[Any]:
        """One array of the file in *shape*, without the axis of directions; *told* is what the findings say of it."""
        stacked = (self._n_directions,) if self._stored.stacked else ()
        scale = self._stored.scale or (1.0 if scaled else None)
        array = self._arrays.get(name, self._layer.name, scale)
        fitting = {text: stacked + other for text, other in others.items()}
        if stacked:
            fitting["stacked = false"] = shape
        else:
            fitting["stacked = true"] = (1, *shape)
            fitting['stacked = true and direction = "both"'] = (2, *shape)
        what = f"layer {self._layer.name!r}: arrays.{key}, {name!r}"
        fits = fitted(array, stacked + shape, self._stored.flat, what, fitting)
        self.findings.append(f"{name} {array.shape} -> {self._layer.name}, {key}: {told}")
        return fits[self._direction] if stacked else fits

    def _bias_shape(self, unit: Shape) -> Shape:
        return (*unit[:-1], unit[-1] * self._n_hid)

    def _other_biases(self, unit: Shape) -> dict[str, Shape]:
        """The shapes of other numbers of biases, by the key of the map that tells them."""
        return {f'biases = "{key}"': self._bias_shape(other) for key, other in BIASES.items() if other != unit}

    def _wrong(self, what: str) -> SpecError:
        return SpecError(f"layer {self._layer.name!r}: {what}")
