"""Convolutions and pools over time, step by step, against whole sequences in NumPy in float64."""

import itertools

import numpy as np
import pytest

from streamgru.model import spec as s
from streamgru.stream.model import Model
from tests.networks import DTYPES, FUNCTIONS, KERNELS, bits, spec_of, uniform
from tests.oracle import windows_numpy as oracle

RTOL = {"float32": 1e-6, "float64": 1e-12}
N_STEPS, N_IN = 23, 3


def check(expected, x, dtype, layer, **tensors):
    """A stream of one layer answers *expected*, step by step and in a block, at the steps at which it should."""
    tensors = {f"layer.{key}": value for key, value in tensors.items()}
    reach = (layer.size - 1) * getattr(layer, "dilation", 1)
    for kernel in KERNELS[dtype]:
        model = Model(spec_of(layer, n_in=x.shape[1]), tensors, dtype=dtype, kernel=kernel)
        assert (model.stride, model.delay) == (layer.stride, reach - layer.before)
        stream = model.stream()
        answers = {step: y for step, row in enumerate(x) if (y := stream.step(row)) is not None}
        assert list(answers) == list(range(reach - layer.before, len(x), layer.stride))
        got = np.array(list(answers.values()))
        assert got.dtype == dtype and got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=0, atol=RTOL[dtype] * max(1.0, np.abs(expected).max()))
        assert bits(model.stream().run(x)) == bits(got)


def places(size, dilation=1):
    """Every number of rows of padding before that the window has room for."""
    return range((size - 1) * dilation + 1)


CONVOLUTIONS = [
    (size, stride, dilation, before)
    for size, stride, dilation in itertools.product((1, 2, 5), (1, 2, 3), (1, 3))
    for before in places(size, dilation)
    if dilation == 1 or before in (0, 1, (size - 1) * dilation // 2, (size - 1) * dilation)
]
POOLS = [
    (size, stride, before) for size, stride in itertools.product((1, 2, 5), (1, 2, 3, 7)) for before in places(size)
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size, stride, dilation, before", CONVOLUTIONS)
def test_conv1d(size, stride, dilation, before, dtype, rng):
    x, weight, bias = uniform(rng, N_STEPS, N_IN), uniform(rng, 5, size * N_IN, bound=0.5), uniform(rng, 5)
    where = {"size": size, "stride": stride, "dilation": dilation, "before": before}
    layer = s.Conv1d(name="layer", n_out=5, **where)
    check(oracle.conv1d(x, weight, bias, **where), x, dtype, layer, weight=weight, bias=bias)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_follows_the_convolution(function, dtype, rng):
    """Its function, and no bias."""
    x, weight = uniform(rng, N_STEPS, 17), uniform(rng, 20, 3 * 17, bound=0.25)
    layer = s.Conv1d(name="layer", n_out=20, size=3, before=2, function=function)
    check(oracle.conv1d(x, weight, 0.0, function, size=3, before=2), x, dtype, layer, weight=weight)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("padding", ["counted", "left_out"])
@pytest.mark.parametrize("size, stride, before", POOLS)
def test_average_pool(size, stride, before, padding, dtype, rng):
    x, where = uniform(rng, N_STEPS, N_IN), {"size": size, "stride": stride, "before": before}
    layer = s.AveragePool1d(name="layer", padding=padding, **where)
    check(oracle.average(x, padding=padding, **where), x, dtype, layer)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size, stride, before", POOLS)
def test_max_pool(size, stride, before, dtype, rng):
    """Of numbers that are all below the zeros of other paddings."""
    x, where = uniform(rng, N_STEPS, N_IN) - np.float32(2), {"size": size, "stride": stride, "before": before}
    check(oracle.largest(x, **where), x, dtype, s.MaxPool1d(name="layer", **where))


def test_the_largest_of_the_lowest():
    """Padding is as low as a number can be, and no lower."""
    lowest = np.finfo(np.float32).min
    x = np.array([[lowest], [lowest], [1.0]], np.float32)
    model = Model(spec_of(s.MaxPool1d(name="layer", size=2, before=1), n_in=1), {})
    np.testing.assert_array_equal(model.stream().run(x), [[lowest], [lowest], [1.0]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_average_does_not_overflow_before_it_is_divided(dtype):
    top = np.finfo(np.float32).max
    model = Model(spec_of(s.AveragePool1d(name="layer", size=3), n_in=1), {}, dtype=dtype)
    np.testing.assert_allclose(model.stream().run(np.full((3, 1), top)), [[top]], rtol=1e-6)
