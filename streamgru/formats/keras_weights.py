"""The arrays of Keras layers -> our tensors; every transposition and exchange of gates is a function that says why.

Keras multiplies a row of inputs by a matrix of columns, ``x @ kernel``; we multiply rows by a column,
``weight @ x``: all matrices are transposed. The gates of its GRU are columns z | r | h, ours rows r | z | n.
Both keep the old state where z is 1, so no sign changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import SpecError
from streamgru.formats.conventions import join_gates, split_gates, steps_oldest_first
from streamgru.model import spec as s

Array = NDArray[Any]
Tensors = dict[str, Array]

NORM_KEYS = ("weight", "bias", "mean", "var")  # gamma, beta, moving_mean, moving_variance


def gru(arrays: Sequence[Array], layer: s.Gru, what: str) -> Tensors:
    """Kernel, recurrent kernel and, if there is one, bias of GRU and CuDNNGRU; or the nine arrays of Keras 1."""
    if len(arrays) == 9:
        arrays = joined_gates(arrays)
    if len(arrays) not in (2, 3):
        raise SpecError(f"{what}: expected kernel, recurrent_kernel and perhaps bias, got {len(arrays)} arrays")
    width = 3 * layer.n_hid
    kernel, recurrent = arrays[:2]
    _expect(kernel, (None, width), what, "the kernel")
    _expect(recurrent, (layer.n_hid, width), what, "the recurrent kernel")
    if len(arrays) == 2:
        return {"weight_ih": gate_rows(kernel), "weight_hh": gate_rows(recurrent)}
    bias = arrays[2]
    if bias.shape == (2 * width,):
        return cudnn(kernel, recurrent, bias)
    found = {"weight_ih": gate_rows(kernel), "weight_hh": gate_rows(recurrent)}
    if layer.variant == "after":
        _expect(bias, (2, width), what, "the bias of a GRU that resets after the product")
        return found | {"bias_ih": gate_rows(bias[0]), "bias_hh": gate_rows(bias[1])}
    _expect(bias, (width,), what, "the bias of a GRU that resets before the product")
    return found | {"bias_ih": gate_rows(bias)}


def gate_rows(columns: Array) -> Array:
    """Columns z | r | h to rows r | z | n: transposed, and the first two gates exchanged. A bias counts as one row."""
    return join_gates(split_gates(columns.T, "zrn"))


def cudnn(kernel: Array, recurrent: Array, bias: Array) -> Tensors:
    """A CuDNNGRU's: the memory of each gate is that of cuDNN, rows of outputs, whatever its shape says.

    Its two biases stand one behind the other. It always resets after the product.
    """
    n_hid = len(recurrent)
    z, r, n = (np.ascontiguousarray(part).reshape(n_hid, -1) for part in np.split(kernel, 3, axis=1))
    u_z, u_r, u_n = np.split(recurrent, 3, axis=1)
    input_bias, recurrent_bias = bias.reshape(2, -1)
    return {
        "weight_ih": np.concatenate([r, z, n]),
        "weight_hh": np.concatenate([u_r, u_z, u_n]),
        "bias_ih": gate_rows(input_bias),
        "bias_hh": gate_rows(recurrent_bias),
    }


def joined_gates(arrays: Sequence[Array]) -> list[Array]:
    """Keras 1 has W, U and b of z, then those of r, then those of h; here they are joined as in Keras 2."""
    try:
        return [np.concatenate(arrays[i::3], axis=-1) for i in range(3)]
    except ValueError:
        raise SpecError(f"expected W, U and b of three gates, got {[array.shape for array in arrays]}") from None


def dense(arrays: Sequence[Array], layer: s.Dense, what: str) -> Tensors:
    """Kernel (n_in, n_out), perhaps a bias: transposed."""
    _expect_count(arrays, (1, 2), what)
    _expect(arrays[0], (None, layer.n_out), what, "the kernel")
    return {"weight": arrays[0].T} | ({"bias": arrays[1]} if len(arrays) == 2 else {})


def conv1d(arrays: Sequence[Array], layer: s.Conv1d, what: str, groups: int = 1) -> Tensors:
    """Kernel (size, n_in / groups, n_out), perhaps a bias."""
    _expect_count(arrays, (1, 2), what)
    _expect(arrays[0], (layer.size, None, layer.n_out), what, "the kernel")
    return {"weight": steps_oldest_first(arrays[0], "kio", groups)} | ({"bias": arrays[1]} if len(arrays) == 2 else {})


def embedding(arrays: Sequence[Array], layer: s.Embedding, what: str) -> Tensors:
    """A table, as it is."""
    _expect_count(arrays, (1,), what)
    _expect(arrays[0], (None, layer.n_out), what, "the embeddings")
    return {"weight": arrays[0]}


def norm(arrays: Sequence[Array], keys: Sequence[str], what: str) -> Tensors:
    """Vectors in the order of NORM_KEYS, without those that the layer was made without."""
    if len(arrays) != len(keys):
        raise SpecError(f"{what}: expected {len(keys)} arrays ({', '.join(keys)}), got {len(arrays)}")
    return dict(zip(keys, arrays, strict=True))


def by_spec(arrays: Sequence[Array], layer: s.AnyLayer, what: str) -> Tensors:
    """The tensors of a layer of which only the spec tells what it is."""
    if isinstance(layer, s.BatchNorm):
        return norm(arrays, {4: NORM_KEYS, 2: NORM_KEYS[2:]}.get(len(arrays), ("gamma and beta, or neither",)), what)
    if isinstance(layer, s.LayerNorm):
        return norm(arrays, NORM_KEYS[:2] if arrays else (), what)
    makers: dict[type, Callable[[Sequence[Array], Any, str], Tensors]] = {
        s.Gru: gru, s.Dense: dense, s.Conv1d: conv1d, s.Embedding: embedding,
    }  # fmt: skip
    make = makers.get(type(layer))
    return make(arrays, layer, what) if make else {}


def _expect(array: Array, shape: tuple[int | None, ...], what: str, part: str) -> None:
    if len(array.shape) != len(shape) or any(w not in (None, got) for w, got in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise SpecError(f"{what}: expected {part} of shape ({wanted}), got {array.shape}")


def _expect_count(arrays: Sequence[Array], counts: tuple[int, ...], what: str) -> None:
    if len(arrays) not in counts:
        raise SpecError(f"{what}: expected {' or '.join(map(str, counts))} arrays, got {len(arrays)}")
