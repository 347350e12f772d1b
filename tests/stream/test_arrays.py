"""Everything that a step refuses: the right error, saying what was expected, what came, and where;
and the state is what it was, to the last bit."""

import numpy as np
import pytest

from streamgru.errors import InputError, NonFiniteError, ShapeError, TokenError
from streamgru.model.spec import Concat, Dense, Embedding, Gru, Input
from streamgru.stream.model import Model
from tests.networks import DTYPES, gru_model, gru_tensors, spec_of, uniform

NAN, INF = np.nan, np.inf

VECTORS = [
    ([1, 2], ShapeError, r"x: expected shape \(3,\), got \(2,\)"),
    (np.zeros((3, 1)), ShapeError, r"expected shape \(3,\), got \(3, 1\)"),
    (np.zeros((1, 3), "float32"), ShapeError, r"expected shape \(3,\), got \(1, 3\)"),
    (np.zeros(0), ShapeError, r"got \(0,\)"),
    (1.0, ShapeError, r"got \(\)"),
    ("abc", ShapeError, "expected numbers, got <U3"),
    (b"abc", ShapeError, "expected numbers, got |S3"),
    (["1", "2", "3"], ShapeError, "expected numbers, got <U1"),
    (None, ShapeError, "expected numbers, got object"),
    ([1, None, 3], ShapeError, "expected numbers, got object"),
    ([10**400, 1, 2], ShapeError, "expected numbers, got object"),
    (np.zeros(3, complex), ShapeError, "expected numbers, got complex128"),
    (np.zeros(3, "M8[s]"), ShapeError, "expected numbers, got datetime64"),
    ([[1], [2, 3], 4], ShapeError, "expected an array of numbers, got list"),
    ({"x": [1, 2]}, ShapeError, r"x\['x'\]: expected 3 number\(s\), got 2"),
    ({"x": "abc"}, ShapeError, r"x\['x'\]: expected numbers"),
    ({"y": [1, 2, 3]}, ShapeError, "expected the inputs x, got y"),
    ({"x": [1, 2, 3], "y": 1}, ShapeError, "expected the inputs x, got x, y"),
    ({}, ShapeError, "expected the inputs x, got none"),
    ([1, NAN, 3], NonFiniteError, r"x\[1\]: expected a finite float\d\d, got nan"),
    ([INF, NAN, 3], NonFiniteError, r"x\[0\]: expected a finite float\d\d, got inf"),
    (np.array([1, 2, -INF], "float16"), NonFiniteError, r"x\[2\]: expected a finite float\d\d, got -inf"),
    ({"x": [1, 2, NAN]}, NonFiniteError, r"x\[2\]"),
]
TOO_LARGE = [
    ([1, 2, 1e39], r"x\[2\]: expected a finite float32, got 1e\+39"),
    (np.array([-1e39, 0, 0]), r"x\[0\]: expected a finite float32, got -1e\+39"),
    ({"x": [1, 1e39, 2]}, r"x\['x'\]\[1\]: expected a finite float32, got 1e\+39"),
    (np.array([0, 1e39, 0], np.longdouble), r"x\[1\]"),
]
OUTS = [
    lambda dtype: np.zeros(4, dtype),
    lambda dtype: np.zeros((5, 1), dtype),
    lambda dtype: np.zeros(5, "int32"),
    lambda dtype: np.zeros(5, "float64" if dtype == "float32" else "float32"),
    lambda dtype: np.zeros(5, np.dtype(dtype).newbyteorder()),
    lambda dtype: np.zeros(10, dtype)[::2],
    lambda dtype: np.zeros(5, dtype)[::-1],
    lambda dtype: np.frombuffer(bytes(5 * np.dtype(dtype).itemsize), dtype),
    lambda dtype: [0.0] * 5,
    lambda dtype: memoryview(np.zeros(5, dtype)),
    lambda dtype: "out",
]


@pytest.fixture(params=DTYPES)
def stream(request, rng):
    stream = gru_model(rng, dtype=request.param).stream()
    stream.step([0.1, 0.2, 0.3])
    return stream


def refuses(stream, error, words, call):
    """*call* raises exactly *error*, and the state stays as it was."""
    before = stream.snapshot()
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert caught.type is error
    assert stream.snapshot() == before
    stream.step([0.3, 0.2, 0.1])


@pytest.mark.parametrize("x, error, words", VECTORS)
def test_step(x, error, words, stream):
    refuses(stream, error, words, lambda: stream.step(x))
    y = np.full(5, 7.0, stream.model.dtype)
    refuses(stream, error, words, lambda: stream.step(x, out=y))
    assert (y == 7).all()


@pytest.mark.parametrize("x, words", TOO_LARGE)
def test_a_number_beyond_the_dtype(x, words, rng):
    stream = gru_model(rng).stream()
    refuses(stream, NonFiniteError, words, lambda: stream.step(x))
    gru_model(rng, dtype="float64").stream().step(x)


@pytest.mark.parametrize("out", OUTS)
def test_step_out(out, stream):
    refuses(
        stream,
        ShapeError,
        r"out: expected a writable, contiguous float\d\d array \(5,\), got",
        lambda: stream.step([1, 2, 3], out=out(stream.model.dtype)),
    )


