"""What ``Stream.trace`` returns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Gates(NamedTuple):
    """The gates of one GRU layer over a block of steps, each (n_steps, n_hid)."""

    r: NDArray[np.floating[Any]]  # reset gate
    z: NDArray[np.floating[Any]]  # update gate
    n: NDArray[np.floating[Any]]  # candidate
    h: NDArray[np.floating[Any]]  # state after the step


class Trace(NamedTuple):
    """Outputs ``y`` (n_steps, n_out) and, by the name of the layer, the gates that made them."""

    y: NDArray[np.floating[Any]]
    gates: dict[str, Gates]
