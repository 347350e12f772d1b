"""The functions beyond those of every GRU, in float64 NumPy; name -> (function, its parameters, if any)."""

import math

import numpy as np

erfc = np.vectorize(math.erfc, otypes=[float])

CURVES = {
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.3 * x), (0.3,)),
    "thresholded_relu": (lambda x: np.where(x > 0.5, x, 0), (0.5,)),
    "elu": (lambda x: np.where(x > 0, x, 0.7 * np.expm1(np.minimum(x, 0))), (0.7,)),
    "selu": (
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
        (),
    ),
    "softsign": (lambda x: x / (1 + np.abs(x)), ()),
    "softplus": (lambda x: np.logaddexp(x, 0), ()),
    "scaled_tanh": (lambda x: 1.5 * np.tanh(0.75 * x), (1.5, 0.75)),
    "affine": (lambda x: 0.5 * x - 0.25, (0.5, -0.25)),
    "hard_sigmoid": (lambda x: np.clip(0.3 * x + 0.4, 0, 1), (0.3, 0.4)),
    "clip": (lambda x: np.clip(x, -0.5, 6), (-0.5, 6.0)),
    "swish": (lambda x: x / (1 + np.exp(-x)), ()),
    "gelu": (lambda x: x * erfc(-x / math.sqrt(2)) / 2, ()),
    "gelu_tanh": (lambda x: x / (1 + np.exp(-2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), ()),
    "exp": (np.exp, ()),
    "log": (np.log, ()),
    "sqrt": (np.sqrt, ()),
    "abs": (np.abs, ()),
}
