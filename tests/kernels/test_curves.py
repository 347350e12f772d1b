"""The rarer functions against NumPy in float64, at all sizes of their argument, and at the ends."""

import numpy as np
import pytest

from streamgru.kernels import _probe
from streamgru.model.compile import FUNCTIONS
from streamgru.model.functions import Curve, Function
from streamgru.model.spec import Activation, Dense, Gru
from streamgru.stream.model import Model
from tests.networks import DTYPES, KERNELS, gru_tensors, spec_of, uniform
from tests.oracle.functions_numpy import CURVES
from tests.oracle.gru_numpy import FUNCTIONS as PLAIN
from tests.oracle.gru_numpy import gru

ULP = 8  # units in the last place of the result, or of a twentieth of x, where that is more
EDGES = {  # at minus infinity, and at infinity
    "leaky_relu": (-np.inf, np.inf), "thresholded_relu": (0, np.inf), "elu": (-0.7, np.inf),
    "selu": (-1.7580993408473766, np.inf), "softsign": (-1, 1), "softplus": (0, np.inf), "scaled_tanh": (-1.5, 1.5),
    "affine": (-np.inf, np.inf), "hard_sigmoid": (0, 1), "clip": (-0.5, 6), "swish": (0, np.inf), "gelu": (0, np.inf),
    "gelu_tanh": (0, np.inf), "exp": (0, np.inf), "log": (np.nan, np.inf), "sqrt": (np.nan, np.inf),
    "abs": (np.inf, np.inf),
}  # fmt: skip


def curved(name, x):
    y = x.copy()
    _probe.probe_activate(name, y, *CURVES[name][1])
    return y


def arguments(name, dtype, rng):
    x = np.concatenate([
        rng.uniform(-1, 1, 2000), rng.uniform(-8, 8, 2000), np.exp(rng.uniform(-60, 60, 1000)), [0.0, 88.5, 88.7],
    ])  # fmt: skip
    x = x if name in ("log", "sqrt") else np.concatenate([x, -x])
    return np.abs(x.astype(dtype)) + np.finfo(dtype).tiny if name in ("log", "sqrt") else x.astype(dtype)


def test_every_function_is_in_a_test():
    assert set(CURVES) | set(PLAIN) == set(Function.__args__) == set(FUNCTIONS)
    assert set(EDGES) == set(CURVES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CURVES)
def test_curve(name, dtype, rng):
    x = arguments(name, dtype, rng)
    with np.errstate(all="ignore"):
        expected = CURVES[name][0](x.astype(np.float64))
    fits = np.abs(expected) < np.finfo("float32").max
    with np.errstate(invalid="ignore"):
        got = curved(name, x).astype(np.float64)
    with np.errstate(over="ignore"):
        unit = np.spacing(np.maximum(np.abs(expected), np.abs(x) / 20).astype(dtype)).astype(np.float64)
    error = np.abs(got[fits] - expected[fits]) / np.maximum(unit[fits], np.finfo(dtype).tiny)
    assert error.max() < ULP, x[fits][error.argmax()]
    assert fits.mean() > 0.8


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CURVES)
def test_ends_and_nan(name, dtype):
    got = curved(name, np.array([-np.inf, np.inf, np.nan], dtype))
    np.testing.assert_allclose(got[:2], EDGES[name], rtol=1e-6)
    assert np.isnan(got[2])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", set(CURVES) - {"exp", "log", "sqrt"})
def test_in_a_network(name, dtype, rng):
    """As candidate, as what a dense layer applies, and as a layer."""
    function, given = CURVES[name]
    curve = Curve(function=name, **dict(zip(("alpha", "beta"), given, strict=False)))
    layers = (
        Gru(name="gru", n_hid=9, candidate=curve, clip=2.0),
        Dense(name="head", n_out=5, function=curve),
        Activation(name="y", function=curve),
    )
    tensors = gru_tensors(rng, "gru", 3, 9) | {"head.weight": uniform(rng, 5, 9)}
    x = uniform(rng, 20, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PLAIN, name, function)
        own = {key.removeprefix("gru."): value for key, value in tensors.items() if key.startswith("gru.")}
        h = gru(x, **own, candidate=name, clip=2.0)
    expected = function(function(h @ tensors["head.weight"].astype(np.float64).T))
    for kernel in KERNELS[dtype]:
        got = Model(spec_of(*layers, n_in=3), tensors, dtype=dtype, kernel=kernel).stream().run(x)
        np.testing.assert_allclose(got, expected, rtol=0, atol=4e-6 if dtype == "float32" else 1e-12)
