"""What the package carries itself: trained networks, and recordings that they never saw."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import LoadError


class Recording(NamedTuple):
    """One person doing one exercise with one arm."""

    x: NDArray[np.float32]  # (n_steps, n_in)
    label: int  # index into the labels
    subject: int  # number of the person
    side: str  # which arm: left or right


class Recordings(NamedTuple):
    """The held-out recordings, and what their numbers mean."""

    items: tuple[Recording, ...]
    labels: tuple[str, ...]
    channels: tuple[str, ...]  # names and units of the columns of x
    rate_hz: float


def builtin_path(name: str) -> Path:
    """Find a network of the package, the ``shoulder`` of ``builtin:shoulder``.

    Raises
    ------
    LoadError
        If there is none of that name; the message lists the names.
    """
    found = {path.stem: path for path in _data().glob("*.safetensors")}
    if name not in found:
        raise LoadError(f"builtin:{name}: expected one of {', '.join(sorted(found)) or 'none'}")
    return found[name]


def recordings() -> Recordings:
    """Read the recordings of people whom the network ``shoulder`` was not trained on."""
    with np.load(_data() / "shoulder.npz", allow_pickle=False) as file:
        data: dict[str, NDArray[Any]] = dict(file)
    parts = np.split(data["x"], data["start"][1:-1])
    columns = (data[name].tolist() for name in ("label", "subject", "side"))
    return Recordings(
        items=tuple(Recording(*row) for row in zip(parts, *columns, strict=True)),
        labels=tuple(data["labels"].tolist()),
        channels=tuple(data["channels"].tolist()),
        rate_hz=float(data["rate_hz"]),
    )


def _data() -> Path:
    return Path(str(files("streamgru"))) / "data"
