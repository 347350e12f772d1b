"""One stream: what it returns, where it writes, how it is copied, moved and set."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

from streamgru.errors import NonFiniteError, ShapeError
from streamgru.model.spec import Dense, Gru
from streamgru.stream.model import Model
from streamgru.stream.stream import Stream
from tests.networks import DTYPES, VARIANTS, bits, gru_model, gru_tensors, of_layer, spec_of, uniform
from tests.oracle.gru_numpy import gru
from tests.oracle.layers_numpy import dense

RTOL = {"float32": 1e-6, "float64": 1e-12}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_whole_network(variant, dtype, rng):
    """Two layers and a head, against the oracle."""
    tensors = gru_tensors(rng, "gru.0", 4, 13) | gru_tensors(rng, "gru.1", 13, 8)
    tensors |= {"head.weight": uniform(rng, 3, 8, bound=0.3), "head.bias": uniform(rng, 3)}
    layers = (
        Gru(name="gru.0", n_hid=13, variant=variant),
        Gru(name="gru.1", n_hid=8, variant=variant),
        Dense(name="head", n_out=3),
    )
    model = Model(spec_of(*layers, n_in=4), tensors, dtype=dtype)
    x = uniform(rng, 50, 4)
    h = x
    for name in ("gru.0", "gru.1"):
        h = gru(h, **of_layer(tensors, name), variant=variant)
    expected = [dense(row, tensors["head.weight"], tensors["head.bias"]) for row in h]
    np.testing.assert_allclose(model.stream().run(x), expected, rtol=0, atol=RTOL[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_out_is_what_is_returned(dtype, rng):
    model = gru_model(rng, dtype=dtype)
    x = uniform(rng, 4, 3, dtype=dtype)
    expected = model.stream().run(x)
    stream, y = model.stream(), np.empty(5, dtype)
    for row in range(4):
        assert stream.step(x[row], out=y) is y
        assert bits(y) == bits(expected[row])
    block = np.empty((4, 5), dtype)
    assert model.stream().run(x, out=block) is block
    assert bits(block) == bits(expected)


def test_each_answer_is_an_array_of_its_own(rng):
    stream = gru_model(rng).stream()
    first = stream.step([1, 2, 3])
    kept = first.copy()
    stream.step([3, 2, 1])
    assert bits(first) == bits(kept)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_numbers_in_any_form(dtype, rng):
    """What cannot be read in place is converted, with the same answer."""
    model = gru_model(rng, dtype=dtype)
    values = [1.0, -2.0, 3.0]
    expected = bits(model.stream().step(np.array(values, dtype)))
    x = np.array(values, dtype)
    other = "float64" if dtype == "float32" else "float32"
    shifted = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(dtype)  # not aligned
    forms = [
        values,
        tuple(values),
        [1, -2, 3],
        x.astype(other),
        x.astype(np.float16),
        x.astype(np.int8),
        x.byteswap().view(x.dtype.newbyteorder()),
        np.repeat(x, 2)[::2],
        x[::-1].copy()[::-1],
        shifted,
        {"x": values},
        memoryview(x),
    ]
    for form in forms:
        assert bits(model.stream().step(form)) == expected
    read_only = x.copy()
    read_only.flags.writeable = False
    assert bits(model.stream().step(read_only)) == expected


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_out_may_lie_on_x(offset, rng):
    """An answer written over an input that is still to come must not be read as input."""
    model = gru_model(rng, n_in=4, n_hid=4)
    x = uniform(rng, 8, 4)
    expected = model.stream().run(x[1:7].copy())
    whole = x.copy()
    got = model.stream().run(whole[1:7], out=whole[1 + offset : 7 + offset])
    assert bits(got) == bits(expected)


def test_no_steps_at_all(rng):
    stream = gru_model(rng).stream()
    before = stream.snapshot()
    assert stream.run(np.empty((0, 3))).shape == (0, 5)
    assert stream.trace(np.empty((0, 3))).y.shape == (0, 5)
    assert stream.snapshot() == before


def test_state_is_a_copy(rng):
    stream = gru_model(rng).stream()
    y = stream.step([1, 2, 3])
    state = stream.state
    assert list(state) == ["gru"] and bits(state["gru"]) == bits(y)
    state["gru"][:] = 7
    assert bits(stream.state["gru"]) == bits(y)


@pytest.mark.parametrize("dtype", DTYPES)
def test_state_can_be_set(dtype, rng):
    model = gru_model(rng, dtype=dtype)
    h, x = uniform(rng, 5), uniform(rng, 9, 3)
    stream = model.stream()
    stream.state = {"gru": h}
    expected = gru(x, **of_layer(model.tensors, "gru"), h0=h)
    np.testing.assert_allclose(stream.run(x), expected, rtol=0, atol=RTOL[dtype])
    stream.state = {}
    stream.state = {"gru": [0, 0, 0, 0, 0]}
    assert not stream.state["gru"].any()


@pytest.mark.parametrize(
    "new, error",
    [
        ({"other": np.zeros(5)}, ShapeError),
        ({"gru": np.zeros(4)}, ShapeError),
        ({"gru": np.zeros((5, 1))}, ShapeError),
        ({"gru": 0.0}, ShapeError),
        ({"gru": None}, ShapeError),
        ({"gru": ["a"] * 5}, ShapeError),
        ({"gru": np.zeros(5, complex)}, ShapeError),
        ({"gru": [1, 2, 3, 4, np.nan]}, NonFiniteError),
        ({"gru": np.full(5, 1e39)}, NonFiniteError),
        ({"gru": np.zeros(5), "other": np.zeros(5)}, ShapeError),
        (np.zeros(5), ShapeError),
        (None, ShapeError),
    ],
)
def test_a_wrong_state_is_refused_as_a_whole(new, error, rng):
    stream = gru_model(rng).stream()
    stream.step([1, 2, 3])
    before = stream.snapshot()
    with pytest.raises(error, match="state"):
        stream.state = new
    assert stream.snapshot() == before


@pytest.mark.parametrize("initial", ["zero", "learned"])
def test_reset(initial, rng):
    stream = gru_model(rng, initial=initial).stream()
    start, x = stream.snapshot(), uniform(rng, 6, 3)
    expected = stream.run(x)
    stream.reset()
    assert stream.snapshot() == start and stream.n_steps == 0
    assert bits(stream.run(x)) == bits(expected)


def test_fork(rng):
    model = gru_model(rng)
    x = uniform(rng, 20, 3)
    stream = model.stream()
    stream.run(x[:7])
    other = stream.fork()
    assert other.n_steps == 7 and other.model is model
    assert bits(stream.run(x[7:])) == bits(other.run(x[7:]))
    stream.reset()
    assert other.n_steps == 20 and stream.n_steps == 0


@pytest.mark.parametrize("clone", [lambda stream: pickle.loads(pickle.dumps(stream)), copy.copy, copy.deepcopy])  # noqa: S301
def test_copies_go_on_from_here(clone, rng):
    stream = gru_model(rng).stream()
    x = uniform(rng, 20, 3)
    stream.run(x[:9])
    assert bits(clone(stream).run(x[9:])) == bits(stream.run(x[9:]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_trace_shows_the_gates(variant, dtype, rng):
    """Against gates computed from the oracle's own states."""
    model = gru_model(rng, dtype=dtype, variant=variant)
    x = uniform(rng, 30, 3)
    trace = model.stream().trace(x)
    assert bits(trace.y) == bits(model.stream().run(x))
    weights = {key: value.astype(np.float64) for key, value in of_layer(model.tensors, "gru").items()}
    h = gru(x, **weights, variant=variant)
    before = np.vstack([np.zeros(5), h[:-1]])
    inner = x @ weights["weight_ih"].T + weights["bias_ih"]
    outer = before @ weights["weight_hh"].T + weights["bias_hh"]
    r, z = (1 / (1 + np.exp(-(inner + outer)[:, 5 * i : 5 * i + 5])) for i in range(2))
    gates = trace.gates["gru"]
    for expected, got in ((r, gates.r), (z, gates.z), (h, gates.h), (h, z * before + (1 - z) * gates.n)):
        np.testing.assert_allclose(got, expected, rtol=0, atol=RTOL[dtype])


def test_a_stream_keeps_its_model_alive(rng):
    stream = gru_model(rng).stream()
    model = weakref.ref(stream.model)
    gc.collect()
    assert model() is not None and np.isfinite(stream.step([1, 2, 3])).all()
    del stream
    gc.collect()
    assert model() is None


@pytest.mark.parametrize(
    "make", [lambda: Stream.__new__(Stream), lambda: Stream(5), lambda: Stream(None), lambda: Stream()]
)
def test_no_stream_without_a_model(make):
    """It would have no memory to step in."""
    with pytest.raises((TypeError, AttributeError)):
        make()


def test_what_a_stream_tells_about_itself(rng):
    stream = gru_model(rng).stream()
    stream.run(np.zeros((3, 3)))
    assert stream.n_steps == 3 and "3 steps" in repr(stream) and "3 -> 5" in repr(stream)
    for name in ("model", "n_steps"):
        with pytest.raises(AttributeError):
            setattr(stream, name, None)
