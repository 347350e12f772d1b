"""What the tests of ONNX have in common: a file read, checked, and evaluated by the float64 reference."""

import msgspec
import numpy as np

from streamgru.formats.onnx.read import find
from streamgru.model.spec import checked
from tests.oracle import program_numpy


def found(data):
    """Spec, tensors and findings of a file; the spec is one that would be read again."""
    spec, tensors, findings = find(data, "file")
    checked(spec)
    return spec, tensors, findings


def answer(data, x, starts=None):
    """What the network in a file answers to x (n_steps, n_in), in float64."""
    spec, tensors, _ = found(data)
    return program_numpy.evaluate(msgspec.to_builtins(spec.main), tensors, x, starts)


def answers(data, batch, starts=None):
    """The same for several sequences; *starts* has a row for each."""
    return np.array([answer(data, x, {k: v[i] for k, v in (starts or {}).items()}) for i, x in enumerate(batch)])


def close(actual, expected, tolerance=1e-5):
    assert np.shape(actual) == np.shape(expected)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def layers(spec):
    """The kinds of its layers."""
    return [type(layer).__struct_config__.tag for layer in spec.main.layers]
