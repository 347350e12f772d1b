"""ONNX files made to hurt: whatever they are, a network or a LoadError, in little time and memory."""

import contextlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamgru
from streamgru.errors import FormatError, LoadError, UnsupportedError
from streamgru.formats.onnx.read import OPERATORS, find
from streamgru.formats.onnx_file import parse
from streamgru.formats.protobuf_wire import fields, varints
from tests.formats import onnx_bytes as o
from tests.formats.watching import check_quiet

N = o.node
X = [o.port("x", ["t", "b", 1])]


def small():
    """The smallest file that has everything: a GRU of 1 -> 1, a Gemm, shapes, attributes, constants of two kinds."""
    constants = o.gru_weights(1, 1) | {"V": np.ones((1, 1), np.float32), "one": np.array([1])}
    nodes = [N("GRU", "x W R B", "h", linear_before_reset=1, hidden_size=1, clip=2.0), N("Squeeze", "h one", "s"),
             N("MatMul", "s V", "y")]  # fmt: skip
    return o.model(nodes, X, [o.port("y", ["t", "b", 1])], constants)


def refused(data, kind=LoadError, message=None):
    with pytest.raises(kind, match=message):
        find(data, "file")


def test_every_prefix_is_refused_or_whole():
    data = small()
    whole = find(data, "file")
    for size in range(len(data)):
        try:
            spec, _, _ = find(data[:size], "file")
        except LoadError:
            continue
        assert size >= len(data) - len(o.field(8, o.field(1, "") + o.field(2, 22)))  # all but the opset
        assert spec.main.layers != whole[0].main.layers or size > 0


def test_every_flipped_bit_is_refused_or_another_network():
    data = small()
    taken = 0
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            streamgru.load(bytes(flipped))
        except LoadError:
            continue
        taken += 1
    assert taken > 8 * 4 * 13 / 2  # most flips of the weights are other weights; else this tested nothing


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_bytes_put_in_left_out_and_written_over(data):
    file = bytearray(small())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(file) - 1))
        cut = data.draw(st.integers(0, 4))
        file[at : at + cut] = data.draw(st.binary(max_size=6))
        if not file:
            return
    with contextlib.suppress(LoadError):
        streamgru.load(bytes(file))


SHAPES = st.lists(st.integers(-2, 6), max_size=3).map(lambda sizes: np.array(sizes, np.int64))
SCALARS = st.one_of(
    st.integers(-9, 9), st.floats(-3, 3, width=32), st.sampled_from(["", "SAME_UPPER", "reflect", "reverse"]),
    st.lists(st.integers(-3, 4), min_size=1, max_size=4), st.just(np.zeros((2, 2), np.float32)),
)  # fmt: skip
ATTRIBUTES = (
    "axis", "axes", "perm", "keepdims", "to", "alpha", "beta", "transB", "split", "starts", "ends", "pads", "strides",
    "dilations", "kernel_shape", "group", "auto_pad", "mode", "value", "value_ints", "direction", "layout", "clip",
    "hidden_size", "linear_before_reset", "activations", "epsilon", "allowzero", "num_outputs", "start", "end",
)  # fmt: skip
VALUES = ("x", "h", "y", "f", "i", "s", "W", "R", "B", "e", "-")


@given(st.data())
@settings(deadline=None, max_examples=1000)
def test_any_operator_with_any_inputs_and_attributes(data):
    """Grammar instead of bytes: well-formed files whose operators make no sense, or might."""
    constants = o.gru_weights(1, 1) | {"f": np.ones(2, np.float32), "e": np.zeros((0, 2), np.float32)}
    constants |= {"i": np.array(data.draw(st.integers(-3, 3))), "s": data.draw(SHAPES)}
    nodes, made = [N("GRU", "x W R B", "h")], list(VALUES)
    for k in range(data.draw(st.integers(1, 3))):
        op = data.draw(st.sampled_from(sorted(OPERATORS)))
        inputs = data.draw(st.lists(st.sampled_from(made), max_size=4))
        names = data.draw(st.lists(st.sampled_from(ATTRIBUTES), unique=True, max_size=3))
        attributes = {name: data.draw(SCALARS) for name in names}
        nodes.append(N(op, inputs, [f"v{k}", f"w{k}"][: data.draw(st.integers(1, 2))], **attributes))
        made.append(f"v{k}")
    nodes = [node for node in nodes if b"\n\x01y" not in node]
    sizes = data.draw(st.sampled_from([["t", "b", 1], [3, 2, 1], [1, 1, 1]]))
    opset = data.draw(st.sampled_from([1, 7, 11, 13, 18, 22]))
    file = o.model(nodes, [o.port("x", sizes)], [o.field(1, made[-1]), o.field(1, "h")], constants, opset)
    with contextlib.suppress(LoadError):
        streamgru.load(file)


