"""Whole sequences: layers that read from the end, last states, lengths."""

import pickle

import msgspec
import numpy as np
import pytest

import streamgru
from streamgru.errors import NonFiniteError, ShapeError, SpecError, TokenError, UnsupportedError
from streamgru.formats import native
from streamgru.model.spec import (
    AveragePool1d,
    Concat,
    Conv1d,
    Dense,
    Embedding,
    Gru,
    Input,
    MaxPool1d,
    Mul,
    sequential,
)  # fmt: skip
from streamgru.model.streamable import obstacle, padded_after
from streamgru.stream.model import Model
from streamgru.stream.sequences import Layerwise, n_steps_out, windows
from tests.networks import DTYPES, KERNELS, VARIANTS, bits, gru_tensors, of_layer, spec_of, uniform
from tests.oracle import directions_numpy, gru_numpy

TOLERANCE = {"float32": 1e-6, "float64": 1e-13}
BOTH_WAYS = [(dtype, kernel) for dtype in DTYPES for kernel in KERNELS[dtype]]


def both_ways(n_hid, **options):
    """A GRU in each direction over x, side by side."""
    return (
        Gru(name="fore", n_hid=n_hid, inputs=("x",), **options),
        Gru(name="back", n_hid=n_hid, inputs=("x",), direction="reverse", **options),
        Concat(name="both", inputs=("fore", "back")),
    )


@pytest.fixture
def tensors(rng):
    """Of both_ways(5) over three numbers."""
    return gru_tensors(rng, "fore", 3, 5, h0=True) | gru_tensors(rng, "back", 3, 5, h0=True)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype, kernel", BOTH_WAYS)
