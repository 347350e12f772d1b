"""Activation functions by their ONNX names."""

from __future__ import annotations

from streamgru.errors import UnsupportedError
from streamgru.model import spec as s

PLAIN: dict[str, s.Function] = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu"}
# function -> the defaults of alpha and beta; None where it has none
PARAMETERS: dict[str, tuple[float | None, float | None]] = {
    "leaky_relu": (0.01, None), "thresholded_relu": (1.0, None), "elu": (1.0, None), "hard_sigmoid": (0.2, 0.5),
    "selu": (1.6732631921768188, 1.0507010221481323), "scaled_tanh": (1.0, 1.0), "affine": (1.0, 0.0),
}  # fmt: skip


def curve(name: str, alpha: float | None = None, beta: float | None = None) -> s.Function:
    """The function of a spec: a plain name where the parameters are those that go with it."""
    if name in PLAIN:
        return PLAIN[name]
    default_alpha, default_beta = PARAMETERS.get(name, (None, None))
    alpha, beta = default_alpha if alpha is None else alpha, default_beta if beta is None else beta
    if name == "hard_sigmoid" and beta is not None and alpha is not None and abs(beta - 0.5) < 1e-7:
        if abs(alpha - 0.2) < 1e-7:
            return "hard_sigmoid"
        if abs(alpha - 1 / 6) < 1e-7:
            return "hard_sigmoid_keras3"
    if name == "clip" and alpha == 0 and beta is None:
        return "relu"
    given = ", ".join(f"{key} {value:g}" for key, value in (("alpha", alpha), ("beta", beta)) if value is not None)
    raise UnsupportedError(f"the activation function {name} {f'with {given} ' if given else ''}is not built yet")
