"""A compiled program: its sizes, the conversion of its tensors, and what it refuses."""

import numpy as np
import pytest

from streamgru.errors import SpecError
from streamgru.model import spec as s
from streamgru.model.compile import fold_batchnorm
from streamgru.model.plan import Plan
from tests.networks import gru_tensors, uniform


def program(*layers, n_in=3):
    return s.Program(inputs=(s.Input(name="x", size=n_in),), layers=layers)


def test_sizes(rng):
    layers = (s.Gru(name="g", n_hid=5), s.Dense(name="d", n_out=2))
    tensors = gru_tensors(rng, "g", 3, 5) | {"d.weight": uniform(rng, 2, 5)}
    plan = Plan(program(*layers), tensors, "float64")
    assert (plan.n_in, plan.n_out, plan.itemsize, plan.dtype) == (3, 2, 8, np.float64)
    assert plan.n_macs == 15 * 3 + 15 * 5 + 2 * 5
    assert plan.state_bytes == plan.layout.n_state * 8
    assert plan.work_bytes == plan.layout.n_work * 8
    assert plan.inputs == {"x": 3}


@pytest.mark.parametrize("which", ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "h0"])
def test_a_tensor_too_large_for_float32(which, rng):
    layer = s.Gru(name="g", n_hid=2, initial="learned")
    tensors = gru_tensors(rng, "g", 3, 2, h0=True)
    tensors[f"g.{which}"] = np.full(tensors[f"g.{which}"].shape, 1e39)
    Plan(program(layer), tensors, "float64")
    with pytest.raises(SpecError, match=r"layer 'g': .*too large for float32"):
        Plan(program(layer), tensors, "float32")


def test_fold_batchnorm(rng):
    layer = s.BatchNorm(name="b", eps=1e-3)
    mean, weight, bias = (uniform(rng, 7) for _ in range(3))
    var = np.abs(uniform(rng, 7))
    x = uniform(rng, 7).astype(np.float64)
    folded = fold_batchnorm(layer, {"mean": mean, "var": var, "weight": weight, "bias": bias})
    expected = (x - mean) / np.sqrt(var.astype(np.float64) + 1e-3) * weight + bias
    np.testing.assert_allclose(x * folded["weight"] + folded["bias"], expected, rtol=1e-12, atol=1e-14)


def test_a_negative_variance_is_refused(rng):
    tensors = {"b.mean": np.zeros(3), "b.var": np.array([1.0, -1.0, 1.0])}
    with pytest.raises(SpecError, match=r"'b\.var'"):
        Plan(program(s.BatchNorm(name="b")), tensors, "float32")


@pytest.mark.parametrize(
    "turn",
    [np.asfortranarray, lambda a: a.astype(">f4"), lambda a: a.astype("f8"), lambda a: np.repeat(a, 2, 0)[::2]],
    ids=["fortran", "big-endian", "float64", "strided"],
)
def test_tensors_of_any_memory_layout(turn, rng):
    """They are converted once, and give the same bits."""
    from streamgru.stream.model import Model

    tensors = gru_tensors(rng, "g", 3, 4)
    spec = s.sequential(s.Gru(name="g", n_hid=4), inputs=(s.Input(name="x", size=3),))
    x = uniform(rng, 5, 3)
    turned = {name: turn(tensor) for name, tensor in tensors.items()}
    np.testing.assert_array_equal(Model(spec, turned).stream().run(x), Model(spec, tensors).stream().run(x))
