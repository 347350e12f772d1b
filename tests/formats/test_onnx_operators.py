"""The operators around GRUs against onnxruntime: each in a small graph, step by step the same."""

import numpy as np
import pytest

from streamgru.errors import UnsupportedError
from tests.formats import onnx_bytes as o
from tests.formats.onnx_support import answer, close, found, layers

pytest.importorskip("onnxruntime", reason="needs onnxruntime")
from tests.formats.test_onnx_runtime import run

RNG = np.random.default_rng(1)


def floats(*shape):
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


N = o.node
C2 = {"W": floats(3, 2)}
BTF, BFT = "btf", "bft"  # how the output is laid out

# name -> nodes, constants, the layout of the output; x is (b, t, 3)
STEPWISE = {
    "gemm of a step": ([N("Reshape", "x s", "r"), N("Gemm", "r W c", "g", transB=1, alpha=0.5, beta=2.0),
        N("Reshape", "g u", "y")],
             {"W": floats(2, 3), "c": floats(2), "s": ints(-1, 3), "u": ints(2, 6, 2)}, BTF),
    "matmul": ([N("MatMul", "x W", "y")], C2, BTF),
    "matmul, bias": ([N("MatMul", "x W", "m"), N("Add", "b m", "y")], C2 | {"b": floats(2)}, BTF),
    "matmul, two biases": ([N("MatMul", "x W", "m"), N("Add", "b m", "n"), N("Add", "n b", "y")],
        C2 | {"b": floats(2)}, BTF),
    "matmul, a bias for another": ([N("MatMul", "x W", "m"), N("Add", "b m", "n"), N("Mul", "n m", "y")],
        C2 | {"b": floats(2)}, BTF),
    "matmul from the left": ([N("Transpose", "x", "t", perm=[0, 2, 1]), N("MatMul", "W t", "y")],
        {"W": floats(2, 3)}, BFT),
    "add": ([N("Add", "x c", "y")], {"c": floats(3)}, BTF),
    "sub": ([N("Sub", "x c", "y")], {"c": floats(1, 1, 3)}, BTF),
    "sub from": ([N("Sub", "c x", "y")], {"c": floats(3)}, BTF),
    "mul by one": ([N("Mul", "x c", "y")], {"c": np.float32(0.7)}, BTF),
    "div": ([N("Div", "x c", "y")], {"c": floats(3)}, BTF),
    "div of": ([N("Mul", "x x", "a"), N("Add", "a o", "p"), N("Div", "c p", "y")],
        {"c": floats(3), "o": np.float32(1)}, BTF),
    "scaled twice": ([N("Mul", "x c", "m"), N("Add", "m d", "y")], {"c": floats(3), "d": floats(3)}, BTF),
    "constants of each step": ([N("Add", "x c", "y")], {"c": np.tile(floats(3), (2, 6, 1))}, BTF),
    "two values": ([N("Mul", "x c", "m"), N("Sub", "x m", "y")], {"c": floats(3)}, BTF),
    "mul of values": ([N("Add", "x c", "m"), N("Mul", "x m", "y")], {"c": floats(3)}, BTF),
    "div of values": ([N("Mul", "x x", "q"), N("Add", "q o", "p"), N("Div", "x p", "y")], {"o": np.float32(1)}, BTF),
    "one number for all": ([N("MatMul", "x W", "m"), N("Sigmoid", "m", "s"), N("Mul", "s x", "y")],
        {"W": floats(3, 1)}, BTF),
    "widened by a constant": ([N("MatMul", "x W", "m"), N("Add", "m c", "y")],
        {"W": floats(3, 1), "c": floats(4)}, BTF),
    "square": ([N("Pow", "x two", "y")], {"two": np.float32(2)}, BTF),
    "neg": ([N("Neg", "x", "y")], {}, BTF),
    "relu": ([N("Relu", "x", "y")], {}, BTF),
    "tanh of a dense": ([N("MatMul", "x W", "m"), N("Tanh", "m", "y")], C2, BTF),
    "sigmoid": ([N("Sigmoid", "x", "y")], {}, BTF),
    "hard sigmoid": ([N("HardSigmoid", "x", "y")], {}, BTF),
    "hard sigmoid of keras 3": ([N("HardSigmoid", "x", "y", alpha=1 / 6, beta=0.5)], {}, BTF),
    "clip from 0": ([N("Clip", "x zero -", "y")], {"zero": np.float32(0)}, BTF),
    "softmax": ([N("Softmax", "x", "y", axis=2)], {}, BTF),
    "layer norm": ([N("LayerNormalization", "x g b", "y", axis=-1, epsilon=1e-3)],
        {"g": floats(3), "b": floats(3)}, BTF),
    "layer norm without bias": ([N("LayerNormalization", "x g", "y")], {"g": floats(3)}, BTF),
    "batch norm": ([N("Transpose", "x", "t", perm=[0, 2, 1]), N("BatchNormalization", "t g b m v", "y", epsilon=1e-3)],
                   {"g": floats(3), "b": floats(3), "m": floats(3), "v": floats(3) ** 2 + 1}, BFT),
    "mean of the features": ([N("ReduceMean", "x a", "m", keepdims=1), N("Sub", "x m", "y")], {"a": ints(-1)}, BTF),
    "sum of the features": ([N("ReduceSum", "x a", "m", keepdims=0), N("Unsqueeze", "m a", "y")], {"a": ints(2)}, BTF),
    "concat": ([N("Neg", "x", "n"), N("Concat", "x n x", "y", axis=-1)], {}, BTF),
    "concat in another layout": ([N("Transpose", "x", "t", perm=[0, 2, 1]), N("Neg", "t", "n"),
        N("Concat", "t n", "y", axis=1)], {}, BFT),
    "split": ([N("Split", "x s", "p q", axis=2), N("Concat", "q p", "y", axis=2)], {"s": ints(1, 2)}, BTF),
    "split by number": ([N("Concat", "x x", "d", axis=2), N("Split", "d", "p q", axis=-1, num_outputs=2),
        N("Mul", "p q", "y")], {}, BTF),
    "slice": ([N("Slice", "x a b c", "y")], {"a": ints(1), "b": ints(1 << 40), "c": ints(2)}, BTF),
    "slice backwards": ([N("Slice", "x a b c d", "y")],
        {"a": ints(-1), "b": ints(-(1 << 40)), "c": ints(-1), "d": ints(-1)}, BTF),
    "slice of all steps": ([N("Slice", "x a b c", "y")], {"a": ints(0), "b": ints((1 << 63) - 1), "c": ints(1)}, BTF),
    "gather one": ([N("Gather", "x i", "g", axis=2), N("Unsqueeze", "g a", "y")],
        {"i": np.int64(1), "a": ints(2)}, BTF),
    "gather some": ([N("Gather", "x i", "y", axis=-1)], {"i": ints(2, -3, 2)}, BTF),
    "heads": ([N("MatMul", "x W", "m"), N("Reshape", "m s", "r"), N("Transpose", "r", "t", perm=[0, 1, 3, 2]),
               N("Reshape", "t u", "y")], {"W": floats(3, 40), "s": ints(0, 0, 8, 5), "u": ints(0, 0, 40)}, BTF),
    "axes to and fro": ([N("Unsqueeze", "x a", "u"), N("Transpose", "u", "t", perm=[2, 1, 3, 0]),
        N("Squeeze", "t a", "q"),
                         N("Transpose", "q", "y", perm=[2, 0, 1])], {"a": ints(1)}, BTF),
    "through rows": ([N("Shape", "x", "s"), N("Reshape", "x r", "f"), N("MatMul", "f W", "m"), N("Slice", "s i j", "h"),
                      N("Concat", "h k", "o", axis=0), N("Reshape", "m o", "y")],
                     C2 | {"r": ints(-1, 3), "i": ints(0), "j": ints(2), "k": ints(2)}, BTF),
    "flatten": ([N("Flatten", "x", "f", axis=2), N("MatMul", "f W", "m"), N("Reshape", "m u", "y")],
        C2 | {"u": ints(2, 6, 2)}, BTF),
    "interleaved": ([N("MatMul", "x W", "m"), N("Tanh", "m", "n"), N("Unsqueeze", "m a", "p"),
                     N("Unsqueeze", "n a", "q"), N("Concat", "p q", "r", axis=3), N("Reshape", "r u", "y")],
                    {"W": floats(3, 10), "a": ints(3), "u": ints(0, 0, 20)}, BTF),
    "expanded": ([N("MatMul", "x W", "m"), N("Expand", "m e", "y")], {"W": floats(3, 1), "e": ints(1, 1, 4)}, BTF),
    "to the first": ([N("Pow", "x one", "y")], {"one": np.float32(1)}, BTF),
    "tiled": ([N("Tile", "c r", "d"), N("Tile", "x o", "z"), N("Add", "z d", "y")],
        {"c": floats(1), "r": ints(3), "o": ints(1, 1, 1)}, BTF),
    "idle": ([N("Identity", "x", "a"), N("Dropout", "a", "b"), N("Cast", "b", "c", to=1), N("Expand", "c e", "y")],
        {"e": ints(1, 1, 3)}, BTF),
    "half": ([N("Cast", "W", "V", to=1), N("MatMul", "x V", "y")], {"W": floats(3, 2).astype(np.float16)}, BTF),
    "half the scale": ([N("Cast", "c", "d", to=1), N("Div", "x d", "y")], {"c": floats(3).astype(np.float16)}, BTF),
    "constants of nodes": ([N("Constant", "", "c", value_floats=[1.0, 2.0, 3.0]),
        N("Constant", "", "d", value=floats(3)),
                            N("Add", "c d", "e"), N("Mul", "x e", "y")], {}, BTF),
    "constant put in": ([N("Concat", "x c", "y", axis=2)], {"c": np.tile(floats(2), (2, 6, 1))}, BTF),
}  # fmt: skip