def one(*nodes, constants=None, **more):
    """A GRU, and something behind it."""
    weights = o.gru_weights(1, 1) | (constants or {})
    return o.model([N("GRU", "x W R B", "h"), *nodes], X, [o.field(1, "y")], weights, **more)


def raw(dims, body, code=1, name="V"):
    """A file with one more constant, written by hand."""
    tensor = o.field(1, list(dims)) + o.field(2, code) + o.field(8, name) + body
    return one(N("Add", "h V", "y"), extra=o.field(5, tensor))


BOMBS = {
    "a huge dimension": raw([1 << 31, 1 << 31], o.field(9, b"")),
    "sizes whose product is 0 modulo 2**64": raw([1 << 32, 1 << 32], o.field(9, b"")),
    "a size beyond 64 bits": raw([(1 << 64) - 1], o.field(9, b"1234")),
    "a negative size": raw([-4], o.field(9, b"1234")),
    "many dimensions": raw([1] * 9, o.field(9, b"1234")),
    "too few bytes": raw([2], o.field(9, b"1234")),
    "half a number": raw([1], o.field(9, b"12345")),
    "a shape for the constant to fill": one(
        N("ConstantOfShape", "S", "c"), N("Add", "h c", "y"), constants={"S": np.array([1 << 20] * 3)}
    ),
    "expanded": one(N("Expand", "V S", "c"), N("Add", "h c", "y"),
                    constants={"S": np.array([1 << 30]), "V": np.ones(1, np.float32)}),
    "doubled, and doubled": one(*[N("Concat", f"{a} {a}", b, axis=3) for a, b in
                                  zip(["h", *map(str, range(63))], [*map(str, range(63)), "y"], strict=True)]),
    "constants doubled": one(*[N("Concat", f"{a} {a}", b, axis=0) for a, b in
                               zip(["B", *map(str, range(63))], [*map(str, range(63)), "c"], strict=True)],
                             N("Add", "h c", "y")),
    "an outer sum": one(N("Reshape", "V S", "c"), N("Reshape", "V T", "d"), N("Add", "c d", "e"), N("Add", "h e", "y"),
                        constants={"V": np.ones(8192, np.float32), "S": np.array([8192, 1]), "T": np.array([1, 8192])}),
    "a window that never ends": one(N("Transpose", "x", "t", perm=[1, 2, 0]),
                                    N("AveragePool", "t", "y", kernel_shape=[65536], pads=[1 << 40, 1 << 40])),
    "a group of many": one(N("Transpose", "x", "t", perm=[1, 2, 0]), N("Conv", "t K", "y", group=1 << 40),
                           constants={"K": np.ones((1, 1, 1), np.float32)}),
    "a split of many": one(N("Split", "h", "y", axis=3, num_outputs=1 << 40)),
    "nodes": o.model([N("Identity", "x", "y")] * 20_000, X, [o.field(1, "y")]),
    "inputs": o.model([N("GRU", "x W R B", "y")], [o.port(f"x{k}", [2] * 8) for k in range(3000)] + X,
                      [o.field(1, "y")], o.gru_weights(1, 1)),
    "dimensions of an input": o.model([N("Identity", "x", "y")], [o.port("x", ["n"] * 100_000)], [o.field(1, "y")]),
}  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_do_not_go_off(name):
    tracemalloc.start()
    try:
        if name != "inputs":
            refused(BOMBS[name])
        else:
            find(BOMBS[name], "file")  # nobody uses them
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 400 << 20


def nested(depth):
    """An attribute with a graph with a node with an attribute ..."""
    graph = b""
    for _ in range(depth):
        graph = o.field(1, N("If", "", "z") + o.field(5, o.field(1, "g") + o.field(6, graph) + o.field(20, 5)))
    return one(N("If", "h", "y") + o.field(5, o.field(1, "then_branch") + o.field(6, graph) + o.field(20, 5)))


def test_graphs_within_graphs_are_never_walked_into():
    refused(nested(20), UnsupportedError, r"\(If\): this operator")
    refused(nested(2000), UnsupportedError, r"\(If\): this operator")


ELSEWHERE = o.field(13, o.field(1, "location") + o.field(2, "/etc/passwd")) + o.field(14, 1)


