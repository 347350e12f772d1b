"""A bound step: the bits of a step, and arrays that are the user's to change between two of them."""

import gc
import threading
import weakref

import numpy as np
import pytest

from streamgru.errors import NonFiniteError, ShapeError, StreamBusy, TokenError
from streamgru.model.spec import Embedding, Gru, Input
from streamgru.stream.model import Model
from tests.networks import DTYPES, KERNELS, bits, gru_model, gru_tensors, spec_of, uniform

SIZES = (5, 150)  # a step that keeps the GIL, and one that gives it away
MADE = [(dtype, kernel, n_hid) for dtype in DTYPES for kernel in KERNELS[dtype] for n_hid in SIZES]


@pytest.fixture(params=MADE, ids=lambda made: "-".join(map(str, made)))
def model(request, rng):
    dtype, kernel, n_hid = request.param
    tensors = gru_tensors(rng, "gru", 3, n_hid)
    return Model(spec_of(Gru(name="gru", n_hid=n_hid)), tensors, dtype=dtype, kernel=kernel)


def arrays(model):
    return np.zeros(model.n_in, model.dtype), np.full(model.n_out, 7, model.dtype)


def test_same_bits_as_step(model, rng):
    x, out = arrays(model)
    stream, alone = model.stream(), model.stream()
    bound = stream.bind(x, out)
    for row in uniform(rng, 20, 3, dtype=model.dtype):
        x[:] = row
        assert bound.step() is out
        assert bits(out) == bits(alone.step(row))
    assert stream.snapshot() == alone.snapshot()
    assert bound.x is x and bound.out is out and bound.stream is stream


def test_an_output_is_made_where_none_is_given(model):
    x, _ = arrays(model)
    bound = model.stream().bind(x)
    assert bound.step() is bound.out
    assert bits(bound.out) == bits(model.stream().step(x))


def test_input_and_output_may_be_one(rng):
    model = gru_model(rng, n_in=5, n_hid=5)
    x = uniform(rng, 5)
    expected = model.stream().step(x.copy())
    model.stream().bind(x, x).step()
    assert bits(x) == bits(expected)


def test_bound_twice_it_is_one_state(model, rng):
    stream, alone = model.stream(), model.stream()
    (x, out), (x_2, out_2) = arrays(model), arrays(model)
    x[:], x_2[:] = uniform(rng, 2, 3)
    first, second = stream.bind(x, out), stream.bind(x_2, out_2)
    for _ in range(3):
        first.step(), second.step()
        expected = [alone.step(x), alone.step(x_2)]
        assert [bits(out), bits(out_2)] == [bits(y) for y in expected]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_refusal_leaves_state_and_output(bad, model):
    x, out = arrays(model)
    stream = model.stream()
    bound = stream.bind(x, out)
    bound.step()
    before, written = stream.snapshot(), bits(out)
    x[1] = bad
    with pytest.raises(NonFiniteError, match=r"x\[1\]: expected a finite float\d\d, got -?(nan|inf)"):
        bound.step()
    assert stream.snapshot() == before and bits(out) == written
    x[1] = 0
    bound.step()
    assert stream.n_steps == 2


def test_a_state_that_would_not_be_finite_is_refused(rng):
    tensors = gru_tensors(rng, "gru", 2, 4)
    tensors["gru.weight_ih"][:] = [1e3, -1e3]
    stream = Model(spec_of(Gru(name="gru", n_hid=4, candidate="linear"), n_in=2), tensors).stream()
    x, out = np.full(2, 3e38, np.float32), np.full(4, 7, np.float32)
    before = stream.snapshot()
    with pytest.raises(NonFiniteError, match="the state is unchanged"):
        stream.bind(x, out).step()
    assert stream.snapshot() == before and out.tolist() == [7] * 4


def test_what_is_no_token_is_refused(rng):
    layers = (Embedding(name="e", n_out=2), Gru(name="gru", n_hid=3))
    spec = spec_of(*layers, inputs=(Input(name="word", kind="token", vocab=4),))
    stream = Model(spec, {"e.weight": uniform(rng, 4, 2)} | gru_tensors(rng, "gru", 2, 3)).stream()
    x = np.array([4], np.float32)
    with pytest.raises(TokenError, match=r"x\[0\]: expected a token of 'word'"):
        stream.bind(x).step()
    assert stream.n_steps == 0


def read_only(array):
    array.flags.writeable = False
    return array