def whole(nodes, constants, inputs, feeds, layout=BTF):
    """A graph with a GRU behind it, which tells which axis is what; its bytes, and what onnxruntime answers."""
    n_out = run(o.model(nodes, inputs, [o.field(1, "y")], constants), feeds)[0].shape[1 if layout == BFT else 2]
    perm = [2, 0, 1] if layout == BFT else [1, 0, 2]
    tail = [N("Transpose", "y", "gru_x", perm=perm), N("GRU", "gru_x W_ R_ B_", "gru_y", hidden_size=2)]
    weights = {f"{name}_": array for name, array in o.gru_weights(n_out, 2).items()}
    outputs = [o.field(1, "y"), o.field(1, "gru_y")]
    data = o.model([*nodes, *tail], inputs, outputs, constants | weights)
    y, h = run(data, feeds)
    return data, np.concatenate([y.transpose(0, 2, 1) if layout == BFT else y, h[:, 0].swapaxes(0, 1)], axis=2)


NEED_SIZES = ("gemm of a step", "flatten", "constants of each step", "constant put in")  # their constants tell them
SIZED = [(name, [2, 6, 3]) for name in STEPWISE]
OPEN = [(name, ["b", "t", 3]) for name in STEPWISE if name not in NEED_SIZES]


@pytest.mark.parametrize(("name", "shape"), SIZED + OPEN)
def test_what_treats_every_step_alike(name, shape):
    nodes, constants, layout = STEPWISE[name]
    x = floats(2, 6, 3)
    data, expected = whole(nodes, constants, [o.port("x", shape)], {"x": x}, layout)
    for row, y in zip(x, expected, strict=True):
        close(answer(data, row), y)


