"""Functions by name, and with parameters of their own."""

import numpy as np
import pytest

from streamgru.errors import SpecError
from streamgru.model import spec as s
from streamgru.model.functions import Curve, parameters
from streamgru.stream.model import Model


def test_a_name_alone_has_what_is_usual():
    assert parameters("leaky_relu") == ("leaky_relu", 0.01, 0.0)
    assert parameters("relu") == ("relu", 0.0, 0.0)
    assert parameters(Curve(function="hard_sigmoid", beta=0.6)) == ("hard_sigmoid", 0.2, 0.6)


@pytest.mark.parametrize(
    "curve, words",
    [
        (Curve(function="relu", alpha=1.0), "relu.*no alpha"),
        (Curve(function="elu", beta=1.0), "elu.*no beta"),
        (Curve(function="clip", alpha=2.0, beta=1.0), "alpha <= beta"),
    ],
)
def test_parameters_that_make_no_sense(curve, words):
    with pytest.raises(SpecError, match=words):
        parameters(curve)
    spec = s.sequential(s.Activation(name="a", function=curve), inputs=(s.Input(name="x"),))
    with pytest.raises(SpecError):
        Model(spec, {})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e39])
def test_parameters_are_finite(value):
    for key in ("alpha", "beta"):
        with pytest.raises(SpecError, match=f"finite {key}"):
            Curve(function="affine", **{key: value})


def test_in_a_file():
    text = '{"programs": {"main": {"inputs": [{"name": "x"}], "layers": [{"kind": "activation", "name": "a", %s}]}}}'
    spec = s.from_json(text % '"function": {"function": "leaky_relu", "alpha": 0.25}')
    assert s.from_json(s.to_json(spec)) == spec
    np.testing.assert_array_equal(Model(spec, {}).stream().step([-1.0]), [-0.25])
    assert str(spec.main.layers[0].function) == "leaky_relu alpha 0.25"
    shapes = '{"function": "leaky_relu", "gamma": 1}', '{"function": "elu", "alpha": 1e39}', '{"function": "magic"}'
    for wrong in (*shapes, '"magic"', "5"):
        with pytest.raises(SpecError):
            s.from_json(text % f'"function": {wrong}')
