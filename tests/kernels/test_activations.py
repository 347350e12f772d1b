"""Every activation against the math module, number by number."""

import math

import numpy as np
import pytest

from streamgru.kernels import _probe
from tests.networks import DTYPES, bits, uniform

RTOL = {"float32": 1e-6, "float64": 1e-12}
ATOL = {"float32": 1e-37, "float64": 1e-307}  # below the smallest normal number, digits get lost

SLOPES = {"hard_sigmoid": (0.2, 0.5), "hard_sigmoid_keras3": (1 / 6, 0.5)}


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def hard(slope, offset):
    return lambda x: min(max(slope * x + offset, 0.0), 1.0)


REFERENCE = {
    "linear": lambda x: x,
    "sigmoid": sigmoid,
    "tanh": math.tanh,
    "relu": lambda x: max(x, 0.0),
    **{name: hard(*slope) for name, slope in SLOPES.items()},
}


def inputs(dtype):
    largest = np.finfo(dtype).max
    edges = [0.0, 1e-30, 1e-7, 0.5, 2.5, 3.0, 17.5, 88.0, 89.0, 104.0, 709.0, 745.0, 1e9, largest, np.inf]
    return np.array([*np.linspace(-20, 20, 801), *edges, *(-x for x in edges)], dtype)


def activated(name, x):
    y = x.copy()
    kind = "hard_sigmoid" if name in SLOPES else name
    _probe.probe_activate(kind, y, *SLOPES.get(name, (0.0, 0.0)))
    return y


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REFERENCE)
def test_activation(name, dtype):
    x = inputs(dtype)
    expected = [REFERENCE[name](float(value)) for value in x]
    np.testing.assert_allclose(activated(name, x), expected, rtol=RTOL[dtype], atol=ATOL[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REFERENCE)
def test_activation_hands_nan_on(name, dtype):
    """It must reach the check of the new state, not turn into a number on the way."""
    assert np.isnan(activated(name, np.full(3, np.nan, dtype))).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sigmoid", "hard_sigmoid", "hard_sigmoid_keras3"])
def test_a_gate_stays_between_0_and_1(name, dtype):
    y = activated(name, inputs(dtype))
    assert (y >= 0).all() and (y <= 1).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_clip(dtype, rng):
    x = np.append(uniform(rng, 100, bound=3, dtype=dtype), np.array([np.inf, -np.inf, np.nan], dtype))
    y = x.copy()
    _probe.probe_clip(1.5, y)
    np.testing.assert_array_equal(y, np.clip(x, -1.5, 1.5))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_hid", [1, 7, 64, 257])
def test_blend_rounds_every_operation_once(n_hid, dtype, rng):
    """NumPy rounds after each operation: no fused multiply-add may have crept in."""
    z, n, h = (rng.standard_normal(n_hid).astype(dtype) for _ in range(3))
    y = np.empty_like(h)
    _probe.probe_blend(z, n, h, y)
    assert bits(y) == bits((1 - z) * n + z * h)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_first_nonfinite(value, dtype, rng):
    largest = np.finfo(dtype).max
    x = rng.standard_normal(37).astype(dtype)
    x[3], x[30] = largest, -largest
    assert _probe.probe_first_nonfinite(x) == -1
    for index in (36, 20, 0):
        x[index] = value
        assert _probe.probe_first_nonfinite(x) == index
