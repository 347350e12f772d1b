"""Activation functions with parameters, against onnxruntime: in operators, and in the GRU operator."""

from math import erf

import msgspec
import numpy as np
import pytest

from streamgru.formats.onnx.curves import curve
from streamgru.model.functions import PARAMETERS, Curve
from tests.formats import onnx_bytes as o
from tests.formats.onnx_support import close, found
from tests.oracle import gru_numpy, program_numpy

pytest.importorskip("onnxruntime", reason="needs onnxruntime")
from tests.formats.test_onnx_operators import whole
from tests.formats.test_onnx_runtime import X, gru_file, run

N = o.node
# Written from their definitions, of alpha and beta
CURVES = {
    "hard_sigmoid": lambda x, a, b: np.clip(a * x + b, 0, 1),
    "leaky_relu": lambda x, a, b: np.where(x < 0, a * x, x),
    "thresholded_relu": lambda x, a, b: np.where(x > a, x, 0),
    "elu": lambda x, a, b: np.where(x < 0, a * np.expm1(np.minimum(x, 0)), x),
    "selu": lambda x, a, b: 1.0507009873554805 * np.where(x < 0, 1.6732632423543772 * np.expm1(np.minimum(x, 0)), x),
    "softsign": lambda x, a, b: x / (1 + np.abs(x)),
    "softplus": lambda x, a, b: np.logaddexp(0, x),
    "scaled_tanh": lambda x, a, b: a * np.tanh(b * x),
    "affine": lambda x, a, b: a * x + b,
    "clip": lambda x, a, b: np.clip(x, a, b),
    "gelu": lambda x, a, b: x * (1 + np.vectorize(erf)(x / np.sqrt(2))) / 2,
    "gelu_tanh": lambda x, a, b: x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2,
    "exp": lambda x, a, b: np.exp(x),
    "log": lambda x, a, b: np.log(x),
    "sqrt": lambda x, a, b: np.sqrt(x),
    "abs": lambda x, a, b: np.abs(x),
}


def function_of(told):
    """A function of the float64 reference, for what a spec tells."""
    told = {"function": told} if isinstance(told, str) else told
    name = told["function"]
    if name not in CURVES:
        return gru_numpy.FUNCTIONS[name]
    defaults = (*PARAMETERS.get(name, ()), 0.0, 0.0)
    alpha, beta = (told.get(key, default) for key, default in zip(("alpha", "beta"), defaults, strict=False))
    return lambda x: CURVES[name](x, alpha, beta)


def answers(data, batch, monkeypatch):
    spec, tensors, _ = found(data)
    program = msgspec.to_builtins(spec.main)
    functions = dict(gru_numpy.FUNCTIONS)
    for layer in program["layers"]:
        for key in ("gate", "candidate", "function"):
            if key in layer:
                functions[repr(layer[key])] = function_of(layer[key])
                layer[key] = repr(layer[key])
    monkeypatch.setattr(gru_numpy, "FUNCTIONS", functions)
    monkeypatch.setattr(program_numpy.ref, "FUNCTIONS", functions | {"linear": lambda x: x})
    return np.array([program_numpy.evaluate(program, tensors, x) for x in batch])


ONE = {"low": np.float32(-0.3), "high": np.float32(0.4), "slope": np.float32(0.2), "half": np.float32(0.5)}
OPERATORS = {
    "leaky relu": [N("LeakyRelu", "x", "y")],
    "leaky relu of its own": [N("LeakyRelu", "x", "y", alpha=0.3)],
    "prelu": [N("PRelu", "x slope", "y")],
    "elu": [N("Elu", "x", "y", alpha=0.7)],
    "selu": [N("Selu", "x", "y")],
    "thresholded relu": [N("ThresholdedRelu", "x", "y", alpha=0.2)],
    "hard sigmoid": [N("HardSigmoid", "x", "y", alpha=0.3, beta=0.4)],
    "softplus": [N("Softplus", "x", "y")],
    "softsign": [N("Softsign", "x", "y")],
    "clip": [N("Clip", "x low high", "y")],
    "clip from below": [N("Clip", "x low", "y")],
    "clip from above": [N("Clip", "x - high", "y")],
    "gelu": [N("Gelu", "x", "y")],
    "gelu by tanh": [N("Gelu", "x", "y", approximate="tanh")],
    "exp, log": [N("Exp", "x", "e"), N("Log", "e", "y")],
    "abs, sqrt": [N("Abs", "x", "e"), N("Sqrt", "e", "y")],
    "root": [N("Abs", "x", "e"), N("Pow", "e half", "y")],
    "log softmax": [N("LogSoftmax", "x", "y")],
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name, monkeypatch):
    data, expected = whole(OPERATORS[name], ONE, [o.port("x", ["b", "t", 3])], {"x": X})
    close(answers(data, X, monkeypatch), expected)


GRUS = [
    (["Softsign", "LeakyRelu"], [0.2], []),
    (["Sigmoid", "LeakyRelu"], [], []),
    (["HardSigmoid", "ScaledTanh"], [0.3, 0.7], [0.4, 0.9]),
    (["Affine", "Affine"], [0.3, 0.2], [0.5, 0.1]),
    (["Sigmoid", "Elu"], [0.6], []),
    (["Sigmoid", "ThresholdedRelu"], [0.1], []),
    (["Softsign", "Softplus"], [], []),
    (["Sigmoid", "Softsign"], [], []),
]


@pytest.mark.parametrize("functions, alphas, betas", GRUS)
@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_grus(functions, alphas, betas, after, direction, monkeypatch):
    """In both directions the lists hold the values of the second behind those of the first."""
    n_directions = 2 if direction == "bidirectional" else 1
    values = {"activation_alpha": alphas * n_directions, "activation_beta": betas * n_directions}
    data, _ = gru_file(n_directions=n_directions, direction=direction, linear_before_reset=after,
                       activations=functions * n_directions, **{k: v for k, v in values.items() if v})  # fmt: skip
    expected = run(data, {"X": X.swapaxes(0, 1)})[0].transpose(2, 0, 1, 3).reshape(2, 5, -1)
    scale = np.maximum(1, np.abs(expected))  # some of these functions have no bounds
    close(answers(data, X, monkeypatch) / scale, expected / scale)


def test_what_is_the_default_stays_a_plain_name():
    assert curve("leaky_relu", float(np.float32(0.01))) == "leaky_relu"
    assert curve("hard_sigmoid", float(np.float32(1 / 6)), 0.5) == "hard_sigmoid_keras3"
    assert curve("hard_sigmoid") == curve("hard_sigmoid", 0.2) == "hard_sigmoid"
    assert curve("elu", 0.5) == Curve(function="elu", alpha=0.5)
    assert curve("clip", 0.0, None) == "relu"
