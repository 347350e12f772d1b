"""One GRU layer against the float64 oracle: every type, size, variant and activation."""

import numpy as np
import pytest

from streamgru.model.spec import Gru
from streamgru.stream.model import Model
from tests.networks import DTYPES, FUNCTIONS, KERNELS, VARIANTS, gru_tensors, of_layer, spec_of, uniform
from tests.oracle.gru_numpy import gru

RTOL = {"float32": 1e-6, "float64": 1e-12}  # of the largest state, at least of 1
N_STEPS = 25


def worst(expected, got):
    """The largest difference, in units of the largest state (at least of 1)."""
    return np.abs(expected - got).max() / max(1.0, np.abs(expected).max())


def compare(rng, n_in, n_hid, dtype, bound=None, bias=True, gain=1.0, **options):
    tensors = gru_tensors(rng, "gru", n_in, n_hid, bound, h0=options.get("initial") == "learned", bias=bias)
    x = uniform(rng, N_STEPS, n_in, bound=gain)
    spec = spec_of(Gru(name="gru", n_hid=n_hid, **options), n_in=n_in)
    options.pop("initial", None)
    expected = gru(x, **of_layer(tensors, "gru"), **options)
    for kernel in KERNELS[dtype]:
        got = Model(spec, tensors, dtype=dtype, kernel=kernel).stream().run(x)
        assert worst(expected, got) < RTOL[dtype], kernel
    return expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("n_in, n_hid", [(1, 1), (3, 1), (1, 3), (5, 17), (8, 32), (31, 33), (16, 64), (64, 256)])
def test_sizes(n_in, n_hid, variant, dtype, rng):
    compare(rng, n_in, n_hid, dtype, variant=variant)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("candidate", FUNCTIONS)
@pytest.mark.parametrize("gate", FUNCTIONS)
def test_functions(gate, candidate, variant, dtype, rng):
    """Weights that keep even an unbounded gate contracting."""
    compare(rng, 3, 9, dtype, bound=0.1, variant=variant, gate=gate, candidate=candidate)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_clip(variant, dtype, rng):
    """Inputs far beyond the clip, so that it decides."""
    free = {"variant": variant, "candidate": "linear"}
    clipped = compare(rng, 4, 12, dtype, bound=0.6, gain=8, clip=0.75, **free)
    assert np.abs(clipped).max() <= 0.75


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_learned_initial_state(variant, dtype, rng):
    compare(rng, 4, 11, dtype, variant=variant, initial="learned")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_no_bias(variant, dtype, rng):
    compare(rng, 4, 11, dtype, variant=variant, bias=False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_bias_alone(variant, rng):
    """Each is optional on its own, and the two are not the same thing where the reset acts after."""
    tensors = gru_tensors(rng, "gru", 3, 6)
    x = uniform(rng, N_STEPS, 3)
    for missing in ("bias_ih", "bias_hh"):
        some = {key: value for key, value in tensors.items() if not key.endswith(missing)}
        model = Model(spec_of(Gru(name="gru", n_hid=6, variant=variant)), some, dtype="float64")
        expected = gru(x, **of_layer(some, "gru"), variant=variant)
        assert worst(expected, model.stream().run(x)) < RTOL["float64"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_variants_differ(variant, rng):
    """Or the tests above could not tell one from the other."""
    tensors = of_layer(gru_tensors(rng, "gru", 3, 6), "gru")
    x = uniform(rng, N_STEPS, 3)
    assert worst(gru(x, **tensors, variant="after"), gru(x, **tensors, variant="before")) > 1e-3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_saturated_gates_stay_finite(variant, dtype, rng):
    """Products that overflow to infinity saturate the gates, they do not poison the state."""
    tensors = gru_tensors(rng, "gru", 1, 6, bound=1.0)
    tensors["gru.weight_ih"] = np.sign(tensors["gru.weight_ih"])
    model = Model(spec_of(Gru(name="gru", n_hid=6, variant=variant), n_in=1), tensors, dtype=dtype)
    stream = model.stream()
    largest = np.finfo(dtype).max
    for value in (largest, -largest, largest / 2, 0.0):
        y = stream.step(np.array([value], dtype))
        assert np.isfinite(y).all() and (np.abs(y) <= 1).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_error_of_a_long_run_is_flat(variant, dtype, rng):
    """10,000 steps of a contracting network: the last error is as small as the first ones."""
    tensors = gru_tensors(rng, "gru", 4, 16)
    x = uniform(rng, 10_000, 4)
    model = Model(spec_of(Gru(name="gru", n_hid=16, variant=variant), n_in=4), tensors, dtype=dtype)
    error = np.abs(gru(x, **of_layer(tensors, "gru"), variant=variant) - model.stream().run(x)).max(axis=1)
    assert error.max() < RTOL[dtype]
    assert error[-1000:].max() <= 2 * error[:1000].max()
