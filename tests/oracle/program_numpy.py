"""The float64 reference of a whole program over one whole sequence, in NumPy. Imports nothing of streamgru."""

import numpy as np

from tests.oracle import layers_numpy as ref
from tests.oracle.gru_numpy import gru


def evaluate(program, tensors, x, starts=None):
    """What a program answers to x (n_steps, n_in): (n_steps, n_out), or (1, n_out) where it answers once.

    *program* is plain data, as in JSON; *starts* gives states to begin with, by the names of the layers.
    """
    x, values, at = np.asarray(x, np.float64), {}, 0
    for item in program["inputs"]:
        values[item["name"]] = x[:, at : at + item.get("size", 1)]
        at += item.get("size", 1)
    for layer in program["layers"]:
        own = {key.rpartition(".")[2]: t for key, t in tensors.items() if key.rpartition(".")[0] == layer["name"]}
        inputs = [values[name] for name in layer["inputs"]]
        values[layer["name"]] = y = _layer(layer, own, *inputs, start=(starts or {}).get(layer["name"]))
    return y


def _layer(layer, own, *inputs, start):
    kind, x = layer["kind"], inputs[0]
    if kind == "gru":
        settings = {key: layer[key] for key in ("variant", "gate", "candidate", "clip") if layer.get(key) is not None}
        turn = -1 if layer.get("direction") == "reverse" else 1
        own = own | ({} if start is None else {"h0": start})
        h = gru(x[::turn], **own, **settings)
        return h[-1:] if layer.get("returns") == "last" else h[::turn]
    if kind in ("conv1d", "average_pool1d", "max_pool1d"):
        return _over_time(layer, own, x)
    function = ref.FUNCTIONS[layer.get("function", "linear")]
    plain = {
        "dense": lambda: np.array([ref.dense(row, **own) for row in x]),
        "embedding": lambda: ref.wide(own["weight"])[x[:, 0].astype(int)],
        "scale": lambda: x * own.get("weight", 1) + own.get("bias", 0),
        "batchnorm": lambda: ref.batchnorm(x, **own, eps=layer.get("eps", 1e-5)),
        "layernorm": lambda: np.array([ref.layernorm(row, **own, eps=layer.get("eps", 1e-5)) for row in x]),
        "activation": lambda: x,
        "softmax": lambda: ref.log_softmax(x) if layer.get("log") else ref.softmax(x),
        "concat": lambda: np.concatenate(inputs, axis=1),
        "slice": lambda: x[:, layer["start"] : layer["stop"]],
        "add": lambda: x + inputs[1],
        "mul": lambda: x * inputs[1],
        "div": lambda: x / inputs[1],
    }
    return function(plain[kind]())


def _over_time(layer, own, x):
    size, stride, dilation = layer["size"], layer.get("stride", 1), layer.get("dilation", 1)
    mean = layer["kind"] == "average_pool1d"
    empty = 0.0 if layer["kind"] == "conv1d" or (mean and layer.get("padding") == "counted") else np.nan
    edges = [np.full((layer.get(edge, 0), x.shape[1]), empty) for edge in ("before", "after")]
    padded = np.concatenate([edges[0], x, edges[1]])
    count = (len(padded) - (size - 1) * dilation - 1) // stride + 1
    windows = [padded[t * stride : t * stride + (size - 1) * dilation + 1 : dilation] for t in range(count)]
    if layer["kind"] == "conv1d":
        return np.array(
            [ref.dense(window.ravel(), **own, function=layer.get("function", "linear")) for window in windows]
        )
    return np.array([(np.nanmean if mean else np.nanmax)(window, axis=0) for window in windows])
