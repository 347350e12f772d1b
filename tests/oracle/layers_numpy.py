"""The float64 reference of the layers that remember nothing, in NumPy. Imports nothing of streamgru."""

import numpy as np

from tests.oracle.gru_numpy import FUNCTIONS, log_softmax, softmax


def wide(x):
    """*x* in float64."""
    return np.asarray(x, np.float64)


def dense(x, weight, bias=0.0, function="linear"):
    """``function(W x + b)``."""
    return FUNCTIONS[function](wide(weight) @ wide(x) + wide(bias))


def layernorm(x, weight=1.0, bias=0.0, eps=1e-5):
    """Mean 0 and variance 1, then scaled and shifted."""
    x = wide(x)
    return (x - x.mean()) / np.sqrt(x.var() + eps) * wide(weight) + wide(bias)


def batchnorm(x, mean, var, weight=1.0, bias=0.0, eps=1e-5):
    """With the statistics of the training."""
    return (wide(x) - wide(mean)) / np.sqrt(wide(var) + eps) * wide(weight) + wide(bias)


def unit_length(x, eps):
    """Divided by the Euclidean norm."""
    return wide(x) / np.sqrt(max((wide(x) ** 2).sum(), eps))


def unit_sum(x, eps):
    """Divided by the sum of the magnitudes."""
    return wide(x) / max(np.abs(wide(x)).sum(), eps)


__all__ = ["FUNCTIONS", "batchnorm", "dense", "layernorm", "log_softmax", "softmax", "unit_length", "unit_sum", "wide"]
