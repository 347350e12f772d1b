"""Other people's gates -> ours: the presets, and every change that a weight goes through, under a name that says why.

Ours is PyTorch's: rows r | z | n, a row for each output, and an update gate that keeps the old state. A preset is
nothing but fields of :class:`streamgru.formats.map_schema.StoredGru` and of the layer, spelled out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import UnsupportedError

Array = NDArray[Any]
Gates = dict[str, Array]  # "r", "z" and "n" -> the part of an array that is the gate's

ORDER = "rzn"
SYMMETRIC = ("sigmoid", "hard_sigmoid", "hard_sigmoid_keras3")  # f(-a) = 1 - f(a)

_KERAS = {"order": "zrn", "rows": "inputs", "update": "keep", "gate": "sigmoid", "candidate": "tanh"}
_FLAX = {"order": "rzn", "rows": "inputs", "update": "keep", "gate": "sigmoid", "candidate": "tanh"}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "torch": {
        "order": "rzn", "rows": "outputs", "variant": "after", "update": "keep",
        "gate": "sigmoid", "candidate": "tanh",
    },
    "keras": _KERAS | {"variant": "after", "biases": "rows"},
    "keras_reset_before": _KERAS | {"variant": "before"},
    "onnx": {
        "order": "zrn", "rows": "outputs", "variant": "before", "update": "keep", "biases": "flat", "stacked": True,
        "gate": "sigmoid", "candidate": "tanh",
    },
    "tf1": {
        "order": "rzn", "rows": "inputs", "joined": "xh", "variant": "before", "update": "keep",
        "gate": "sigmoid", "candidate": "tanh",
    },
    "flax": _FLAX | {"variant": "after"},
    "flax_nnx": _FLAX | {"variant": "after"},
    "haiku": {
        "order": "zrn", "rows": "inputs", "variant": "before", "update": "write",
        "gate": "sigmoid", "candidate": "tanh",
    },
    "lasagne": {
        "order": "rzn", "rows": "inputs", "variant": "after", "update": "write",
        "gate": "sigmoid", "candidate": "tanh",
    },
    "rnnoise": {
        "order": "zrn", "rows": "inputs", "variant": "before", "update": "keep", "flat": True, "scale": 1 / 256,
        "gate": "sigmoid", "candidate": "relu",
    },
}  # fmt: skip


def rows_as_outputs(matrix: Array, rows: str) -> Array:
    """Who computes ``x W`` has a row for each input; we compute ``W x``, with a row for each output."""
    return matrix if rows == "outputs" else matrix.T


def unflatten(array: Array, shape: tuple[int, ...]) -> Array:
    """C sources have matrices as one row of numbers, one row of the matrix behind the other."""
    return array.reshape(shape)


def split_gates(array: Array, letters: str) -> Gates:
    """Several gates in one array are equal blocks of its rows, in the order that *letters* tell."""
    return dict(zip(letters, np.split(array, len(letters)), strict=True))


def split_joined(matrix: Array, n_in: int, joined: str) -> tuple[Array, Array]:
    """One product of ``[x, h]`` is the sum of two, of x and of h: the columns part."""
    if joined == "xh":
        return matrix[:, :n_in], matrix[:, n_in:]
    return matrix[:, -n_in:], matrix[:, :-n_in]


def split_biases(array: Array) -> tuple[Array, Array]:
    """Two biases in one array: that of the input product first, then that of the recurrent one."""
    first, second = np.split(array.reshape(-1), 2)
    return first, second


def widen(array: Array, scale: float) -> Array:
    """Integers count in units of *scale*: the weights that were meant, rounded once, to float32."""
    return (array.astype(np.float64) * scale).astype(np.float32)


def scale_rows(matrix: Array, scale: Array) -> Array:
    """Each output has a scale of its own, which stands outside the sum of its row."""
    wide = np.result_type(scale.dtype, np.float32)
    scaled: Array = matrix.astype(wide) * scale.astype(wide)[:, None]
    return scaled


def add_diagonal(matrix: Array, diagonal: Array) -> Array:
    """What each unit gives itself was kept apart, since sparse matrices would lose it: it belongs on the diagonal."""
    whole = matrix.astype(np.result_type(matrix, diagonal))
    whole[np.diag_indices(len(diagonal))] += diagonal
    return whole


def keep_for_write(parts: Gates, gate: Any) -> Gates:
    """``h' = (1 - z) h + z n`` writes where we keep; since ``f(-a) = 1 - f(a)``, all that makes z is negated.

    Raises
    ------
    UnsupportedError
        If the function of the gate has no such symmetry.
    """
    name, beta = getattr(gate, "function", gate), getattr(gate, "beta", None)  # what has parameters is no plain name
    if name not in SYMMETRIC or beta not in (None, 0.5):
        raise UnsupportedError(
            f'update = "write" with the gate {str(gate)!r}: its sign can be turned only for {", ".join(SYMMETRIC)}'
        )
    return parts | ({"z": -parts["z"]} if "z" in parts else {})


def join_gates(parts: Gates) -> Array:
    """Our order of rows: r, z, n."""
    return np.ascontiguousarray(np.concatenate([parts[letter] for letter in ORDER]))


def steps_oldest_first(kernel: Array, axes: str, groups: int = 1) -> Array:
    """A convolution's weights with axes o(utputs), i(nputs) and k (steps) in any order -> (n_out, size*n_in).

    The oldest step comes first everywhere. Weights in groups, (n_out, n_in / groups, size) in whatever order, become
    weights of all inputs, with zeros where an output does not look.
    """
    ordered = kernel.transpose([axes.index(axis) for axis in "oki"])
    n_out, size, n_each = ordered.shape
    whole = np.zeros((n_out, size, groups, n_each), kernel.dtype)
    for group, rows in enumerate(np.split(np.arange(n_out), groups)):
        whole[rows, :, group] = ordered[rows]
    return whole.reshape(n_out, -1)
