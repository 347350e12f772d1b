"""A tensor's way into the panels of the packed kernels, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.kernels import panels
from streamgru.model.small import Quantised, info

F32, F16, Q8 = 0, 1, 2  # enum sg_weights of packed.h
Weight = NDArray[Any] | Quantised


@dataclass(frozen=True)
class Matrix:
    """Some gates of a weight in panels; *order* tells which of its row blocks they are."""

    kind: int
    data: NDArray[Any]  # (n_panels, n_cols, n_gates, 16), or as pack_q8 has it
    scale: NDArray[np.float32]  # Q8: (n_panels, n_gates, 16)
    offset: NDArray[np.int32]  # Q8: (n_panels, n_gates, 16)
    order: tuple[int, ...]
    n_rows: int  # of one gate
    n_cols: int

    def blocks(self) -> dict[int, tuple[NDArray[Any], NDArray[np.float32]]]:
        """By row block: its weights (n_rows, n_cols) as they came, and for Q8 their scale (n_rows,)."""
        if self.kind == Q8:
            weights: list[NDArray[Any]] = list(panels.unpack_q8(self.data, self.n_rows, self.n_cols))
        else:
            weights = panels.unpack(self.data, self.n_rows)
        scales = [self.scale[:, gate].reshape(-1)[: self.n_rows] for gate in range(len(self.order))]
        return dict(zip(self.order, zip(weights, scales, strict=True), strict=True))


def kind_of(weights: list[Weight]) -> int:
    """The kernel for weights that go together: the small ones only where all are alike."""
    if all(isinstance(weight, Quantised) for weight in weights):
        return Q8
    return F16 if all(info(weight).dtype == np.float16 for weight in weights) else F32


def matrix(weight: Weight, kind: int, order: tuple[int, ...], n_gates: int) -> Matrix:
    """Put the row blocks *order* of a weight (n_gates * n_rows, n_cols) into panels."""
    n_rows, n_cols = info(weight).shape[0] // n_gates, info(weight).shape[1]
    none = np.zeros((0, len(order), panels.PANEL))
    if kind != Q8:
        plain = weight.widened() if isinstance(weight, Quantised) else weight
        dtype = np.float32 if kind == F32 else np.float16
        data = panels.pack([plain[gate * n_rows : (gate + 1) * n_rows] for gate in order], dtype)
        return Matrix(kind, data, none.astype(np.float32), none.astype(np.int32), order, n_rows, n_cols)
    assert isinstance(weight, Quantised)
    q8 = [weight.q8[gate * n_rows : (gate + 1) * n_rows] for gate in order]
    scale = panels.pack_rows([weight.scale[gate * n_rows : (gate + 1) * n_rows] for gate in order], np.float32)
    offset = panels.pack_rows([-64 * rows.sum(1, dtype=np.int32) for rows in q8], np.int32)
    return Matrix(kind, panels.pack_q8(q8), scale, offset, order, n_rows, n_cols)


def joined(matrices: list[Matrix], dtype: np.dtype[Any]) -> Weight:
    """The weight that *matrices* hold between them, in the dtype that it had."""
    blocks = {gate: block for matrix in matrices for gate, block in matrix.blocks().items()}
    weights = np.concatenate([blocks[gate][0] for gate in sorted(blocks)])
    if matrices[0].kind == Q8:
        return Quantised(weights, np.concatenate([blocks[gate][1] for gate in sorted(blocks)]))
    return weights.astype(dtype)
