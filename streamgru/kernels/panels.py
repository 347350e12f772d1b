"""Weights in the order in which the packed kernels read them: panels of 16 output rows (see simd/packed.h).

A matrix (n_gates * n_rows, n_cols) becomes (n_panels, n_cols, n_gates, 16), with rows of zeros in the last
panel where n_rows is no multiple of 16. This is the only copy of the weights that a model keeps.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

PANEL = 16
CACHE_LINE = 64
FOUR = 4  # columns that int8 kernels take at once


def aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Zeros that begin with a cache line, so that no vector crosses one."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    raw = np.zeros(size + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    array: NDArray[Any] = raw[start : start + size].view(dtype).reshape(shape)
    return array


def n_panels(n_rows: int) -> int:
    """Panels for so many output rows."""
    return -(-n_rows // PANEL)


def pack(gates: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    """Matrices (n_rows, n_cols), one per gate, as panels (n_panels, n_cols, n_gates, 16)."""
    n_rows, n_cols = gates[0].shape
    packed = aligned((n_panels(n_rows), n_cols, len(gates), PANEL), dtype)
    for gate, matrix in enumerate(gates):
        for panel in range(len(packed)):
            rows = matrix[panel * PANEL : (panel + 1) * PANEL]
            packed[panel, :, gate, : len(rows)] = rows.T
    return packed


def unpack(packed: NDArray[Any], n_rows: int) -> list[NDArray[Any]]:
    """The matrices that :func:`pack` was given."""
    return [
        np.ascontiguousarray(packed[:, :, gate].transpose(0, 2, 1).reshape(-1, packed.shape[1])[:n_rows])
        for gate in range(packed.shape[2])
    ]


def pack_rows(gates: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    """Vectors (n_rows,), one per gate, as (n_panels, n_gates, 16)."""
    packed = aligned((n_panels(len(gates[0])), len(gates), PANEL), dtype)
    for gate, vector in enumerate(gates):
        padded = np.zeros(len(packed) * PANEL, dtype)
        padded[: len(vector)] = vector
        packed[:, gate] = padded.reshape(-1, PANEL)
    return packed


def pack_q8(gates: list[NDArray[np.int8]]) -> NDArray[np.int8]:
    """Matrices of int8 as panels (n_panels, n_cols / 4, n_gates, 16, 4), columns in fours."""
    n_rows, n_cols = gates[0].shape
    n_fours = -(-n_cols // FOUR)
    packed = aligned((n_panels(n_rows), n_fours, len(gates), PANEL, FOUR), np.int8)
    for gate, matrix in enumerate(gates):
        padded = np.zeros((len(packed) * PANEL, n_fours * FOUR), np.int8)
        padded[:n_rows, :n_cols] = matrix
        packed[:, :, gate] = padded.reshape(-1, PANEL, n_fours, FOUR).transpose(0, 2, 1, 3)
    return packed


def unpack_q8(packed: NDArray[np.int8], n_rows: int, n_cols: int) -> list[NDArray[np.int8]]:
    """The matrices that :func:`pack_q8` was given."""
    return [
        np.ascontiguousarray(
            packed[:, :, gate].transpose(0, 2, 1, 3).reshape(-1, packed.shape[1] * FOUR)[:n_rows, :n_cols]
        )
        for gate in range(packed.shape[2])
    ]
