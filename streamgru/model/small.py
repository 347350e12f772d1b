"""Weights of one byte each, and what is told of a tensor once its numbers have gone into the kernels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TensorInfo:
    """What a tensor was before the kernels took it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    nbytes: int

    @property
    def size(self) -> int:
        """Its numbers."""
        return int(np.prod(self.shape))

    @property
    def ndim(self) -> int:
        """Its dimensions."""
        return len(self.shape)


@dataclass(frozen=True)
class Quantised:
    """A matrix whose row i is ``q8[i] * scale[i]``; in a file, the tensors ``<name>.q8`` and ``<name>.scale``."""

    q8: NDArray[np.int8]  # (n_rows, n_cols)
    scale: NDArray[np.float32]  # (n_rows,)

    @cached_property
    def info(self) -> TensorInfo:
        """What it is, as of any other tensor."""
        return TensorInfo(self.q8.shape, self.q8.dtype, self.q8.nbytes + self.scale.nbytes)

    def widened(self) -> NDArray[np.float32]:
        """The matrix in float32."""
        return self.q8.astype(np.float32) * self.scale[:, None]


def info(tensor: NDArray[Any] | Quantised | TensorInfo) -> TensorInfo:
    """What is told of a tensor, whatever it is."""
    if isinstance(tensor, TensorInfo):
        return tensor
    return tensor.info if isinstance(tensor, Quantised) else TensorInfo(tensor.shape, tensor.dtype, tensor.nbytes)
