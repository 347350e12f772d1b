"""Floats to int8: rows of weights with a scale each, rounded so that their products come out right.

A row w is to be multiplied with vectors x; what counts is the error of the products, (q - w)' H (q - w), where
H = E[x x'] are the second moments of x. Without H, all that can be done is to choose the scale well and
round to the nearest. With H the columns are rounded one after the other, and the error of each is made
good by those that are still to come: the optimal brain surgeon (Hassibi and Stork 1993), for
rounding (Frantar et al. 2022, GPTQ).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.model.small import LARGEST, Quantised

CLIPS = np.linspace(1.0, 0.4, 31)  # shares of the largest weight that a scale may reach to
DAMPING = 0.01  # of the mean of H's diagonal: what the data did not show is taken to be possible

F64 = NDArray[np.float64]


def quantise(weight: NDArray[Any], moments: list[F64] | None = None) -> Quantised:
    """Round a matrix to int8.

    Parameters
    ----------
    weight : ndarray (n_rows, n_cols)
    moments : list of ndarray (n_cols, n_cols), optional
        Second moments of the vectors that it is multiplied with; of several, each for an equal share of the rows.

    Returns
    -------
    Quantised
    """
    rows = np.asarray(weight, np.float64)
    if moments is None:
        scale = row_scale(rows, np.ones(rows.shape[1]))
        return Quantised(_nearest(rows, scale[:, None]).astype(np.int8), scale)
    parts = [_second_order(part, h) for part, h in zip(np.split(rows, len(moments)), moments, strict=True)]
    return Quantised(np.concatenate([part.q8 for part in parts]), np.concatenate([part.scale for part in parts]))


def row_scale(weight: F64, importance: F64) -> NDArray[np.float32]:
    """The scale of each row with the least squared error; *importance* (n_cols,) weighs the columns."""
    largest = np.abs(weight).max(1)
    best, least = np.zeros(len(weight), np.float32), np.full(len(weight), np.inf)
    for clip in CLIPS:
        scale = (largest * (clip / LARGEST)).astype(np.float32)
        error = np.square(_nearest(weight, scale[:, None]) * scale[:, None].astype(np.float64) - weight) @ importance
        better = error < least
        best[better], least[better] = scale[better], error[better]
    return best


def _nearest(weight: F64, scale: NDArray[np.float32]) -> F64:
    """The integers whose multiples of *scale* are nearest; 0 where the scale is 0."""
    units = np.divide(weight, scale, out=np.zeros_like(weight), where=scale > 0)
    return np.clip(np.rint(units), -LARGEST, LARGEST)


def _second_order(weight: F64, moments: F64) -> Quantised:
    """Round column by column, those first whose inputs are largest."""
    n_cols = weight.shape[1]
    diagonal = np.diag(moments)
    damping = DAMPING * diagonal.mean() or 1.0  # inputs that are always 0: any H will do
    scale = row_scale(weight, diagonal + damping)
    order = np.argsort(-diagonal, kind="stable")
    damped = (moments + damping * np.eye(n_cols))[np.ix_(order, order)]
    spread = np.linalg.cholesky(np.linalg.inv(damped)).T  # upper: row k tells how to share the error of column k
    rest, q8 = weight[:, order], np.empty(weight.shape, np.int8)
    for k, column in enumerate(order):
        units = _nearest(rest[:, k].copy(), scale)
        q8[:, column] = units
        error = (rest[:, k] - units * scale) / spread[k, k]
        rest[:, k:] -= np.outer(error, spread[k, k:])
    return Quantised(q8, scale)
