"""The activation functions of Keras, in the meaning that they had in the version that wrote the file."""

from __future__ import annotations

from typing import Any

from streamgru.formats.keras_config import Settings, layer, shown

# Plain data, as in the JSON of a spec: the name of a function, or a table with its parameters.
Function = str | dict[str, Any]

SAME = {
    "linear": "linear", "sigmoid": "sigmoid", "tanh": "tanh", "relu": "relu", "selu": "selu", "softsign": "softsign",
    "softplus": "softplus", "swish": "swish", "silu": "swish", "gelu": "gelu", "exponential": "exp",
    "softmax": "softmax",
}  # fmt: skip


def activation(value: Any, version: int, settings: Settings) -> Function:
    """What an ``activation=`` means; ``softmax``, which is a layer of its own in a spec, comes back under its name."""
    if value is None:
        return "linear"
    if isinstance(value, dict):
        module, kind, config = str(value.get("module", "")), value.get("class_name"), value.get("config")
        if isinstance(config, dict) and kind in LAYERS:
            own = layer(value, f"{settings.what}, its activation")  # refuses another program's class of that name
            return of_layer(own.kind, Settings(own.config, f"{settings.what}, its activation"), version)
        if kind == "function" and module.startswith(("keras.activations", "keras.src.activations")):
            value = config
    if value == "hard_sigmoid":
        return hard_sigmoid(version)
    if value == "elu":
        return {"function": "elu", "alpha": 1.0}
    if value == "leaky_relu":
        return {"function": "leaky_relu", "alpha": 0.2}
    if value == "relu6":
        return {"function": "clip", "alpha": 0.0, "beta": 6.0}
    if not isinstance(value, str) or value not in SAME:
        settings.refuse(f"its activation is {shown(value)}, which this version has no function for")
    return SAME[value]


def named(function: Function) -> str:
    """A function as people read it, its parameters behind."""
    if isinstance(function, str):
        return function
    return f"{function['function']}({', '.join(f'{function[key]:g}' for key in ('alpha', 'beta') if key in function)})"


def hard_sigmoid(version: int) -> str:
    """Up to Keras 2 it was ``clip(0.2 x + 0.5, 0, 1)``; Keras 3 has ``clip(x / 6 + 0.5, 0, 1)`` under the same name."""
    return "hard_sigmoid_keras3" if version >= 3 else "hard_sigmoid"


def of_layer(kind: str, settings: Settings, version: int) -> Function:
    """The function that a layer of activation applies."""
    found: Function
    if kind == "Activation":
        found = activation(settings.take("activation"), version, settings)
    elif kind == "ReLU":
        found = _relu(settings)
    elif kind == "LeakyReLU":
        found = {"function": "leaky_relu", "alpha": settings.number("negative_slope", "alpha", default=0.3)}
    elif kind == "ELU":
        found = {"function": "elu", "alpha": settings.number("alpha", default=1.0)}
    elif kind == "ThresholdedReLU":
        found = {"function": "thresholded_relu", "alpha": settings.number("theta", default=1.0)}
    else:
        if settings.take("axis", default=-1) not in (-1, [-1], 2):
            settings.refuse("it is a softmax over something else than the last axis")
        found = "softmax"
    settings.done()
    return found


def _relu(settings: Settings) -> Function:
    """``ReLU(max_value, negative_slope, threshold)`` where at most one of these is set."""
    top = settings.take("max_value", default=None)
    slope = settings.number("negative_slope", default=0.0)
    threshold = settings.number("threshold", default=0.0)
    if slope == 0.0 and threshold == 0.0 and top is not None:
        return {"function": "clip", "alpha": 0.0, "beta": Settings({"top": top}, settings.what).number("top")}
    if top is None and threshold == 0.0 and slope != 0.0:
        return {"function": "leaky_relu", "alpha": slope}
    if top is not None or slope != 0.0:
        settings.refuse(f"it has max_value={top}, negative_slope={slope} and threshold={threshold} at once")
    return {"function": "thresholded_relu", "alpha": threshold} if threshold else "relu"


LAYERS = ("Activation", "ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "Softmax")
