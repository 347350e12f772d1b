"""Activation functions by their ONNX names."""

from __future__ import annotations

from streamgru.model.functions import PARAMETERS, AnyFunction, Curve, Function

CLOSE = 1e-7  # parameters are float32 in a file


def curve(name: Function, alpha: float | None = None, beta: float | None = None) -> AnyFunction:
    """The function of a spec: a plain name where the parameters are those that go with it."""
    given = (alpha, beta)
    known = PARAMETERS.get(name, ())
    if name == "hard_sigmoid" and alpha is not None and _close(given, (1 / 6, 0.5)):
        return "hard_sigmoid_keras3"
    if name == "clip" and alpha == 0 and beta is None:
        return "relu"
    return name if _close(given, known) else Curve(function=name, alpha=alpha, beta=beta)


def _close(given: tuple[float | None, ...], known: tuple[float, ...]) -> bool:
    """Whether parameters are left out, or what they would be then."""
    rest = (None,) * (len(given) - len(known))
    pairs = zip(given, (*known, *rest), strict=True)
    return all(
        value is None or (default is not None and abs(value - default) <= CLOSE * max(1, abs(default)))
        for value, default in pairs
    )
