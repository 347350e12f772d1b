"""Read the smartwatch recordings that ship inside the installed ``seglearn`` package.

The file is a pickle in a ``.npy`` wrapper. A pickle can run any function it names, so it is
read here with an unpickler that knows four names and refuses all others. ``seglearn`` itself
is never imported.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.lib import format as npy

PACKAGE = "seglearn"
FILE = "watch_dataset.npy"
RATE_HZ = 50.0
CHANNELS = ("ax [g]", "ay [g]", "az [g]", "wx [rad/s]", "wy [rad/s]", "wz [rad/s]")
SIDES = ("left", "right")
LABELS = {
    "PEN": "pendulum",
    "ABD": "abduction",
    "FEL": "forward elevation",
    "IR": "internal rotation with band",
    "ER": "external rotation with band",
    "TRAP": "lower trapezius row with band",
    "ROW": "bent over row",
}


@dataclass(frozen=True)
class Recording:
    """One person doing one exercise with one arm.

    Attributes
    ----------
    x : numpy.ndarray
        Accelerations and angular rates as in the file, float32, (n_steps, 6).
    label : int
        Index into ``LABELS``.
    subject : int
        Number of the person.
    side : int
        Index into ``SIDES``.
    """

    x: np.ndarray
    label: int
    subject: int
    side: int


def _encode(text: str, encoding: str) -> bytes:
    """Stand in for ``codecs.encode``, which old pickles call to write bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"unexpected text encoding {encoding!r} in the pickle")
    return text.encode("latin1")


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickle NumPy arrays inside plain containers, and nothing else."""

    _allowed: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"the pickle asks for {module}.{name}: refused") from None


def read_npy_object(file: BinaryIO) -> Any:
    """Read the one object of a zero-dimensional ``.npy`` file, running no foreign code.

    Parameters
    ----------
    file : BinaryIO
        A file open for reading at its start.

    Returns
    -------
    Any
        The object; here a dict of arrays and lists.
    """
    if npy.read_magic(file) != (1, 0):
        raise ValueError("expected version 1.0 of the .npy format")
    shape, _, dtype = npy.read_array_header_1_0(file)
    if shape != () or not dtype.hasobject:
        raise ValueError(f"expected a single object, got shape {shape} of {dtype}")
    return _ArrayUnpickler(file).load().item()


def dataset_path() -> Path:
    """Return where the installed package keeps its recordings."""
    for file in files(PACKAGE) or ():
        if file.name == FILE:
            return Path(str(file.locate()))
    raise FileNotFoundError(f"{FILE} is not in the installed package {PACKAGE}")


def load() -> list[Recording]:
    """Return all 140 recordings, in the order of the file.

    Returns
    -------
    list of Recording
        Every recording, at 50 Hz, in the units of ``CHANNELS``.
    """
    with dataset_path().open("rb") as file:
        data = read_npy_object(file)
    if tuple(data["y_labels"]) != tuple(LABELS):
        raise ValueError(f"unexpected class names {data['y_labels']}")
    if tuple(data["X_labels"]) != tuple(name.split()[0] for name in CHANNELS):
        raise ValueError(f"unexpected channel names {data['X_labels']}")
    rows = zip(data["X"], data["y"], data["subject"], data["side"], strict=True)
    return [
        Recording(np.ascontiguousarray(x, np.float32), int(label), int(subject), int(side))
        for x, label, subject, side in rows
    ]