@pytest.mark.parametrize("method", ["run", "trace"])
@pytest.mark.parametrize(
    "X, error, words",
    [
        (np.zeros(3), ShapeError, r"X: expected shape \(n, 3\), got \(3,\)"),
        (np.zeros((3, 2)), ShapeError, r"X: expected shape \(n, 3\), got \(3, 2\)"),
        (np.zeros((1, 2, 3)), ShapeError, r"got \(1, 2, 3\)"),
        ([[1, 2, 3], [1, 2]], ShapeError, "X: expected an array of numbers"),
        ("abc", ShapeError, "X: expected numbers"),
        ({"x": np.zeros((2, 3))}, ShapeError, "X: expected numbers"),
        ([[1, 2, 3], [1, 2, NAN]], NonFiniteError, r"X\[1, 2\]: expected a finite float\d\d, got nan"),
        ([[1, 2, 3], [1, INF, 3], [NAN, 0, 0]], NonFiniteError, r"X\[1, 1\]: expected a finite float\d\d, got inf"),
    ],
)
def test_blocks(method, X, error, words, stream):
    """A bad last row undoes the rows before it."""
    refuses(stream, error, words, lambda: getattr(stream, method)(X))


@pytest.mark.parametrize("shape", [(2, 4), (3, 5), (5,), (2, 5, 1)])
def test_run_out(shape, stream):
    refuses(
        stream,
        ShapeError,
        r"out: expected a writable, contiguous float\d\d array \(2, 5\), got float",
        lambda: stream.run(np.zeros((2, 3)), out=np.zeros(shape, stream.model.dtype)),
    )


@pytest.mark.parametrize("variant", ["after", "before"])
@pytest.mark.parametrize("call", ["step", "run", "trace", "pool"])
def test_a_state_that_would_not_be_finite(call, variant, rng):
    """Finite numbers whose products are not: infinity minus infinity."""
    tensors = gru_tensors(rng, "gru", 2, 3)
    tensors["gru.weight_ih"] = np.full((9, 2), 1e3) * [1, -1]
    spec = spec_of(Gru(name="gru", n_hid=3, variant=variant, candidate="linear"), n_in=2)
    model = Model(spec, tensors)
    good, bad = [1e-3, 2e-3], [3e38, 3e38]
    if call == "pool":
        pool = model.pool(2)
        pool.open("a")
        pool.step(["a"], [good])
        before = pool.snapshot("a")
        with pytest.raises(NonFiniteError, match="row 2: the new state or the output would not be finite"):
            pool.step(["a", "a", "a"], [good, good, bad])
        assert pool.snapshot("a") == before
        return
    stream = model.stream()
    stream.step(good)
    before = stream.snapshot()
    with pytest.raises(NonFiniteError, match="the new state or the output would not be finite"):
        stream.step(bad) if call == "step" else getattr(stream, call)([good, bad, good])
    assert stream.snapshot() == before


@pytest.fixture(params=DTYPES)
def reader(request, rng):
    """A stream of a network that takes a word of seven and two floats."""
    inputs = (Input(name="word", kind="token", vocab=7), Input(name="x", size=2))
    layers = (
        Embedding(name="e", n_out=4, inputs=("word",)),
        Concat(name="c", inputs=("e", "x")),
        Gru(name="gru", n_hid=3),
        Dense(name="d", n_out=2),
    )
    tensors = {"e.weight": uniform(rng, 7, 4), "d.weight": uniform(rng, 2, 3)} | gru_tensors(rng, "gru", 6, 3)
    return Model(spec_of(*layers, inputs=inputs), tensors, dtype=request.param).stream()


@pytest.mark.parametrize("word", [-1, 7, 8, 0.5, 6.99, -0.25, 1e30, -1e30, 2.0**63, -(2.0**63)])
def test_what_is_no_token(word, reader):
    before = reader.snapshot()
    words = r"x\[0\]: expected a token of 'word', an integer in \[0, 7\), got"
    for x in ([word, 1, 2], {"word": word, "x": [1, 2]}):
        with pytest.raises(TokenError, match=words):
            reader.step(x)
    with pytest.raises(TokenError, match=r"X\[1, 0\]: expected a token of 'word'"):
        reader.run([[1, 1, 1], [word, 1, 1]])
    assert reader.snapshot() == before


@pytest.mark.parametrize("word", [NAN, INF, -INF])
def test_a_token_that_is_not_finite(word, reader):
    before = reader.snapshot()
    with pytest.raises(NonFiniteError, match=r"x\[0\]: expected a finite"):
        reader.step([word, 1, 2])
    assert reader.snapshot() == before


def test_named_inputs_in_any_order(reader):
    other = reader.fork()
    np.testing.assert_array_equal(reader.step({"x": [[0.5], [2]], "word": [3]}), other.step([3, 0.5, 2]))


@pytest.mark.parametrize(
    "x", [{"word": 1}, {"x": [1, 2]}, {"word": [1, 2], "x": [1]}, {"word": 1, "x": [1, 2], "z": 0}]
)
def test_wrong_named_inputs(x, reader):
    before = reader.snapshot()
    with pytest.raises(ShapeError, match=r"expected the inputs word, x, got|expected 1 number"):
        reader.step(x)
    assert reader.snapshot() == before