def test_bidirectional_with_lengths(dtype, kernel, variant, rng, tensors):
    options = {"variant": variant, "gate": "hard_sigmoid", "clip": 2.0}
    model = Model(spec_of(*both_ways(5, initial="learned", **options)), tensors, dtype=dtype, kernel=kernel)
    x, lengths = uniform(rng, 4, 9, 3), [9, 0, 1, 6]
    got = model.run(x, lengths)
    assert got.shape == (4, 9, 10) and got.dtype == dtype
    fore, back = (of_layer(tensors, name) | options for name in ("fore", "back"))
    for rows, length, y in zip(x, lengths, got, strict=True):
        assert not y[length:].any()
        if length:
            expected = directions_numpy.bidirectional(rows[:length], fore, back)
            np.testing.assert_allclose(y[:length], expected, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype, kernel", BOTH_WAYS)
def test_reverse_is_forward_on_what_is_turned_round(dtype, kernel, rng):
    """The very bits, so that what holds for streams holds here."""
    tensors = gru_tensors(rng, "gru", 3, 20)
    there = Model(spec_of(Gru(name="gru", n_hid=20)), tensors, dtype=dtype, kernel=kernel)
    back = Model(spec_of(Gru(name="gru", n_hid=20, direction="reverse")), tensors, dtype=dtype, kernel=kernel)
    x = uniform(rng, 1, 50, 3)
    assert bits(back.run(x)) == bits(there.run(x[:, ::-1])[:, ::-1])


def test_two_bidirectional_layers_and_a_head(rng, tensors):
    layers = (
        *both_ways(5, initial="learned"),
        Gru(name="fore2", n_hid=4, inputs=("both",)),
        Gru(name="back2", n_hid=4, inputs=("both",), direction="reverse"),
        Concat(name="both2", inputs=("fore2", "back2")),
        Dense(name="head", n_out=2),
    )
    tensors |= gru_tensors(rng, "fore2", 10, 4) | gru_tensors(rng, "back2", 10, 4)
    tensors |= {"head.weight": uniform(rng, 2, 8)}
    x = uniform(rng, 1, 30, 3)
    names = [of_layer(tensors, name) for name in ("fore", "back", "fore2", "back2")]
    inner = directions_numpy.bidirectional(x[0], *names[:2])
    expected = directions_numpy.bidirectional(inner, *names[2:]) @ tensors["head.weight"].T.astype(np.float64)
    np.testing.assert_allclose(Model(spec_of(*layers), tensors).run(x)[0], expected, rtol=0, atol=1e-6)


def test_the_last_state_of_either_direction(rng, tensors):
    """Many to one: the answer is the last row, whichever way a layer reads."""
    model = Model(spec_of(*both_ways(5, initial="learned", returns="last")), tensors)
    x, lengths = uniform(rng, 2, 7, 3), [7, 4]
    got = model.run(x, lengths)
    for rows, length, y in zip(x, lengths, got, strict=True):
        fore = gru_numpy.gru(rows[:length], **of_layer(tensors, "fore"))[-1]
        back = directions_numpy.reverse_gru(rows[:length], **of_layer(tensors, "back"))[0]
        np.testing.assert_allclose(y[length - 1], np.concatenate([fore, back]), rtol=0, atol=1e-6)
        assert (y[:length] == y[length - 1]).all()
    states = model.finals(x[0])
    assert bits(np.concatenate([states["fore"], states["back"]])) == bits(got[0, -1])


def test_a_last_state_repeated_for_another_layer(rng):
    """As an autoencoder does it."""
    layers = (Gru(name="a", n_hid=5, returns="last"), Gru(name="b", n_hid=4))
    tensors = gru_tensors(rng, "a", 3, 5) | gru_tensors(rng, "b", 5, 4)
    x = uniform(rng, 1, 12, 3)
    last = gru_numpy.gru(x[0], **of_layer(tensors, "a"))[-1]
    expected = gru_numpy.gru(np.tile(last, (12, 1)), **of_layer(tensors, "b"))
    np.testing.assert_allclose(Model(spec_of(*layers), tensors).run(x)[0], expected, rtol=0, atol=1e-6)


def test_tokens_and_numbers(rng):
    """Inputs side by side, one of them taken twice."""
    layers = (
        Embedding(name="emb", n_out=3, inputs=("word",)),
        Mul(name="square", inputs=("x", "x")),
        Concat(name="all", inputs=("emb", "square", "x")),
        Gru(name="gru", n_hid=4, direction="reverse"),
    )
    inputs = (Input(name="word", kind="token", vocab=5), Input(name="x", size=2))
    tensors = {"emb.weight": uniform(rng, 5, 3)} | gru_tensors(rng, "gru", 7, 4)
    model = Model(spec_of(*layers, inputs=inputs), tensors)
    x = np.concatenate([rng.integers(0, 5, (20, 1)), uniform(rng, 20, 2)], axis=1)
    given = np.concatenate([tensors["emb.weight"][x[:, 0].astype(int)], x[:, 1:] ** 2, x[:, 1:]], axis=1)
    expected = directions_numpy.reverse_gru(given, **of_layer(tensors, "gru"))
    np.testing.assert_allclose(model.run(x[None])[0], expected, rtol=0, atol=1e-6)
    for bad, error, words in (
        ((3, 0, 5), TokenError, r"stream 0: X\[3, 0\]: expected a token of 'word', an integer in \[0, 5\), got 5.0"),
        ((3, 0, 1.5), TokenError, "got 1.5"),
        ((4, 2, np.nan), NonFiniteError, r"X\[4, 2\]: expected a finite float32, got nan"),
        ((4, 1, 1e39), NonFiniteError, r"X\[4, 1\]: expected a finite float32, got 1e\+39"),
    ):
        wrong = x.copy()
        wrong[bad[:2]] = bad[2]
        with pytest.raises(error, match=words):
            model.run(wrong[None])
    for wrong in (np.zeros((1, 2, 4)), np.zeros((2, 3)), np.array([[["a"] * 3]])):
        with pytest.raises(ShapeError, match="X: expected"):
            model.run(wrong)


def test_an_answer_that_is_not_finite_names_its_layer(rng):
    tensors = {"d.weight": np.full((2, 3), 3e38, np.float32)} | gru_tensors(rng, "gru", 2, 3)
    model = Model(spec_of(Dense(name="d", n_out=2), Gru(name="gru", n_hid=3, direction="reverse")), tensors)
    with pytest.raises(NonFiniteError, match="stream 0: layer 'd': row 1"):
        model.run([[[0, 0, 0], [9, 9, 9]]])


REFUSED = "reads the sequence from its end, so that this network cannot answer step by step; give it whole sequences"


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.stream(),
        lambda model: model.pool(),
        lambda model: model.restore(b""),
        lambda model: model.plan,
        lambda model: streamgru.Pipeline(model, "stdin:", "stdout:"),
    ],
)
def test_it_cannot_be_stepped(use, tensors):
    model = Model(spec_of(*both_ways(5, initial="learned")), tensors)
    assert not model.streams
    with pytest.raises(UnsupportedError, match=f"layer 'back' {REFUSED}, model.run"):
        use(model)


