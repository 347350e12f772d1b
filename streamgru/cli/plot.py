"""Pictures made of characters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def curve(values: NDArray[np.floating[Any]], low: float, high: float, dots: int, per_dot: int, rows: int) -> list[str]:
    """Draw a signal in braille, the newest value at the right.

    Parameters
    ----------
    values : ndarray (n_steps,)
        From the start of the signal, so that a dot keeps its place among the steps while it moves left.
    low, high : float
        The values at the lower and the upper edge.
    dots : int
        Width; two dots are one character.
    per_dot : int
        Steps that share a dot.
    rows : int
        Height in characters of four dots; the topmost dot stays empty, so that curves do not touch.
    """
    grid = np.zeros((4 * rows, dots + dots % 2), bool)
    n_bins = -(-len(values) // per_dot)
    scaled = (np.clip((values - low) / (high - low), 0, 1) * (4 * rows - 2)).round().astype(int)
    for column in range(max(0, dots - n_bins), dots):
        begin = (n_bins - dots + column) * per_dot
        part = scaled[max(0, begin - 1) : begin + per_dot]  # with the step before, so that the line holds together
        grid[4 * rows - 1 - part.max() : 4 * rows - part.min(), column] = True
    cells = grid.reshape(rows, 4, -1, 2)
    weights = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    codes = 0x2800 + np.einsum("rdcs,ds->rc", cells, weights)
    return ["".join(map(chr, row)) for row in codes]


def bar(share: float, width: int) -> str:
    """A bar of *width* characters, filled to eighths of a character."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return ("█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()).ljust(width)


def fitted(text: str, width: int) -> str:
    """A text in exactly *width* characters."""
    return text.ljust(width) if len(text) <= width else text[: max(width - 1, 0)] + "…"[: max(width, 0)]
