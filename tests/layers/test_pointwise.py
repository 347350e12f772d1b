"""The layers that remember nothing, each against NumPy in float64."""

import numpy as np
import pytest

from streamgru.model import spec as s
from streamgru.stream.model import Model
from tests.networks import DTYPES, FUNCTIONS, KERNELS, spec_of, uniform
from tests.oracle import layers_numpy as oracle

RTOL = {"float32": 1e-6, "float64": 1e-12}
SIZES = (1, 3, 17, 256)


def check(expected, x, dtype, *layers, inputs=None, **tensors):
    """The last of *layers* answers *expected* to x, within RTOL of the largest number in it."""
    tensors = {f"layer.{key}": value for key, value in tensors.items()}
    for kernel in KERNELS[dtype]:
        model = Model(spec_of(*layers, n_in=len(x), inputs=inputs), tensors, dtype=dtype, kernel=kernel)
        got = model.stream().step(x)
        assert got.dtype == dtype and got.shape == np.shape(expected)
        np.testing.assert_allclose(got, expected, rtol=0, atol=RTOL[dtype] * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_in", SIZES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_dense(function, n_in, dtype, rng):
    weight, bias, x = uniform(rng, 5, n_in, bound=n_in**-0.5), uniform(rng, 5), uniform(rng, n_in)
    layer = s.Dense(name="layer", n_out=5, function=function)
    check(oracle.dense(x, weight, bias, function), x, dtype, layer, weight=weight, bias=bias)
    check(oracle.dense(x, weight, 0.0, function), x, dtype, layer, weight=weight)


@pytest.mark.parametrize("dtype", DTYPES)
def test_embedding(dtype, rng):
    weight = uniform(rng, 300, 7)
    model = Model(
        spec_of(s.Embedding(name="layer", n_out=7), inputs=(s.Input(name="word", kind="token", vocab=300),)),
        {"layer.weight": weight},
        dtype=dtype,
    )
    stream = model.stream()
    for token in (0, 1, 150, 299):
        np.testing.assert_array_equal(stream.step([token]), weight[token])


@pytest.mark.parametrize("dtype", DTYPES)
def test_embedding_beside_floats(dtype, rng):
    """A token that is not the first number of x, and is found by its name."""
    weight, x = uniform(rng, 9, 4), uniform(rng, 3)
    inputs = (s.Input(name="x", size=3), s.Input(name="word", kind="token", vocab=9))
    layers = (s.Embedding(name="e", n_out=4, inputs=("word",)), s.Concat(name="both", inputs=("e", "x")))
    model = Model(spec_of(*layers, inputs=inputs), {"e.weight": weight}, dtype=dtype)
    expected = np.concatenate([weight[8], x])
    np.testing.assert_array_equal(model.stream().step([*x, 8]), expected)
    np.testing.assert_array_equal(model.stream().step({"word": 8, "x": x}), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_scale(n, dtype, rng):
    x, weight, bias = uniform(rng, n), uniform(rng, n), uniform(rng, n)
    layer = s.Scale(name="layer")
    check(oracle.wide(x) * weight + bias, x, dtype, layer, weight=weight, bias=bias)
    check(oracle.wide(x) * weight, x, dtype, layer, weight=weight)
    check(oracle.wide(x) + bias, x, dtype, layer, bias=bias)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_batchnorm(n, dtype, rng):
    x, mean, weight, bias = (uniform(rng, n) for _ in range(4))
    var = np.abs(uniform(rng, n)) + 0.25
    layer = s.BatchNorm(name="layer", eps=1e-3)
    full = oracle.batchnorm(x, mean, var, weight, bias, 1e-3)
    check(full, x, dtype, layer, mean=mean, var=var, weight=weight, bias=bias)
    check(oracle.batchnorm(x, mean, var, eps=1e-3), x, dtype, layer, mean=mean, var=var)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_layernorm(n, dtype, rng):
    x, weight, bias = uniform(rng, n), uniform(rng, n), uniform(rng, n)
    layer = s.LayerNorm(name="layer", eps=1e-3)
    check(oracle.layernorm(x, weight, bias, 1e-3), x, dtype, layer, weight=weight, bias=bias)
    check(oracle.layernorm(x, eps=1e-3), x, dtype, layer)


@pytest.mark.parametrize("dtype", DTYPES)
def test_layernorm_far_from_zero(dtype, rng):
    """The variance is taken around the mean, not as a difference of two large sums."""
    x = np.float32(1000) + uniform(rng, 64, bound=0.5)
    check(oracle.layernorm(x), x, dtype, s.LayerNorm(name="layer"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_activation(function, dtype, rng):
    x = uniform(rng, 33, bound=4)
    check(oracle.FUNCTIONS[function](oracle.wide(x)), x, dtype, s.Activation(name="layer", function=function))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_softmax(n, dtype, rng):
    x = uniform(rng, n, bound=5)
    check(oracle.softmax(oracle.wide(x)), x, dtype, s.Softmax(name="layer"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("bound", [5, 500])
def test_log_softmax(bound, n, dtype, rng):
    """Finite also far below the largest, where the softmax is 0."""
    x = uniform(rng, n, bound=bound)
    check(oracle.log_softmax(oracle.wide(x)), x, dtype, s.Softmax(name="layer", log=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_of_the_largest_numbers(dtype):
    largest = np.finfo("float32").max
    check(np.array([0.5, 0.0, 0.5]), np.array([largest, -largest, largest]), dtype, s.Softmax(name="layer"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("to, reference", [("length", oracle.unit_length), ("sum", oracle.unit_sum)])
def test_normalize(to, reference, n, dtype, rng):
    layer = s.Normalize(name="layer", to=to, eps=1e-3)
    for x in (uniform(rng, n), np.zeros(n), uniform(rng, n, bound=1e-5)):
        check(reference(x, 1e-3), x, dtype, layer)


@pytest.mark.parametrize("dtype", DTYPES)
def test_concat_slice_add_mul(dtype, rng):
    x = uniform(rng, 6)
    wide = oracle.wide(x)
    front, back = (
        s.Slice(name="front", inputs=("x",), start=0, stop=3),
        s.Slice(name="back", inputs=("x",), start=3, stop=6),
    )
    pair = ("front", "back")
    check(wide[2:5], x, dtype, s.Slice(name="layer", start=2, stop=5))
    check(wide[:3] + wide[3:], x, dtype, front, back, s.Add(name="layer", inputs=pair))
    check(wide[:3] * wide[3:], x, dtype, front, back, s.Mul(name="layer", inputs=pair))
    swapped = np.concatenate([wide[3:], wide, wide[:3]])
    check(swapped, x, dtype, front, back, s.Concat(name="layer", inputs=("back", "x", "front")))
    check(wide[3:] * 2, x, dtype, back, s.Add(name="layer", inputs=("back", "back")))
