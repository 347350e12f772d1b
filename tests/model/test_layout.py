"""Where a network's values lie, and every spec and tensor that does not fit."""

import numpy as np
import pytest

from streamgru.errors import SpecError
from streamgru.model import spec as s
from streamgru.model.layout import ALIGN, lay_out, tensor_shapes
from tests.networks import gru_tensors

X = s.Input(name="x", size=3)
WORD = s.Input(name="word", kind="token", vocab=5)
GRU = s.Gru(name="g", n_hid=2)


def program(*layers, inputs=(X,), outputs=()):
    return s.Program(inputs=inputs, layers=layers, outputs=outputs)


def gru(**change):
    """The tensors of GRU, some of them changed; None takes one away."""
    tensors = gru_tensors(np.random.default_rng(0), "g", 3, 2) | change
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def test_nothing_overlaps_and_everything_is_aligned():
    layers = (
        s.Gru(name="a", n_hid=17),
        s.Gru(name="b", n_hid=1),
        s.Concat(name="c", inputs=("a", "b", "x")),
        s.Slice(name="d", start=1, stop=20),
    )
    rng = np.random.default_rng(0)
    layout = lay_out(program(*layers), gru_tensors(rng, "a", 3, 17) | gru_tensors(rng, "b", 17, 1), header=ALIGN)
    values = [layout.x]
    for placed in layout.layers:
        values += [value for value in (placed.output, placed.gates, placed.scratch) if value is not None]
    for places, end in ((values, layout.n_work), (layout.state, layout.n_state)):
        places = sorted(places, key=lambda place: place.offset)
        assert all(place.offset % ALIGN == 0 for place in places)
        ends = [place.offset for place in places[1:]] + [end]
        assert all(place.offset + place.size <= limit for place, limit in zip(places, ends, strict=True))
    assert [entry.name for entry in layout.state] == ["a", "b"]
    assert layout.state[0].offset == ALIGN
    assert layout.y == layout.layers[-1].output and layout.y.size == 19


def test_inputs_lie_one_behind_the_other():
    layers = (s.Embedding(name="e", n_out=2, inputs=("word",)),)
    tensors = {"e.weight": np.zeros((5, 2))}
    layout = lay_out(program(*layers, inputs=(X, WORD, s.Input(name="z"))), tensors, header=ALIGN)
    assert layout.x.size == 5
    assert [(token.index, token.vocab, token.name) for token in layout.tokens] == [(3, 5, "word")]


def test_tensor_shapes_of_a_gru():
    shapes = tensor_shapes(s.Gru(name="g", n_hid=2, initial="learned"), 3)
    assert shapes["weight_ih"] == ((6, 3), True)
    assert shapes["weight_hh"] == ((6, 2), True)
    assert shapes["bias_ih"] == shapes["bias_hh"] == ((6,), False)
    assert shapes["h0"] == ((2,), True)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"g.weight_ih": None}, r"'g.weight_ih': expected shape \(6, 3\)"),
        ({"g.weight_hh": np.zeros((2, 6))}, r"'g.weight_hh': expected shape \(6, 2\), got \(2, 6\)"),
        ({"g.bias_ih": np.zeros((6, 1))}, r"expected shape \(6,\), got \(6, 1\)"),
        ({"g.weight_hh": np.zeros((6, 2), int)}, "expected floats, got int64"),
        ({"g.weight_hh": np.zeros((6, 2), complex)}, "expected floats, got complex128"),
        ({"g.weight_hh": np.array([["a"] * 2] * 6)}, "expected floats, got <U1"),
        ({"g.bias_hh": np.full(6, np.nan)}, "'g.bias_hh': holds NaN or infinity"),
        ({"g.bias_hh": np.full(6, np.inf)}, "'g.bias_hh': holds NaN or infinity"),
        ({"g.h0": np.zeros(2)}, "no layer of the spec uses the tensor 'g.h0'"),
        ({"other": np.zeros(2), "more": np.zeros(2)}, "'more' .*1 others"),
    ],
)
def test_tensors_that_do_not_fit(change, words):
    with pytest.raises(SpecError, match=words):
        lay_out(program(GRU), gru(**change), ALIGN)


