"""The networks that are timed, and what they should answer, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamgru.model.spec import Dense, Gru, Input, sequential
from streamgru.stream.model import Model

Floats = NDArray[np.floating]
N_CHECKED = 100  # steps over which every contender must agree
HEAD = 8  # outputs of the dense layer behind a stack


@dataclass(frozen=True)
class Network:
    """GRU layers ``gru.0``, ``gru.1`` ..., with or without a dense layer ``head`` behind them."""

    n_in: int
    n_hid: int
    tensors: dict[str, Floats]
    variant: str = "after"
    n_layers: int = 1
    head: bool = False

    @property
    def macs(self) -> int:
        """Multiply-adds of a step."""
        return sum(tensor.size for tensor in self.tensors.values() if tensor.ndim == 2)

    def model(self, kernel: str = "packed", weights: str = "float32") -> Model:
        """Ours."""
        layers = [Gru(name=f"gru.{k}", n_hid=self.n_hid, variant=self.variant) for k in range(self.n_layers)]
        head = [Dense(name="head", n_out=HEAD)] if self.head else []
        spec = sequential(*layers, *head, inputs=(Input(name="x", size=self.n_in),))
        return Model(spec, WEIGHTS[weights](self.tensors), kernel=kernel)

    def answers(self, X: Floats) -> Floats:
        """The equations, in float64: (n_steps, n_in) -> (n_steps, n_out)."""
        w = {name: tensor.astype(np.float64) for name, tensor in self.tensors.items()}
        states = [np.zeros(self.n_hid) for _ in range(self.n_layers)]
        answers = []
        for x in X:
            for k, h in enumerate(states):
                x = states[k] = _gru(*(w[f"gru.{k}.{name}"] for name in NAMES), x, h, self.variant)
            answers.append(w["head.weight"] @ x + w["head.bias"] if self.head else x)
        return np.array(answers)


NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def network(n_in: int, n_hid: int, variant: str = "after", n_layers: int = 1, head: bool = False) -> Network:
    """A network with random weights as wide as PyTorch initialises them."""
    rng = np.random.default_rng(n_hid)

    def uniform(*shape: int) -> Floats:
        return rng.uniform(-1, 1, shape).astype(np.float32) * np.float32(n_hid**-0.5)

    tensors: dict[str, Floats] = {}
    for k in range(n_layers):
        shapes = ((3 * n_hid, n_hid if k else n_in), (3 * n_hid, n_hid), (3 * n_hid,), (3 * n_hid,))
        tensors |= {f"gru.{k}.{name}": uniform(*shape) for name, shape in zip(NAMES, shapes, strict=True)}
    if head:
        tensors |= {"head.weight": uniform(HEAD, n_hid), "head.bias": uniform(HEAD)}
    return Network(n_in, n_hid, tensors, variant, n_layers, head)


def inputs(n_in: int) -> Floats:
    """Numbers of unit size: (N_CHECKED, n_in)."""
    return np.random.default_rng(1).standard_normal((N_CHECKED, n_in)).astype(np.float32)


def _gru(w: Floats, u: Floats, b: Floats, c: Floats, x: Floats, h: Floats, variant: str) -> Floats:
    a_r, a_z, a_n = np.split(w @ x + b, 3)
    u_r, u_z, u_n = np.split(u, 3)
    c_r, c_z, c_n = np.split(c, 3)
    r, z = _sigmoid(a_r + u_r @ h + c_r), _sigmoid(a_z + u_z @ h + c_z)
    inner = r * (u_n @ h + c_n) if variant == "after" else u_n @ (r * h) + c_n
    return (1 - z) * np.tanh(a_n + inner) + z * h


def _sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def _int8(tensors: dict[str, Floats]) -> dict[str, NDArray]:
    """Each row of a matrix scaled so that its largest number is 127."""
    small: dict[str, NDArray] = {}
    for name, tensor in tensors.items():
        if tensor.ndim == 1:
            small[name] = tensor
            continue
        scale = np.abs(tensor).max(1) / 127
        small[f"{name}.q8"] = np.rint(tensor / scale[:, None]).astype(np.int8)
        small[f"{name}.scale"] = scale.astype(np.float32)
    return small


def _float16(tensors: dict[str, Floats]) -> dict[str, NDArray]:
    return {name: tensor.astype(np.float16) if tensor.ndim == 2 else tensor for name, tensor in tensors.items()}


WEIGHTS = {"float32": dict, "int8": _int8, "float16": _float16}
