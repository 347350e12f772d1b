"""What the tests of ONNX have in common: a file read, checked, and evaluated by the float64 reference."""

import msgspec
import numpy as np

from streamgru.formats.onnx.read import find
from streamgru.model.spec import checked
from streamgru.stream.model import Model
from tests.oracle import program_numpy


def found(data):
    """Spec, tensors and findings of a file; the spec is one that would be read again."""
    spec, tensors, findings = find(data, "file")
    checked(spec)
    return spec, tensors, findings


def answer(data, x, starts=None):
    """What the network in a file answers to x (n_steps, n_in), in float64, of reference and engine."""
    spec, tensors, _ = found(data)
    expected = program_numpy.evaluate(msgspec.to_builtins(spec.main), tensors, x, starts)
    model = Model(spec, tensors, dtype="float64")
    if model.streams or not starts:  # whole sequences begin at zero, or at what was learned
        y = by_engine(model, np.asarray(x), starts)
        close(y[-len(expected) :], expected, 1e-10)  # what answers once does so at the last step
    return expected


def by_engine(model, x, starts):
    """As a whole sequence, and step by step: the answers that are due by its end are the same."""
    whole = None if starts else model.run(x[None])[0]
    if not model.streams:
        return whole
    stream = model.stream()
    stream.state = dict(starts or {})
    stepped = [y for y in map(stream.step, x) if y is not None]
    if whole is None:
        return np.array(stepped)
    np.testing.assert_array_equal(stepped, whole[: len(stepped)])
    return whole


def answers(data, batch, starts=None):
    """The same for several sequences; *starts* has a row for each."""
    return np.array([answer(data, x, {k: v[i] for k, v in (starts or {}).items()}) for i, x in enumerate(batch)])


def close(actual, expected, tolerance=1e-5):
    assert np.shape(actual) == np.shape(expected)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def layers(spec):
    """The kinds of its layers."""
    return [type(layer).__struct_config__.tag for layer in spec.main.layers]