@pytest.mark.parametrize(
    "wrong, words",
    [
        (program(inputs=(X,)), "at least one input and one layer"),
        (program(GRU, inputs=()), "at least one input and one layer"),
        (program(GRU, inputs=(X, X)), "'x' is taken twice"),
        (program(s.Softmax(name="a"), s.Softmax(name="a")), "'a' is taken twice"),
        (program(s.Softmax(name="x")), "'x' is taken twice"),
        (program(s.Softmax(name="a", inputs=("b",)), s.Softmax(name="b")), "neither an input nor an earlier layer"),
        (program(s.Softmax(name="a", inputs=("x", "x"))), r"takes 1 input\(s\), got 2"),
        (program(s.Add(name="a")), r"takes 2 input\(s\), got 1"),
        (program(s.Slice(name="s", start=0, stop=2), s.Mul(name="m", inputs=("x", "s"))), "one size, got 3 and 2"),
        (program(s.Slice(name="s", start=2, stop=2)), "2:2 is no slice of 3"),
        (program(s.Slice(name="s", start=0, stop=4)), "0:4 is no slice of 3"),
        (program(s.Softmax(name="a"), inputs=(WORD,)), "takes floats, but 'word' is a token"),
        (program(s.Concat(name="a"), inputs=(X, WORD)), "takes floats, but 'word' is a token"),
        (program(s.Embedding(name="e", n_out=2)), "takes one token input, got x"),
        (program(s.Embedding(name="e", n_out=2), inputs=(X, WORD)), "takes one token input, got x, word"),
        (program(s.Embedding(name="e", n_out=2), inputs=(WORD, X)), "takes one token input, got word, x"),
        (program(s.Softmax(name="a"), inputs=(s.Input(name="x", kind="token"),)), "size 1 and a vocab"),
        (
            program(s.Softmax(name="a"), inputs=(s.Input(name="x", kind="token", size=2, vocab=3),)),
            "size 1 and a vocab",
        ),
        (program(s.Softmax(name="a"), inputs=(s.Input(name="x", vocab=3),)), "only a token input has a vocab"),
        (program(s.Softmax(name="a"), inputs=(s.Input(name="x", features=("u", "v")),)), "expected 1 features, got 2"),
        (program(s.Softmax(name="a"), outputs=(s.Output(name="y", start=3),)), "3:3 is no slice of 3"),
        (program(s.Softmax(name="a"), outputs=(s.Output(name="y", stop=4),)), "0:4 is no slice of 3"),
        (program(s.Softmax(name="a"), outputs=(s.Output(name="y", labels=("a", "b")),)), "expected 3 labels, got 2"),
        (program(s.Softmax(name="a"), outputs=(s.Output(name="y"), s.Output(name="y"))), "'y' is taken twice"),
    ],
)
def test_programs_that_cannot_be(wrong, words):
    with pytest.raises(SpecError, match=words):
        lay_out(wrong, {}, ALIGN)


def test_no_table_is_read_with_a_number_that_is_no_token():
    """A table of no rows fits a vocabulary of no words: x[0] would point anywhere."""
    wrong = program(s.Embedding(name="e", n_out=2), inputs=(X, WORD))
    with pytest.raises(SpecError, match="takes one token input"):
        lay_out(wrong, {"e.weight": np.zeros((0, 2))}, ALIGN)


def test_a_network_beyond_the_limit():
    wide = s.Concat(name="a", inputs=("x",) * 8)
    layers = [wide] + [s.Concat(name=f"a{i}", inputs=("a" if i == 0 else f"a{i - 1}",) * 8) for i in range(4)]
    with pytest.raises(SpecError, match="needs more than"):
        lay_out(program(*layers, inputs=(s.Input(name="x", size=65_536),)), {}, ALIGN)
