"""A program over a whole sequence, in float64 NumPy, from the spec as plain data. Imports nothing of streamgru."""

import math
from functools import partial

import numpy as np

from tests.oracle import gru_numpy
from tests.oracle.gru_numpy import log_softmax, softmax
from tests.oracle.layers_numpy import layernorm, unit_length


def run(program, tensors, inputs):
    """*program* is a dict as in the JSON of a spec, *inputs* name -> (n_steps, size), tokens (n_steps,)."""
    values = {
        name: np.asarray(x, None if np.asarray(x).dtype.kind in "iu" else np.float64) for name, x in inputs.items()
    }
    before = [item["name"] for item in program["inputs"]]
    for layer in program["layers"]:
        own = {name.rpartition(".")[2]: np.asarray(array, np.float64) for name, array in tensors.items()
               if name.rpartition(".")[0] == layer["name"]}  # fmt: skip
        xs = [values[name] for name in layer.get("inputs") or before]
        values[layer["name"]] = LAYERS[layer["kind"]](layer, own, *xs)
        before = [layer["name"]]
    return values[before[0]]


def function(x, given):
    """A name, or a table with alpha and beta."""
    name, alpha, beta = (given, None, None) if isinstance(given, str) else map(given.get, ("function", "alpha", "beta"))
    if name in gru_numpy.FUNCTIONS:
        return gru_numpy.FUNCTIONS[name](x)
    return CURVES[name](x, alpha, beta)


CURVES = {
    "leaky_relu": lambda x, a, b: np.where(x < 0, a * x, x),
    "thresholded_relu": lambda x, a, b: np.where(x > a, x, 0),
    "elu": lambda x, a, b: np.where(x < 0, a * np.expm1(x), x),
    "selu": lambda x, a, b: 1.0507009873554805 * np.where(x < 0, 1.6732632423543772 * np.expm1(x), x),
    "softsign": lambda x, a, b: x / (1 + np.abs(x)),
    "softplus": lambda x, a, b: np.log1p(np.exp(x)),
    "clip": lambda x, a, b: np.clip(x, a, b),
    "swish": lambda x, a, b: x / (1 + np.exp(-x)),
    "gelu": lambda x, a, b: x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "exp": lambda x, a, b: np.exp(x),
}


def gru(layer, own, x):
    backwards = layer.get("direction") == "reverse"
    functions = {key: partial(function, given=layer[key]) for key in ("gate", "candidate") if key in layer}
    h = gru_numpy.gru(x[::-1] if backwards else x, **own, variant=layer.get("variant", "after"), **functions)
    if layer.get("returns") == "last":
        return h[-1:]
    return h[::-1] if backwards else h


def windows(layer, x, fill):
    """(n_steps out, size, n_in): what each window sees."""
    size, stride, dilation = layer["size"], layer.get("stride", 1), layer.get("dilation", 1)
    padded = np.pad(x, ((layer.get("before", 0), layer.get("after", 0)), (0, 0)), constant_values=fill)
    starts = range(0, len(padded) - (size - 1) * dilation, stride)
    return np.stack([padded[t : t + (size - 1) * dilation + 1 : dilation] for t in starts])


def conv1d(layer, own, x):
    seen = windows(layer, x, 0.0)
    y = seen.reshape(len(seen), -1) @ own["weight"].T + own.get("bias", 0.0)
    return function(y, layer.get("function", "linear"))


def average(layer, own, x):
    seen = windows(layer, x, 0.0 if layer.get("padding") == "counted" else np.nan)
    return np.nanmean(seen, axis=1)


LAYERS = {
    "gru": gru,
    "conv1d": conv1d,
    "average_pool1d": average,
    "max_pool1d": lambda layer, own, x: windows(layer, x, -np.inf).max(1),
    "dense": lambda layer, own, x: function(
        x @ own["weight"].T + own.get("bias", 0.0), layer.get("function", "linear")
    ),
    "embedding": lambda layer, own, x: own["weight"][x],
    "scale": lambda layer, own, x: x * own.get("weight", 1.0) + own.get("bias", 0.0),
    "batchnorm": lambda layer, own, x: (
        (x - own["mean"]) / np.sqrt(own["var"] + layer.get("eps", 1e-5)) * own.get("weight", 1.0) + own.get("bias", 0.0)
    ),
    "layernorm": lambda layer, own, x: np.stack([layernorm(row, **own, eps=layer.get("eps", 1e-5)) for row in x]),
    "activation": lambda layer, own, x: function(x, layer["function"]),
    "softmax": lambda layer, own, x: log_softmax(x) if layer.get("log") else softmax(x),
    "normalize": lambda layer, own, x: np.stack([unit_length(row, layer.get("eps", 1e-12)) for row in x]),
    "concat": lambda layer, own, *xs: np.concatenate(xs, axis=1),
    "add": lambda layer, own, a, b: a + b,
    "mul": lambda layer, own, a, b: a * b,
    "div": lambda layer, own, a, b: a / b,
}