def test_what_a_last_state_is_told_to():
    """Those who forget may be told what is known so far; those who remember may not."""
    last = Gru(name="a", n_hid=3, returns="last")
    assert obstacle(spec_of(last, Dense(name="d", n_out=3)).main) is None
    reason = obstacle(spec_of(last, Dense(name="d", n_out=3), Gru(name="b", n_hid=2)).main)
    assert reason == "layer 'b' reads the last state of 'a', known only at the end of the sequence"
    assert obstacle(spec_of(last, Gru(name="b", n_hid=2, inputs=("x",))).main) is None
    assert obstacle(spec_of(last, MaxPool1d(name="p", size=2)).main) is not None


def test_a_file_a_pickle_and_what_is_said_of_it(tmp_path, rng, tensors):
    path = tmp_path / "both.safetensors"
    native.write(path, spec_of(*both_ways(5, initial="learned")), tensors)
    model = streamgru.load(path)
    x = uniform(rng, 2, 6, 3)
    assert {name: bits(tensor) for name, tensor in model.tensors.items()} == {
        name: bits(tensor) for name, tensor in tensors.items()
    }
    other = pickle.loads(pickle.dumps(model))  # noqa: S301
    assert other.fingerprint == model.fingerprint and bits(other.run(x)) == bits(model.run(x))
    assert repr(model).startswith("<Model 3 -> 10, float32")
    with pytest.raises(SpecError, match=r"no layer of the spec uses the tensor 'other.weight'"):
        Model(model.spec, tensors | {"other.weight": uniform(rng, 2, 2)})
    with pytest.raises(SpecError, match=r"tensor 'back.weight_hh': expected shape \(15, 5\)"):
        Model(model.spec, {name: tensor for name, tensor in tensors.items() if name != "back.weight_hh"})


WINDOWS = [
    Conv1d(name="w", n_out=1, size=3, before=2),
    Conv1d(name="w", n_out=1, size=3, dilation=2, before=1, after=3),
    Conv1d(name="w", n_out=1, size=2, stride=3),
    AveragePool1d(name="w", size=4, stride=2, before=1, after=2),
    MaxPool1d(name="w", size=2, stride=2),
]


@pytest.mark.parametrize("layer", WINDOWS, ids=str)
@pytest.mark.parametrize("n_steps", [0, 1, 2, 5, 12])
def test_windows(layer, n_steps, rng):
    x = uniform(rng, n_steps, 2)
    told = {key: getattr(layer, key, 1) for key in ("size", "stride", "dilation", "before", "after")}
    expected = directions_numpy.frames(x, **told) if n_steps else np.zeros((0, layer.size, 2))
    np.testing.assert_array_equal(windows(layer, x), expected)
    assert n_steps_out(layer, n_steps) == len(expected)


def test_which_windows_wait_for_the_end():
    assert [padded_after(spec_of(layer).main) for layer in WINDOWS] == [False, True, False, True, False]


