"""The activation functions of PyTorch's modules, with their parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streamgru.errors import UnsupportedError
from streamgru.model.functions import AnyFunction, Curve, Function

Make = Callable[[Any, str], AnyFunction]


def _plain(function: Function) -> Make:
    return lambda module, path: function


def _softplus(module: Any, path: str) -> AnyFunction:
    if module.beta != 1 or module.threshold < 20:
        given = f"beta={module.beta} and threshold={module.threshold}"
        raise UnsupportedError(f"from_torch: {path} is an nn.Softplus with {given}; expected 1, and 20 or more")
    return "softplus"  # which PyTorch's is as well, to 2e-9: from its threshold on it answers x


def _threshold(module: Any, path: str) -> AnyFunction:
    if module.value != 0:
        raise UnsupportedError(f"from_torch: {path} is an nn.Threshold with value={module.value}; expected 0")
    return Curve(function="thresholded_relu", alpha=module.threshold)


FUNCTIONS: Mapping[str, Make] = {
    "ReLU": _plain("relu"),
    "Tanh": _plain("tanh"),
    "Sigmoid": _plain("sigmoid"),
    "Hardsigmoid": _plain("hard_sigmoid_keras3"),
    "SELU": _plain("selu"),
    "Softsign": _plain("softsign"),
    "SiLU": _plain("swish"),
    "Softplus": _softplus,
    "Threshold": _threshold,
    "GELU": lambda module, path: "gelu" if module.approximate == "none" else "gelu_tanh",
    "LeakyReLU": lambda module, path: Curve(function="leaky_relu", alpha=module.negative_slope),
    "ELU": lambda module, path: Curve(function="elu", alpha=module.alpha),
    # An nn.ReLU6 is an nn.Hardtanh as well.
    "Hardtanh": lambda module, path: Curve(function="clip", alpha=module.min_val, beta=module.max_val),
}