@pytest.mark.parametrize("body", [ELSEWHERE, ELSEWHERE[:-2], o.field(14, 1)])
def test_data_elsewhere_is_refused_and_never_opened(body, monkeypatch):
    def opened(*args, **kwargs):
        raise AssertionError(args)

    monkeypatch.setattr("builtins.open", opened)
    monkeypatch.setattr("os.open", opened)
    refused(raw([1], body), UnsupportedError, "kept in another file")


WRONG = {
    "no graph": (o.field(1, 8), FormatError, "no graph"),
    "two graphs": (small() + o.field(7, b""), FormatError, "graph twice"),
    "a graph that is a number": (o.field(1, 8) + o.field(7, 1), FormatError, "wrong type"),
    "a group": (o.field(1, 8) + bytes([3 << 3 | 3]), FormatError, "wire type"),
    "field 0": (o.field(1, 8) + bytes([0, 0]), FormatError, "number of a field"),
    "a number without end": (o.field(1, 8) + b"\x80" * 11, FormatError, "no end"),
    "sparse constants": (one(N("Relu", "h", "y"), extra=o.field(15, b"")), UnsupportedError, "sparse"),
    "strings": (raw([1], o.field(6, "text"), 8), UnsupportedError, "got type 8"),
    "a name twice": (one(N("Relu", "h", "h"), N("Relu", "h", "y")), FormatError, "taken twice"),
    "a constant twice": (raw([1], o.field(9, b"1234"), name="W"), FormatError, "taken twice"),
    "an attribute twice": (one(N("Relu", "h", "y") + o.field(5, [o.attribute("a", 1)] * 2)), FormatError, "twice"),
    "nobody computes": (one(N("Relu", "q", "y")), FormatError, "computed by no node"),
    "a cycle": (one(N("Relu", "b", "a"), N("Relu", "a", "b"), N("Add", "h b", "y")), FormatError, "by no node before"),
    "no outputs": (o.model([N("GRU", "x W R B", "h")], X, [], o.gru_weights(1, 1)), FormatError, "outputs"),
    "an unknown output": (one(N("Relu", "h", "z")), FormatError, "outputs"),
    "an opset to come": (one(N("Relu", "h", "y"), opset=99), UnsupportedError, "opset"),
    "no text": (one(o.field(1, b"\xff") + N("Relu", "h", "y")), FormatError, "UTF-8"),
    "a long name": (one(N("Relu", "h", "y", "n" * 5000)), FormatError, "at most 1024"),
    "a scale that is not finite": (
        one(N("Div", "h c", "y"), constants={"c": np.full(1, 1e-45, np.float32)}), LoadError, "NaN or infinity",
    ),
    "weights that are not finite": (
        one(N("Identity", "h", "y"), constants={"W": np.full((1, 3, 1), np.nan, np.float32)}),
        LoadError, "NaN or infinity",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told(name):
    data, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        streamgru.load(data) if "not finite" in name else find(data, "file")


def test_contents_decide_not_the_name(tmp_path):
    (tmp_path / "a.pt").write_bytes(small())
    assert streamgru.load(tmp_path / "a.pt").n_out == 1
    with pytest.raises(FormatError, match="not a well-formed ONNX file"):
        streamgru.load(b"\x08\x08\x12\x0bonnx-export" + bytes(100))
    with pytest.raises(streamgru.SpecError, match="leave out spec="):
        streamgru.load(small(), spec=streamgru.load(small()).spec)


def test_numbers_in_each_of_their_forms():
    """Packed or not, in raw bytes or in a field of the type."""
    values = [1.5, -2.0]
    bits = np.array(values, np.float16).view(np.uint16)
    packed32 = np.array(values, np.float32).tobytes()
    ways = [
        (1, o.field(9, packed32)), (1, o.field(4, values)), (1, o.field(4, packed32)),
        (10, o.field(9, bits.tobytes())), (10, o.field(5, b"".join(o.varint(int(bit)) for bit in bits))),
        (11, o.field(10, np.array(values).tobytes())),
        (16, o.field(9, np.array(values, np.float32).view(np.uint16)[1::2].tobytes())),
    ]  # fmt: skip
    for code, body in ways:
        np.testing.assert_array_equal(parse(raw([2], body, code), "file").constants["V"], values)
    for code, body in ((7, o.field(7, [3, -3])), (6, o.field(5, o.varint(3) + o.varint(-3)))):
        np.testing.assert_array_equal(parse(raw([2], body, code), "file").constants["V"], [3, -3])


@given(st.lists(st.integers(0, (1 << 64) - 1)))
def test_packed_numbers(values):
    data = b"".join(o.varint(value) for value in values)
    assert varints(memoryview(data)).tolist() == values


@given(st.binary(max_size=40))
def test_any_bytes_are_fields_or_refused(data):
    try:
        for _, _, value in fields(memoryview(data)):
            assert isinstance(value, int) or len(value) <= len(data)
    except FormatError:
        pass


GREEDY = {
    "more axes than NumPy has": lambda: o.model(
        [N("ConstantOfShape", "s", "k"), N("Gather", "k i", "q"), *GRU_OF_X], X, [o.field(1, "Y"), o.field(1, "q")],
        WEIGHTS | {"s": np.ones(64, np.int64), "i": np.zeros((1,) * 8, np.int64)},
    ),
    "axes by indices": lambda: o.model(
        [N("Gather", "k i", "q"), *GRU_OF_X], X, [o.field(1, "Y"), o.field(1, "q")],
        WEIGHTS | {"k": np.zeros((1,) * 8), "i": np.zeros((1,) * 8, np.int64)},
    ),
    "one constant after the other": lambda: o.model(
        [N("ConstantOfShape", "s", "k0"), *(N("Neg", f"k{i}", f"k{i + 1}") for i in range(60)), *GRU_OF_X], X,
        [o.field(1, "Y"), o.field(1, "k60")], WEIGHTS | {"s": np.array([1 << 24])},
    ),
    "one weight for many products": lambda: o.model(
        [*GRU_OF_X, N("MatMul", "Y v", "m0"), *(N("MatMul", f"m{i} M", f"m{i + 1}") for i in range(400))], X,
        [o.field(1, "m400")], WEIGHTS | {"v": np.ones((1, 1024), np.float32), "M": np.ones((1024, 1024), np.float32)},
    ),
    "sizes next to a 0": lambda: o.model(
        [N("ConstantOfShape", "s", "k"), *GRU_OF_X], X, [o.field(1, "Y"), o.field(1, "k")],
        WEIGHTS | {"s": np.array([0, 1 << 62, 1 << 62])},
    ),
    "a tile of many axes": lambda: o.model(
        [N("Tile", "k s", "q"), *GRU_OF_X], X, [o.field(1, "Y"), o.field(1, "q")],
        WEIGHTS | {"k": np.ones(1), "s": np.ones(70, np.int64)},
    ),
    "arithmetic of booleans": lambda: o.model(
        [N("Sub", "b b", "q"), *GRU_OF_X], X, [o.field(1, "Y"), o.field(1, "q")], WEIGHTS | {"b": np.array([True])}
    ),
    "axes that are words": lambda: o.model(
        [*GRU_OF_X, N("Squeeze", "Y", "q", axes=["Tanh", "Affine"])], X, [o.field(1, "q")], WEIGHTS, opset=11
    ),
    "integers that are words": lambda: o.model(
        [N("Constant", "", "q", value_ints=["Tanh"]), *GRU_OF_X], X, [o.field(1, "Y"), o.field(1, "q")], WEIGHTS
    ),
}  # fmt: skip
WEIGHTS, GRU_OF_X = o.gru_weights(1, 1), [N("GRU", "x W R B", "Y", hidden_size=1)]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("what", GREEDY)
def test_what_is_computed_of_constants_has_bounds(what):
    data = GREEDY[what]()
    tracemalloc.start()
    try:
        refused(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 30


@pytest.mark.timeout(30)
def test_many_nodes_in_many_ways():
    """Whatever the axes of the inputs are, an operator that is not known stays unknown; names alike cost no more."""
    ports = [o.port(name, ["a", "b", "c", 1, "d", "e", "f", 1]) for name in ("x", "y")]
    nodes = [
        N("Mul", "x x", "m0"),
        *(N("Mul", f"m{i} m{i}", f"m{i + 1}") for i in range(12_000)),
        N("Odd", "m9 y", "z"),
    ]
    refused(o.model(nodes, ports, [o.field(1, "z")], {}), UnsupportedError, "Odd")
    steps = [N("Tanh", "Y", "t0", "a"), *(N("Tanh", f"t{i}", f"t{i + 1}", "a") for i in range(6000))]
    spec, _, _ = find(o.model([*GRU_OF_X, *steps], X, [o.field(1, "t6000")], WEIGHTS), "file")
    assert len({layer.name for layer in spec.main.layers}) == len(spec.main.layers) == 6002


def test_loading_executes_nothing(tmp_path):
    """Watched by an audit hook in a process of its own."""
    check_quiet(tmp_path, {
        "good": small(),
        "torn": small()[:-1],
        "elsewhere": raw([1], ELSEWHERE),
        "script": one(N("PyOp", "h", "y", domain="os", module="os", func="system")),
        "greedy": GREEDY["one constant after the other"](),
    })  # fmt: skip
