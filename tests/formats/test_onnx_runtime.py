"""Against onnxruntime and onnx's own reference: a grid over the attributes of GRU, and the operators around it.

onnxruntime has no layout=1, and the reference knows neither clip nor activations nor lengths: each is asked what it
knows.
"""

import itertools

import numpy as np
import pytest

from streamgru.errors import UnsupportedError
from tests.formats import onnx_bytes as o
from tests.formats.onnx_support import answer, answers, close, found

runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")

N_STREAMS, N_STEPS, N_IN, N_HID = 2, 5, 3, 4
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N_STREAMS, N_STEPS, N_IN)).astype(np.float32)


def run(data, feeds):
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, feeds)


def gru_file(output="Y", start=None, lengths=False, n_directions=1, opset=22, bias=True, shape=None, **attributes):
    layout = attributes.get("layout", 0)
    constants = o.gru_weights(N_IN, N_HID, n_directions)
    h0 = np.linspace(-0.5, 0.5, n_directions * N_HID, dtype=np.float32).reshape(n_directions, 1, N_HID)
    h0 = np.repeat(h0, N_STREAMS, 1)
    h0 = h0.swapaxes(0, 1) if layout else h0
    shape = shape or (["b", "t", N_IN] if layout else ["t", "b", N_IN])
    inputs = [o.port("X", shape)]
    if not bias:
        del constants["B"]
    if lengths:
        inputs.append(o.port("S", ["b"], "int32"))
    if start == "constant":
        constants["H0"] = h0
    elif start == "input":
        inputs.append(o.port("H0", list(h0.shape)))
    names = ["X", "W", "R", "B" if bias else "-", "S" if lengths else "-", "H0" if start else "-"]
    outs = [output, "-"] if output == "Y" else ["-", output]
    node = o.node("GRU", names, outs, "rnn", hidden_size=N_HID, **attributes)
    return o.model([node], inputs, [o.field(1, output)], constants, opset), h0


def expected_rows(array, output, layout):
    """(streams, steps, features), a single step for Y_h."""
    if output == "Y":
        array = array if layout else array.transpose(2, 0, 1, 3)
        return array.reshape(*array.shape[:2], -1)
    array = array if layout else array.swapaxes(0, 1)
    return array.reshape(len(array), 1, -1)


def starts_of(data, h0, layout):
    spec, _, _ = found(data)
    names = [layer.name for layer in spec.main.layers if type(layer).__name__ == "Gru"]
    return {name: (h0[:, k] if layout else h0[k]) for k, name in enumerate(names)}


FUNCTIONS = [
    {},
    {"activations": ["Sigmoid", "Tanh"]},
    {"activations": ["HardSigmoid", "Relu"]},
    {"activations": ["Tanh", "Sigmoid"]},
    {"activations": ["HardSigmoid", "Tanh"], "activation_alpha": [1 / 6], "activation_beta": [0.5]},
]
GRID = list(
    itertools.product(
        ["forward", "reverse", "bidirectional"],
        [0, 1],
        [None, "constant", "input"],
        [None, 0.3],
        FUNCTIONS,
        ["Y", "Y_h"],
    )
)


@pytest.mark.parametrize("direction, after, start, clip, functions, output", GRID)
def test_gru_against_onnxruntime(direction, after, start, clip, functions, output):
    n_directions = 2 if direction == "bidirectional" else 1
    more = {k: v * n_directions for k, v in functions.items()} | ({} if clip is None else {"clip": clip})
    data, h0 = gru_file(
        output, start, n_directions=n_directions, direction=direction, linear_before_reset=after, **more
    )
    feeds = {"X": X.swapaxes(0, 1)} | ({"H0": h0} if start == "input" else {})
    y = answers(data, X, starts_of(data, h0, 0) if start == "input" else None)
    close(y, expected_rows(run(data, feeds)[0], output, 0))


@pytest.mark.parametrize("opset", [1, 3, 7, 14, 22])
@pytest.mark.parametrize("bias", [True, False])
def test_gru_of_every_opset(opset, bias):
    after = {} if opset == 1 else {"linear_before_reset": 1}
    data, _ = gru_file(opset=opset, bias=bias, **after)
    spec, _, _ = found(data)
    assert spec.main.layers[0].variant == ("after" if after else "before")
    if opset >= 7:  # older ones onnxruntime no longer takes
        close(answers(data, X), expected_rows(run(data, {"X": X.swapaxes(0, 1)})[0], "Y", 0))


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("output", ["Y", "Y_h"])
@pytest.mark.parametrize("after", [0, 1])
def test_sequences_of_several_lengths(direction, output, after):
    data, _ = gru_file(output, lengths=True, n_directions=2 if direction == "bidirectional" else 1,
                          direction=direction, linear_before_reset=after)  # fmt: skip
    lengths = np.array([5, 3], np.int32)
    expected = expected_rows(run(data, {"X": X.swapaxes(0, 1), "S": lengths})[0], output, 0)
    for x, length, rows in zip(X, lengths, expected, strict=True):
        y = answer(data, x[:length])
        close(y, rows[: len(y)])
    spec, _, findings = found(data)
    assert [item.name for item in spec.main.inputs] == ["X"]
    assert any("S tells how long the sequences are" in line for line in findings)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("start", [None, "constant", "input"])
@pytest.mark.parametrize("output", ["Y", "Y_h"])
def test_gru_against_the_reference_of_onnx(direction, layout, after, start, output):
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    from onnx.reference import ReferenceEvaluator

    data, h0 = gru_file(output, start, n_directions=2 if direction == "bidirectional" else 1, layout=layout,
                           direction=direction, linear_before_reset=after)  # fmt: skip
    feeds = {"X": X if layout else X.swapaxes(0, 1)} | ({"H0": h0} if start == "input" else {})
    theirs = ReferenceEvaluator(onnx.load_from_string(data)).run(None, feeds)[0]
    y = answers(data, X, starts_of(data, h0, layout) if start == "input" else None)
    close(y, expected_rows(theirs, output, layout))


def test_lengths_that_are_constant():
    for lengths, fits in (([5, 5], True), ([5, 3], False)):
        constants = o.gru_weights(N_IN, N_HID) | {"S": np.array(lengths, np.int32)}
        node = o.node("GRU", "X W R B S", "Y", hidden_size=N_HID)
        data = o.model([node], [o.port("X", [5, 2, N_IN])], [o.port("Y", [5, 1, 2, N_HID])], constants)
        if fits:
            close(answers(data, X), expected_rows(run(data, {"X": X.swapaxes(0, 1)})[0], "Y", 0))
        else:
            with pytest.raises(UnsupportedError, match="sequence_lens are constant and shorter"):
                found(data)
