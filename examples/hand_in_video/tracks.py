"""Where a hand was in each frame of 200 videos, out of the Python package ``aeon``; the package is never imported."""

from __future__ import annotations

from importlib.metadata import files
from pathlib import Path

import numpy as np

LABELS = {"1": "draws a gun", "2": "points a finger"}
FRAMES_PER_S = 30.0  # 150 frames in five seconds


def tracks(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the tracks of one part of the data set, as its makers divided it.

    Parameters
    ----------
    part : str
        ``TRAIN``, 50 videos, or ``TEST``, 150.

    Returns
    -------
    x, labels : numpy.ndarray
        Horizontal positions (n_videos, 150, 1), float32, and indices into ``LABELS`` (n_videos,).
    """
    name = f"GunPoint_{part}.ts"
    path = next(Path(str(file.locate())) for file in files("aeon") or () if file.name == name)
    rows = [line.rpartition(":") for line in path.read_text().splitlines() if line and line[0] not in "#@"]
    x = np.array([[float(value) for value in row.split(",")] for row, _, _ in rows], np.float32)
    return x[:, :, None], np.array([list(LABELS).index(label) for _, _, label in rows])


def made_track() -> np.ndarray:
    """Return a track that no video is needed for, (150, 1), float32: up after 1.6 s, down after 3.2 s."""
    frame = np.arange(150)
    up, down = (1 / (1 + np.exp((middle - frame) / 3)) for middle in (48, 96))
    return (2.4 * (up - down) - 0.65)[:, None].astype(np.float32)
