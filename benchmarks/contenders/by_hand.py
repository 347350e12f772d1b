"""What one writes in NumPy, with nothing computed twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.base import Contender, FromPython
from benchmarks.network import NAMES, Network

STEP = """
    a = w @ x + b
    v = u @ h + c
    gates = 1 / (1 + exp(-(a[:k] + v[:k])))
    n = tanh(a[k:] + gates[:n_hid] * v[k:])
    z = gates[n_hid:]
    h = n + z * (h - n)
"""


def contenders(network: Network, x: NDArray[np.float32]) -> list[Contender]:
    """The equations in a loop."""
    w, u, b, c = (network.tensors[f"gru.0.{name}"] for name in NAMES)
    names = {"w": w, "u": u, "b": b, "c": c, "x": x, "h": np.zeros(network.n_hid, np.float32)}
    names |= {"n_hid": network.n_hid, "k": 2 * network.n_hid, "exp": np.exp, "tanh": np.tanh}
    return [FromPython("numpy", STEP, lambda names: names["h"], **names)]
