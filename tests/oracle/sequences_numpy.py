"""The float64 reference of whole networks on whole sequences, layer after layer. Imports nothing of streamgru."""

import numpy as np

from tests.oracle import gru_numpy, layers_numpy, windows_numpy


def evaluate(layers, tensors, x, name="x"):
    """The output (n, n_out) of the last of *layers* for one input x (n_steps, n_in), called *name*.

    A layer is a dict with its kind, its name, its inputs and its parameters. Several inputs are taken sample
    by sample, as far as the shortest goes. There is no padding at the end of the sequence.
    """
    values, before = {name: np.asarray(x, np.float64)}, name
    for layer in layers:
        options = {key: value for key, value in layer.items() if key not in ("kind", "name", "inputs", "after")}
        given = [values[key] for key in layer["inputs"] or (before,)]
        length = min(map(len, given))
        own = {key.removeprefix(f"{layer['name']}."): value for key, value in tensors.items() if _is_of(key, layer)}
        values[layer["name"]] = KINDS[layer["kind"]](*(value[:length] for value in given), **own, **options)
        before = layer["name"]
    return values[before]


def _is_of(key, layer):
    return key.rpartition(".")[0] == layer["name"]


def _gru(x, n_hid, initial, direction, returns, **options):
    options = {key: value for key, value in options.items() if value is not None}
    return gru_numpy.gru(x, **options).reshape(-1, n_hid)


def _dense(x, weight, n_out, bias=0.0, function="linear"):
    return np.array([layers_numpy.dense(row, weight, bias, function) for row in x]).reshape(-1, n_out)


def _conv1d(x, weight, n_out, **options):
    return windows_numpy.conv1d(x, weight, **options)


KINDS = {
    "gru": _gru,
    "dense": _dense,
    "conv1d": _conv1d,
    "average_pool1d": windows_numpy.average,
    "max_pool1d": windows_numpy.largest,
    "activation": lambda x, function: gru_numpy.FUNCTIONS[function](x),
    "concat": lambda *parts: np.concatenate(parts, axis=1),
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
}