def windowed(rng, layer, **changes):
    """A convolution or a pool, a GRU, and what went in beside it; and the tensors."""
    layer = msgspec.structs.replace(layer, inputs=("x",), **changes)
    n = 4 if isinstance(layer, Conv1d) else 3
    layer = msgspec.structs.replace(layer, n_out=4) if isinstance(layer, Conv1d) else layer
    tensors = gru_tensors(rng, "gru", n, 5)
    if isinstance(layer, Conv1d):
        tensors |= {"w.weight": uniform(rng, 4, layer.size * 3), "w.bias": uniform(rng, 4)}
    beside = () if layer.stride > 1 else (Concat(name="beside", inputs=("gru", "x")),)
    return spec_of(layer, Gru(name="gru", n_hid=5), *beside), tensors


@pytest.mark.parametrize("layer", WINDOWS, ids=str)
@pytest.mark.parametrize("dtype, kernel", BOTH_WAYS)
def test_layer_by_layer_is_what_a_stream_answers(layer, dtype, kernel, rng):
    """Bit for bit, as far as there is no padding behind the end."""
    spec, tensors = windowed(rng, layer, after=0)
    model = Model(spec, tensors, dtype=dtype, kernel=kernel)
    whole = Layerwise(spec.main, tensors, model.dtype, model.kernel)
    for n_steps in (0, 1, 3, 30):
        x = uniform(rng, n_steps, 3, dtype=dtype)
        assert bits(whole.run(x)[0]) == bits(model.stream().run(x)) == bits(model.run(x[None])[0])
        assert whole.n_steps_out(n_steps) == model.run(x[None]).shape[1]


@pytest.mark.parametrize("layer", [layer for layer in WINDOWS if layer.after], ids=str)
def test_padding_behind_the_end(layer, rng):
    """What the padding adds are the last answers; those before are a stream's."""
    spec, tensors = windowed(rng, layer)
    model = Model(spec, tensors)
    x, lengths = uniform(rng, 2, 30, 3), [30, 13]
    got = model.run(x, lengths)
    for rows, length, y in zip(x, lengths, got, strict=True):
        short = model.stream().run(rows[:length])
        assert bits(y[: len(short)]) == bits(short)
        options = {key: getattr(layer, key, 1) for key in ("size", "stride", "dilation", "before", "after")}
        seen = directions_numpy.frames(rows[:length], **options)
        if isinstance(layer, Conv1d):
            given = seen.reshape(len(seen), -1) @ tensors["w.weight"].T.astype(np.float64) + tensors["w.bias"]
        else:
            given = seen.sum(1) / directions_numpy.frames(np.ones_like(rows[:length]), **options).sum(1)
        expected = gru_numpy.gru(given, **of_layer(tensors, "gru"))
        n = min(len(expected), length) if layer.stride == 1 else len(expected)
        assert model.run(rows[None, :length]).shape[1] == n
        np.testing.assert_allclose(y[:n, :5], expected[:n], rtol=0, atol=1e-6)
        assert not y[n:].any()


@pytest.mark.parametrize("layer", [MaxPool1d(name="w", size=2, after=2), AveragePool1d(name="w", size=2, after=3)])
def test_windows_of_nothing_but_padding(layer):
    with pytest.raises(SpecError, match="expected at most 1 rows of padding after"):
        Model(spec_of(layer), {}).run(np.zeros((1, 4, 3)))


def test_a_network_that_streams_is_stepped(rng):
    tensors = gru_tensors(rng, "gru", 3, 6)
    model = Model(sequential(Gru(name="gru", n_hid=6, returns="last"), inputs=(Input(name="x", size=3),)), tensors)
    x = uniform(rng, 2, 8, 3)
    assert model.streams and bits(model.run(x)[1]) == bits(model.stream().run(x[1]))
    assert bits(model.finals(x[1])["gru"]) == bits(model.run(x)[1, -1])