WRONG = [
    lambda a: a.astype("f2"),
    lambda a: a.astype(a.dtype.newbyteorder()),
    lambda a: a.astype("i4"),
    lambda a: np.resize(a, a.size + 1),
    lambda a: a[:-1],
    lambda a: a[None],
    lambda a: np.repeat(a, 2)[::2],
    lambda a: np.frombuffer(b"\0" + a.tobytes(), a.dtype, offset=1, count=a.size),
    lambda a: np.ma.masked_array(a),
    lambda a: a.tolist(),
]


@pytest.mark.parametrize("wrong", WRONG)
def test_an_array_that_does_not_fit_cannot_be_bound(wrong, model):
    x, out = arrays(model)
    stream = model.stream()
    with pytest.raises(ShapeError, match=rf"x: expected a contiguous {model.dtype} array \(3,\), got "):
        stream.bind(wrong(x), out)
    with pytest.raises(ShapeError, match=rf"out: expected a writable, contiguous {model.dtype} array .*, got "):
        stream.bind(x, wrong(out))


def test_x_may_be_read_only_and_out_may_not(model):
    x, out = arrays(model)
    stream = model.stream()
    stream.bind(read_only(x.copy()), out).step()
    with pytest.raises(ShapeError, match="out: expected a writable"):
        stream.bind(x, read_only(out))


CHANGES = {  # what can be done to an array that somebody else holds
    "grown": lambda a: a.resize(1 << 20, refcheck=False),
    "shrunk": lambda a: a.resize(1, refcheck=False),
    "reshaped": lambda a: a.resize((a.size, 1), refcheck=False),
    "emptied": lambda a: a.__setstate__((1, (0,), a.dtype, False, b"")),
}


@pytest.mark.parametrize("which", ["x", "out"])
@pytest.mark.parametrize("change", CHANGES)
def test_an_array_changed_since_is_refused(change, which, model, rng):
    """Its memory may be somebody else's by now, so a step asks where the numbers are."""
    x, out = arrays(model)
    stream = model.stream()
    bound = stream.bind(x, out)
    bound.step()
    before = stream.snapshot()
    CHANGES[change]({"x": x, "out": out}[which])
    with pytest.raises(ShapeError, match=f"{which}: expected a .*contiguous"):
        bound.step()
    assert stream.snapshot() == before


def test_an_array_resized_and_back_is_read_where_it_is_now(model, rng):
    x, out = arrays(model)
    bound = model.stream().bind(x, out)
    for array in (x, out):
        n = array.size
        array.resize(1 << 20, refcheck=False)
        array.resize(n, refcheck=False)
    x[:] = uniform(rng, 3)
    bound.step()
    assert bits(out) == bits(model.stream().step(x))


def test_out_made_read_only_since_is_refused(model):
    x, out = arrays(model)
    bound = model.stream().bind(x, out)
    out.flags.writeable = False
    with pytest.raises(ShapeError, match="out: expected a writable"):
        bound.step()
    assert out.tolist() == [7] * model.n_out


def test_it_keeps_alive_what_it_needs(model):
    x, out = arrays(model)
    kept = [weakref.ref(x), weakref.ref(out)]
    expected = bits(model.stream().step(x))
    bound = model.stream().bind(x, out)
    del x, out
    gc.collect()
    assert [ref() for ref in kept] == [bound.x, bound.out]
    assert bits(bound.step()) == expected
    for name in ("x", "out", "stream"):
        with pytest.raises(AttributeError):
            delattr(bound, name)
    del bound
    gc.collect()
    assert [ref() for ref in kept] == [None, None]


def test_busy_in_another_thread(rng):
    stream = gru_model(rng, n_hid=64).stream()
    block, stop = uniform(rng, 20_000, 3), threading.Event()
    bound = stream.bind(uniform(rng, 3))

    def run():
        while not stop.is_set():
            stream.run(block)

    thread, words = threading.Thread(target=run), ""
    thread.start()
    while not words:
        before = bits(bound.out)
        try:
            bound.step()
        except StreamBusy as error:
            words = str(error)
            assert bits(bound.out) == before
    stop.set()
    thread.join()
    assert "another thread is using this stream" in words
    state = stream.snapshot()
    assert bits(bound.step()) == bits(stream.model.restore(state).step(bound.x))


def test_no_bound_step_without_a_stream(model):
    x, out = arrays(model)
    kind = type(model.stream().bind(x, out))
    for make in (lambda: kind.__new__(kind), lambda: kind(None, x, out), lambda: kind(model, x, out)):
        with pytest.raises(TypeError):
            make()
