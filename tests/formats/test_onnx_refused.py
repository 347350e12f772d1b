"""What is not understood is refused, by the name of its node, and never passed over."""

import numpy as np
import pytest

from streamgru.errors import LoadError, UnsupportedError
from tests.formats import onnx_bytes as o
from tests.formats.onnx_support import found

RNG = np.random.default_rng(2)
N = o.node


def floats(*shape):
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


REFUSED = {
    "LSTM": ([N("LSTM", "x W W", "y", "rnn")], r"node 'rnn' \(LSTM\): this operator"),
    "another domain": ([N("Gelu", "x", "y", domain="com.microsoft")], "operator of com.microsoft"),
    "an attribute": ([N("Relu", "x", "y", surprise=1)], r"node 'y' \(Relu\): its attribute 'surprise'"),
    "an input": ([N("Relu", "x W", "y")], "its input 1 is not understood"),
    "an output": ([N("Dropout", "x", "z y")], "its output 1 is not understood"),
    "mean over time": ([N("ReduceMean", "x a", "y")], "reduces steps or streams"),
    "softmax over time": ([N("Softmax", "x", "y", axis=1)], "its axis 1 is not that of all features"),
    "attention": ([N("Transpose", "x", "t", perm=[0, 2, 1]), N("MatMul", "x t", "y")], "multiplies two values"),
    "reflected": ([N("Pad", "x p", "y", mode="reflect")], "attribute 'mode' is 'reflect'"),
    "padding nobody takes": ([N("Pad", "x p", "q"), N("Relu", "q", "y")], "zeros were padded"),
    "an early step": ([N("Gather", "x i", "y", axis=1)], "it drops 0 steps at the start"),
    "mixed axes": ([N("Reshape", "x f", "r"), N("MatMul", "r V", "y")], "features"),
    "sizes computed with": ([N("Shape", "x", "s"), N("Cast", "s", "f1", to=1), N("Mul", "x f1", "y")],
        "sizes of its input"),
    "a constant": ([N("Neg", "W", "y")], "whatever comes in"),
    "the last of an input": ([N("Gather", "x last", "y", axis=1)], "takes the last step of an input"),
    "rows by values": ([N("Cast", "x", "i1", to=7), N("Gather", "W i1", "y")], "rounds a value"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused_by_name(name):
    nodes, message = REFUSED[name]
    constants = {"W": floats(3, 2), "V": floats(18, 2), "a": ints(1), "p": ints(0, 1, 0, 0, 1, 0), "i": np.int64(0),
                 "f": ints(2, 18), "last": np.int64(-1)}  # fmt: skip
    tail = [N("Transpose", "x", "xt", perm=[1, 0, 2]), N("GRU", "xt W_ R_ B_", "gru_y")]
    constants |= {f"{name}_": array for name, array in o.gru_weights(3, 2).items()}
    data = o.model([*tail, *nodes], [o.port("x", [2, 6, 3])], [o.field(1, "gru_y"), o.field(1, "y")], constants)
    with pytest.raises(UnsupportedError, match=message):
        found(data)


H = o.gru_weights(3, 2)
WRONG_GRUS = {
    "direction": ({"direction": "sideways"}, {}, "expected a direction"),
    "functions": ({"activations": ["Sigmoid", "Sine"]}, {}, "activations of relu"),
    "how many functions": ({"activations": ["Sigmoid"]}, {}, "expected 2 activations"),
    "too many alphas": ({"activation_alpha": [0.5]}, {}, "more numbers than its activations take"),
    "clip": ({"clip": -1.0}, {}, "clip of 0 or more"),
    "hidden_size": ({"hidden_size": 3}, {}, "hidden_size of its weights, 2"),
    "reset": ({"linear_before_reset": 2}, {}, "to be 0 or 1"),
    "weights": ({}, {"R": floats(1, 6, 3)}, "expected weights for 1 direction"),
    "biases": ({}, {"B": floats(1, 6)}, "expected biases of shape"),
    "features": ({}, {"W": floats(1, 6, 4)}, "expected 4 features"),
    "states of the streams": ({}, {"H": floats(1, 2, 2)}, "differs from stream to stream"),
    "shape of the states": ({}, {"H": floats(2, 2, 2)}, "expected an initial_h of 1 x streams x 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_GRUS)
def test_grus_that_cannot_be(name):
    attributes, constants, message = WRONG_GRUS[name]
    node = N("GRU", "x W R B - H" if "H" in constants else "x W R B", "y", "rnn", **attributes)
    data = o.model([node], [o.port("x", ["t", 2, 3])], [o.field(1, "y")], H | constants)
    with pytest.raises(LoadError, match=rf"node 'rnn' \(GRU\): .*{message}"):
        found(data)


def test_a_state_or_lengths_that_are_computed():
    for nodes, inputs, message in (
        ([N("Tanh", "h0", "h1"), N("GRU", "x W R B - h1", "y")], [o.port("h0", [1, "b", 2])], "initial_h is computed"),
        (
            [N("Add", "l l", "m"), N("GRU", "x W R B m", "y")],
            [o.port("l", ["b"], "int32")],
            "sequence_lens are computed",
        ),
    ):
        data = o.model(nodes, [o.port("x", ["t", "b", 3]), *inputs], [o.field(1, "y")], H)
        with pytest.raises(UnsupportedError, match=message):
            found(data)


def test_outputs_of_each_step_and_of_the_whole():
    nodes = [N("GRU", "x W R B", "y h"), N("MatMul", "h V", "z")]
    data = o.model(nodes, [o.port("x", ["t", "b", 3])], [o.field(1, "y"), o.field(1, "z")], H | {"V": floats(2, 2)})
    with pytest.raises(UnsupportedError, match="others of whole sequences"):
        found(data)


def test_without_a_gru_nothing_is_sure():
    data = o.model([N("Relu", "x", "y")], [o.port("x", [2, 6, 3])], [o.field(1, "y")])
    with pytest.raises(UnsupportedError, match="it has no GRU"):
        found(data)


def test_old_files_that_were_written_in_training():
    """Before opset 7 an attribute told that it was over, and by default it was not."""
    for op, inputs, message in (("Dropout", "x", "drops out"), ("BatchNormalization", "x g g g g", "of the batch")):
        data = o.model([N(op, inputs, "y")], [o.port("x", ["b", 3])], [o.field(1, "y")], {"g": floats(3)}, opset=6)
        with pytest.raises(UnsupportedError, match=message):
            found(data)


def test_sequences_end_for_all_layers_at_once():
    """``lengths=`` of ``model.run`` is one number for each sequence."""
    weights = {**o.gru_weights(3, 3), "K": floats(3, 3, 3), "axis": ints(1)}
    x, ports = o.port("x", ["t", "b", 3]), [o.port(name, ["b"], "int32") for name in ("S", "T")]

    def two(first, second):
        return [N("GRU", f"x W R B {first}", "y1"), N("Squeeze", "y1 axis", "q"), N("GRU", f"q W R B {second}", "y")]

    window = [N("Transpose", "x", "c", perm=[1, 2, 0]), N("Conv", "c K", "d", pads=[1, 1]),
              N("Transpose", "d", "e", perm=[2, 0, 1]), N("GRU", "e W R B S", "y")]  # fmt: skip
    for nodes in (two("S", "S"), two("", "")):
        found(o.model(nodes, [x, *ports], [o.field(1, "y")], weights))
    for nodes, message in ((two("S", "-"), "for all"), (two("-", "S"), "for all"), (two("S", "T"), "for all"),
                           (window, "beyond the end")):  # fmt: skip
        with pytest.raises(UnsupportedError, match=message):
            found(o.model(nodes, [x, *ports], [o.field(1, "y")], weights))


def test_a_bias_for_each_stream_is_none_for_each_feature():
    constants = {**o.gru_weights(3, 4), "V": floats(4, 4), "axis": ints(0), "C": floats(4, 1), "D": floats(1, 4)}
    for bias in ("C", "D"):
        nodes = [N("GRU", "x W R B", "- h"), N("Squeeze", "h axis", "q"), N("Gemm", f"q V {bias}", "y")]
        data = o.model(nodes, [o.port("x", ["t", 4, 3])], [o.field(1, "y")], constants)
        if bias == "D":
            found(data)
        else:
            with pytest.raises(UnsupportedError, match="the same for all streams"):
                found(data)
