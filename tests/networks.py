"""Networks for the tests: random weights, and the specs and models around them."""

import numpy as np

from streamgru.model.spec import Gru, Input, Output, sequential
from streamgru.stream.model import Model

DTYPES = ("float32", "float64")
KERNELS = {"float32": ("packed", "blas"), "float64": ("blas",)}
VARIANTS = ("after", "before")
FUNCTIONS = ("linear", "sigmoid", "tanh", "hard_sigmoid", "hard_sigmoid_keras3", "relu")


def uniform(rng, *shape, bound=1.0, dtype="float32"):
    """Numbers that float32 and float64 both hold exactly, so that only the arithmetic can differ."""
    return rng.uniform(-bound, bound, shape).astype(np.float32).astype(dtype)


def gru_tensors(rng, name, n_in, n_hid, bound=None, h0=False, bias=True):
    """The tensors of one GRU layer, as wide as PyTorch initialises them."""
    bound = n_hid**-0.5 if bound is None else bound
    tensors = {
        f"{name}.weight_ih": uniform(rng, 3 * n_hid, n_in, bound=bound),
        f"{name}.weight_hh": uniform(rng, 3 * n_hid, n_hid, bound=bound),
    }
    if bias:
        tensors[f"{name}.bias_ih"] = uniform(rng, 3 * n_hid, bound=bound)
        tensors[f"{name}.bias_hh"] = uniform(rng, 3 * n_hid, bound=bound)
    if h0:
        tensors[f"{name}.h0"] = uniform(rng, n_hid)
    return tensors


def of_layer(layer, name):
    """The tensors of one layer, by their names inside it: what the oracle takes."""
    return {key.removeprefix(f"{name}."): value for key, value in layer.items() if key.startswith(f"{name}.")}


def spec_of(*layers, n_in=3, inputs=None, outputs=()):
    """The spec of layers in a row over one input called x."""
    return sequential(*layers, inputs=inputs or (Input(name="x", size=n_in),), outputs=outputs)


def gru_model(rng, n_in=3, n_hid=5, dtype="float32", labels=None, **options):
    """A model of one GRU layer called gru; *options* go to the layer."""
    tensors = gru_tensors(rng, "gru", n_in, n_hid, h0=options.get("initial") == "learned")
    outputs = (Output(name="y", labels=labels),) if labels else ()
    return Model(spec_of(Gru(name="gru", n_hid=n_hid, **options), n_in=n_in, outputs=outputs), tensors, dtype=dtype)


def bits(array):
    """The bytes of an array: equal only where every bit is."""
    return np.ascontiguousarray(array).tobytes()
