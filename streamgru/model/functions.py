"""The functions that a layer may apply to what it has added up, by name, and those of them that have parameters."""

from __future__ import annotations

from typing import Literal

import msgspec

from streamgru.errors import SpecError

Function = Literal[
    "linear", "sigmoid", "tanh", "hard_sigmoid", "hard_sigmoid_keras3", "relu", "leaky_relu", "thresholded_relu",
    "elu", "selu", "softsign", "softplus", "scaled_tanh", "affine", "clip", "swish", "gelu", "gelu_tanh",
    "exp", "log", "sqrt", "abs",
]  # fmt: skip
LARGEST = 3.4028234663852886e38  # of a float32; JSON has no infinity

# alpha and, of most, beta: what they are unless a Curve tells.
PARAMETERS: dict[str, tuple[float, ...]] = {
    "hard_sigmoid": (0.2, 0.5),
    "leaky_relu": (0.01,),
    "thresholded_relu": (1.0,),
    "elu": (1.0,),
    "scaled_tanh": (1.0, 1.0),
    "affine": (1.0, 0.0),
    "clip": (-LARGEST, LARGEST),
}


class Curve(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A function with parameters of its own."""

    function: Function
    alpha: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        for key, value in (("alpha", self.alpha), ("beta", self.beta)):
            if value is not None and not abs(value) <= LARGEST:
                raise SpecError(f"function {self.function!r}: expected a finite {key}, got {value:g}")

    def __str__(self) -> str:
        given = [f"{key} {value:g}" for key, value in (("alpha", self.alpha), ("beta", self.beta)) if value is not None]
        return " ".join([self.function, *given])


AnyFunction = Function | Curve


def parameters(function: AnyFunction) -> tuple[str, float, float]:
    """The name of a function with its alpha and beta, 0 where it has none.

    Raises
    ------
    SpecError
        If it is given a parameter that it does not have, or one that makes no sense.
    """
    curve = function if isinstance(function, Curve) else Curve(function=function)
    found = list(PARAMETERS.get(curve.function, ()))
    for i, (key, value) in enumerate((("alpha", curve.alpha), ("beta", curve.beta))):
        if value is None:
            continue
        if i >= len(found):
            raise SpecError(f"function {curve.function!r}: expected no {key}, got {value:g}; it has none")
        found[i] = value
    if curve.function == "clip" and not found[0] <= found[1]:
        raise SpecError(f"function 'clip': expected alpha <= beta, its bounds, got {found[0]:g} and {found[1]:g}")
    alpha, beta = (*found, 0.0, 0.0)[:2]
    return curve.function, alpha, beta