def conv(n_in=3, n_out=4, size=3, group=1, bias=True, **more):
    constants = {"K": floats(n_out, n_in // group, size)} | ({"c": floats(n_out)} if bias else {})
    return [
        N("Transpose", "x", "t", perm=[0, 2, 1]),
        N("Conv", "t K c" if bias else "t K", "y", group=group, **more),
    ], constants


def flat(op, *inputs, constants=None, **more):
    """Over the steps of a flat image, (b, n, 1, t)."""
    nodes = [N("Transpose", "x", "t", perm=[0, 2, 1]), N("Unsqueeze", "t two", "u"), N(op, ["u", *inputs], "v", **more)]
    return [*nodes, N("Squeeze", "v two", "y")], {"two": ints(2)} | (constants or {})


def padded(node, pads, constants=None, **more):
    nodes = [N("Transpose", "x", "t", perm=[0, 2, 1]), N("Pad", "t p", "q", **more), node]
    return nodes, {"p": ints(0, 0, pads[0], 0, 0, pads[1])} | (constants or {})


def pool(op, **more):
    return [N("Transpose", "x", "t", perm=[0, 2, 1]), N(op, "t", "y", **more)], {}


OVER_TIME = {
    "valid": conv(kernel_shape=[3]),
    "causal": conv(pads=[2, 0]),
    "both sides": conv(pads=[1, 1], bias=False),
    "same upper": conv(size=4, auto_pad="SAME_UPPER"),
    "same lower": conv(size=4, auto_pad="SAME_LOWER"),
    "auto valid": conv(auto_pad="VALID"),
    "dilated": conv(size=2, dilations=[3], pads=[3, 0]),
    "strided": conv(strides=[2], pads=[2, 0]),
    "grouped": conv(group=3, n_out=6, pads=[2, 0]),
    "padded before": padded(N("Conv", "q K", "y"), (2, 1), {"K": floats(4, 3, 3)}),
    "padded twice": padded(N("Conv", "q K", "y", pads=[1, 0]), (1, 0), {"K": floats(4, 3, 3)}),
    "chomped": ([*conv(pads=[2, 2])[0][:1], N("Conv", "t K", "k", pads=[2, 2]), N("Slice", "k a b d", "y")],
                {"K": floats(4, 3, 3), "a": ints(0), "b": ints(-2), "d": ints(2)}),
    "relu behind": ([*conv(pads=[2, 0])[0][:1], N("Conv", "t K", "k", pads=[2, 0]), N("Relu", "k", "y")],
        {"K": floats(4, 3, 3)}),
    "residual": ([*conv()[0][:1], N("Conv", "t K", "k", pads=[2, 0]), N("Add", "k t", "y")], {"K": floats(3, 3, 3)}),
    "of a flat image": flat("Conv", "K", constants={"K": floats(4, 3, 1, 3)}, pads=[0, 2, 0, 0], dilations=[1, 1]),
    "max of a flat image": flat("MaxPool", kernel_shape=[1, 3], strides=[1, 2]),
    "average": pool("AveragePool", kernel_shape=[2], strides=[2]),
    "average, padding left out": pool("AveragePool", kernel_shape=[3], pads=[1, 1]),
    "average, padding counted": pool("AveragePool", kernel_shape=[3], pads=[2, 0], count_include_pad=1),
    "average of zeros put before": padded(N("AveragePool", "q", "y", kernel_shape=[3]), (2, 0)),
    "max": pool("MaxPool", kernel_shape=[3], pads=[1, 1], strides=[2]),
}  # fmt: skip


@pytest.mark.parametrize("name", OVER_TIME)
@pytest.mark.parametrize("shape", [[2, 9, 3], ["b", "t", 3]])
def test_what_looks_at_several_steps(name, shape):
    nodes, constants = OVER_TIME[name]
    x = floats(2, 9, 3)
    data, expected = whole(nodes, constants, [o.port("x", shape)], {"x": x}, BFT)
    for row, y in zip(x, expected, strict=True):
        close(answer(data, row), y)


def test_a_table_of_tokens():
    nodes = [N("Cast", "x", "i", to=7), N("Gather", "T i", "e"), N("MatMul", "e W", "y")]
    for dtype in ("int64", "int32"):
        x = RNG.integers(0, 10, (2, 6)).astype(dtype)
        data, expected = whole(nodes, {"T": floats(10, 3)} | C2, [o.port("x", ["b", "t"], dtype)], {"x": x})
        for row, y in zip(x, expected, strict=True):
            close(answer(data, row[:, None]), y)
        spec, _, _ = found(data)
        assert (spec.main.inputs[0].kind, spec.main.inputs[0].vocab) == ("token", 10)


def test_several_inputs_and_outputs():
    nodes = [N("Concat", "a b", "c", axis=2), N("MatMul", "c W", "y"), N("Add", "a b", "z")]
    a, b = floats(1, 6, 3), floats(1, 6, 3)
    ports = [o.port("a", ["n", "t", 3]), o.port("b", ["n", "t", 3])]
    data, expected = whole(nodes, {"W": floats(6, 2)}, ports, {"a": a, "b": b})
    close(answer(data, np.concatenate([a, b], axis=2)[0]), expected[0])
    spec, _, _ = found(data)
    assert [(item.name, item.size) for item in spec.main.inputs] == [("a", 3), ("b", 3)]
    assert [(item.name, item.start, item.stop) for item in spec.main.outputs] == [("y", 0, 2), ("gru_y", 2, None)]


def test_a_single_step_that_looks_at_its_state_twice():
    """Y and Y_h are the same there, and one layer; the state leaves as it came."""
    nodes = [N("GRU", "x W R B - h", "y hn", hidden_size=2), N("Squeeze", "y one", "s"),
             N("Concat", "s hn", "c", axis=2), N("MatMul", "c V", "z")]  # fmt: skip
    constants = o.gru_weights(3, 2) | {"one": ints(1), "V": floats(4, 3)}
    ports = [o.port("x", [1, 1, 3]), o.port("h", [1, 1, 2])]
    data = o.model(nodes, ports, [o.field(1, "z"), o.field(1, "hn")], constants)
    x, h = floats(6, 3), np.zeros((1, 1, 2), np.float32)
    expected = []
    for row in x:
        z, h = run(data, {"x": row[None, None], "h": h})
        expected.append(z[0, 0])
    close(answer(data, x), expected)
    spec, _, _ = found(data)
    assert layers(spec) == ["gru", "concat", "dense"]


def test_the_last_step_of_several_layers():
    constants = o.gru_weights(3, 4) | {"last": ints(-1), "far": ints(1 << 40), "zero": ints(0), "one": ints(1)}
    nodes = [N("GRU", "x W R B", "h", hidden_size=4), N("Squeeze", "h one", "s"), N("Neg", "s", "n"),
             N("Concat", "s n", "c", axis=2), N("Slice", "c last far zero", "y")]  # fmt: skip
    data = o.model(nodes, [o.port("x", ["t", "b", 3])], [o.field(1, "y")], constants)
    x = floats(2, 6, 3)
    for row, y in zip(x, run(data, {"x": x.swapaxes(0, 1)})[0][0], strict=True):
        close(answer(data, row), y[None])


def test_the_last_step_is_the_last_state():
    """A Gather of the last step, behind what treats every step alike, becomes returns='last' of the GRU."""
    constants = o.gru_weights(3, 4) | {"V": floats(4, 2), "last": np.int64(-1), "one": ints(1)}
    nodes = [N("Transpose", "x", "t", perm=[1, 0, 2]),
        N("GRU", "t W R B", "h", hidden_size=4), N("Squeeze", "h one", "s"),
             N("MatMul", "s V", "m"), N("Tanh", "m", "a"), N("Gather", "a last", "y", axis=0)]  # fmt: skip
    data = o.model(nodes, [o.port("x", ["b", "t", 3])], [o.field(1, "y")], constants)
    x = floats(2, 6, 3)
    for row, y in zip(x, run(data, {"x": x})[0], strict=True):
        close(answer(data, row), y[None])
    spec, _, _ = found(data)
    assert layers(spec) == ["gru", "dense"]
    assert spec.main.layers[0].returns == "last"


def test_many_inputs_with_the_steps_first():
    """The ways to read the inputs are many; that all are read alike is tried first."""
    names = [f"x{k}" for k in range(9)]
    nodes = [N("Concat", names, "c", axis=2), N("GRU", "c W R B", "y", hidden_size=2)]
    data = o.model(nodes, [o.port(name, [6, 2, 3]) for name in names], [o.field(1, "y")], o.gru_weights(27, 2))
    x = floats(2, 6, 27)
    feeds = dict(zip(names, np.split(x.swapaxes(0, 1), 9, axis=2), strict=True))
    for row, y in zip(x, run(data, feeds)[0][:, 0].swapaxes(0, 1), strict=True):
        close(answer(data, row), y)


def test_a_state_that_leaves_in_another_order_is_refused():
    constants = o.gru_weights(2, 2) | {"s": ints(1, 1)}
    nodes = [N("Split", "h s", "h0 h1", axis=0), N("GRU", "x W R B - h0", "a ha", hidden_size=2),
             N("Squeeze", "a one", "b"), N("GRU", "b W R B - h1", "y hb", hidden_size=2)]  # fmt: skip
    constants["one"] = ints(1)
    ports = [o.port("x", ["t", "b", 2]), o.port("h", [2, "b", 2])]
    for order, fits in (("ha hb", True), ("hb ha", False)):
        last = N("Concat", order, "hn", axis=0)
        data = o.model([*nodes, last], ports, [o.field(1, "y"), o.field(1, "hn")], constants)
        if fits:
            _, _, findings = found(data)
            assert any(line.endswith("begins with: kept by the stream itself") for line in findings)
        else:
            with pytest.raises(UnsupportedError, match="leave in another order than they come in"):
                found(data)
    _, _, findings = found(o.model(nodes, ports, [o.field(1, "y")], constants))
    assert any("no output hands it on" in line for line in findings)
