"""Weights of one byte each, and what is told of a tensor once its numbers have gone into the kernels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import SpecError

Q8, SCALE = ".q8", ".scale"  # what the two tensors of a matrix of int8 add to its name
LARGEST = 127  # of a weight; -128 would have no counterpart
WIDEST = 133_000  # columns: a sum of so many 127 * 127 still fits 32 bits
# of a scale: then all weights are floats
MOST = np.nextafter(np.float32(float(np.finfo(np.float32).max) / LARGEST), np.float32(0))


@dataclass(frozen=True)
class TensorInfo:
    """What a tensor was before the kernels took it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    nbytes: int

    @property
    def size(self) -> int:
        """Its numbers."""
        return math.prod(self.shape)

    @property
    def ndim(self) -> int:
        """Its dimensions."""
        return len(self.shape)


@dataclass(frozen=True)
class Quantised:
    """A matrix whose row i is ``q8[i] * scale[i]``; in a file, the tensors ``<name>.q8`` and ``<name>.scale``."""

    q8: NDArray[np.int8]  # (n_rows, n_cols), in [-127, 127]
    scale: NDArray[np.float32]  # (n_rows,)

    @cached_property
    def info(self) -> TensorInfo:
        """What it is, as of any other tensor."""
        return TensorInfo(self.q8.shape, self.q8.dtype, self.q8.nbytes + self.scale.nbytes)

    def widened(self) -> NDArray[np.float32]:
        """The matrix in float32."""
        return self.q8.astype(np.float32) * self.scale[:, None]


def find_quantised(name: str, tensors: Mapping[str, NDArray[Any]], shape: tuple[int, ...]) -> Quantised | None:
    """Find the matrix of int8 that stands in for the tensor *name*; None if there is none.

    Raises
    ------
    SpecError
        If its two tensors are not as they should be, or the tensor is there in floats as well.
    """
    if name + Q8 not in tensors:
        return None
    q8, scale = tensors[name + Q8], tensors.get(name + SCALE)
    if len(shape) != 2:
        raise SpecError(f"tensor {name + Q8!r}: expected no int8 here, only matrices may be; store {name!r} in floats")
    if name in tensors:
        raise SpecError(f"tensor {name + Q8!r}: expected one form of {name!r}, got int8 and floats; remove one of them")
    if q8.dtype != np.int8 or q8.shape != shape:
        raise SpecError(f"tensor {name + Q8!r}: expected int8 {shape}, got {q8.dtype} {q8.shape}")
    if shape[1] > WIDEST:
        raise SpecError(
            f"tensor {name + Q8!r}: expected at most {WIDEST:,} columns of int8, got {shape[1]:,}, whose sums would "
            f"not fit 32 bits; store {name!r} in floats"
        )
    if q8.size and q8.min() < -LARGEST:
        raise SpecError(
            f"tensor {name + Q8!r}: expected -{LARGEST} to {LARGEST}, got {q8.min()}; "
            "quantise with a scale of max |w| / 127"
        )
    if scale is None:
        raise SpecError(
            f"tensor {name + SCALE!r}: expected shape {shape[:1]}, what a unit of each row of {name + Q8!r} is worth, "
            "but the file has none of that name"
        )
    if scale.dtype != np.float32 or scale.shape != shape[:1]:
        raise SpecError(f"tensor {name + SCALE!r}: expected float32 {shape[:1]}, got {scale.dtype} {scale.shape}")
    bad = ~((scale >= 0) & (scale <= MOST))
    if bad.any():
        row = int(bad.argmax())
        got = f"got {scale[row]} in row {row}"
        raise SpecError(f"tensor {name + SCALE!r}: expected numbers from 0 to {MOST:.3g}, {got}")
    return Quantised(q8, scale)


def owner(name: str) -> str:
    """The layer that a tensor of a file belongs to: what stands before its last dot, but for int8's endings."""
    return name.removesuffix(Q8).removesuffix(SCALE).rpartition(".")[0]


def info(tensor: NDArray[Any] | Quantised | TensorInfo) -> TensorInfo:
    """What is told of a tensor, whatever it is."""
    if isinstance(tensor, TensorInfo):
        return tensor
    return tensor.info if isinstance(tensor, Quantised) else TensorInfo(tensor.shape, tensor.dtype, tensor.nbytes)
