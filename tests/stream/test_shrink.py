"""Which tensors become small, and what they are rounded for."""

import numpy as np
import pytest

from streamgru.errors import InputError, NonFiniteError, SpecError
from streamgru.model.quantise import quantise
from streamgru.model.spec import Activation, Concat, Dense, Embedding, Gru, Input, LayerNorm, Slice
from streamgru.stream.calibrate import moments
from streamgru.stream.model import Model
from streamgru.stream.shrink import shrink
from tests.networks import VARIANTS, gru_tensors, of_layer, spec_of, uniform
from tests.oracle import gru_numpy

INPUTS = (Input(name="word", kind="token", vocab=5), Input(name="x", size=2))
SPEC = spec_of(
    Embedding(name="emb", n_out=3, inputs=("word",)),
    Concat(name="both", inputs=("emb", "x")),
    Dense(name="first", n_out=6, function="relu"),
    LayerNorm(name="norm"),
    Gru(name="gru", n_hid=4, initial="learned"),
    Dense(name="head", n_out=2),
    inputs=INPUTS,
)


@pytest.fixture
def tensors(rng):
    found = {"emb.weight": uniform(rng, 5, 3), "first.weight": uniform(rng, 6, 5), "first.bias": uniform(rng, 6)}
    found |= {"norm.weight": uniform(rng, 6), "head.weight": uniform(rng, 2, 4), "head.bias": uniform(rng, 2)}
    return found | gru_tensors(rng, "gru", 6, 4, h0=True)


def dtypes(tensors):
    return {name: tensor.dtype.name for name, tensor in tensors.items()}


FLOATS = dict.fromkeys(
    ("first.bias", "norm.weight", "head.bias", "gru.bias_ih", "gru.bias_hh", "gru.h0"), "float32"
)  # fmt: skip


def test_float16(tensors):
    matrices = ("emb.weight", "first.weight", "gru.weight_ih", "gru.weight_hh", "head.weight")
    small = shrink(SPEC, tensors, "f16")
    assert dtypes(small) == FLOATS | dict.fromkeys(matrices, "float16")
    for name in matrices:
        np.testing.assert_array_equal(small[name], tensors[name].astype(np.float16))


def test_int8(tensors):
    small = shrink(SPEC, tensors, "int8")
    matrices = ("first.weight", "gru.weight_ih", "gru.weight_hh")
    expected = {f"{name}.q8": "int8" for name in matrices} | {f"{name}.scale": "float32" for name in matrices}
    assert dtypes(small) == FLOATS | expected | {"emb.weight": "float16", "head.weight": "float16"}
    for name in matrices:
        widened = small[f"{name}.q8"] * small[f"{name}.scale"].astype(np.float64)[:, None]
        np.testing.assert_allclose(widened, tensors[name], atol=np.abs(tensors[name]).max() / 127)


@pytest.mark.parametrize("weights", ["int8", "f16"])
def test_what_is_not_a_matrix_stays_bit_for_bit(tensors, weights):
    small = shrink(SPEC, tensors, weights)
    for name in FLOATS:
        np.testing.assert_array_equal(small[name], tensors[name], strict=True)


def test_a_network_that_ends_in_a_gru_is_all_int8(rng):
    spec = spec_of(Dense(name="in", n_out=3), Gru(name="gru", n_hid=4))
    tensors = gru_tensors(rng, "gru", 3, 4) | {"in.weight": uniform(rng, 3, 3)}
    assert "in.weight.q8" in shrink(spec, tensors, "int8")


def test_int8_stays_and_widens_to_float16(tensors):
    once = shrink(SPEC, tensors, "int8")
    twice = shrink(SPEC, once, "int8")
    assert dtypes(twice) == dtypes(once)
    for name, tensor in once.items():
        np.testing.assert_array_equal(twice[name], tensor)
    half = shrink(SPEC, once, "f16")["gru.weight_hh"]
    q8, scale = once["gru.weight_hh.q8"], once["gru.weight_hh.scale"]
    np.testing.assert_array_equal(half, (q8.astype(np.float32) * scale[:, None]).astype(np.float16), strict=True)


def test_too_large_for_float16(tensors):
    tensors["head.weight"] = np.full((2, 4), 1e5, np.float32)
    for weights in ("f16", "int8"):
        with pytest.raises(SpecError, match=r"'head.weight': expected weights of at most 65504, got 100000"):
            shrink(SPEC, tensors, weights)


def second_moments(*vectors):
    stacked = np.concatenate(vectors)
    return stacked.T @ stacked / len(stacked)


@pytest.mark.parametrize("variant", VARIANTS)
def test_moments_of_both_directions(rng, variant):
    """What a layer that reads from the end meets, it meets in its own order."""
    tensors = gru_tensors(rng, "fore", 2, 3) | gru_tensors(rng, "back", 2, 4) | gru_tensors(rng, "top", 7, 2)
    spec = spec_of(
        Gru(name="fore", n_hid=3, inputs=("x",)),
        Gru(name="back", n_hid=4, inputs=("x",), variant=variant, direction="reverse"),
        Concat(name="both", inputs=("fore", "back")),
        Gru(name="top", n_hid=2, direction="reverse"),
        n_in=2,
    )
    data = [uniform(rng, 4100, 2), uniform(rng, 0, 2), uniform(rng, 5, 2)]
    found = moments(spec, tensors, data)
    expected_x, expected_h, expected_both = [], [], []
    for x in (data[0], data[2]):
        fore = gru_numpy.gru(x, **of_layer(tensors, "fore"))
        back = gru_numpy.gru(x[::-1], **of_layer(tensors, "back"), variant=variant)
        expected_x.append(x.astype(np.float64))
        expected_h.append(np.vstack([np.zeros(4), back[:-1]]))
        expected_both.append(np.concatenate([fore, back[::-1]], axis=1))
    for name, vectors in (
        ("back.weight_ih", expected_x), ("back.weight_hh", expected_h), ("top.weight_ih", expected_both)
    ):  # fmt: skip
        np.testing.assert_allclose(found[name][0], second_moments(*vectors), rtol=0, atol=1e-5)
    small = shrink(spec, tensors, "int8", data)
    x = data[2][None]
    np.testing.assert_allclose(Model(spec, small).run(x), Model(spec, tensors).run(x), rtol=0, atol=0.05)


@pytest.mark.parametrize("variant", VARIANTS)
def test_moments_of_a_gru_are_those_of_the_equations(rng, variant):
    """Two sequences, one of them longer than what is taken at a time; a second GRU on the first, and a slice of x."""
    tensors = gru_tensors(rng, "a", 2, 5) | gru_tensors(rng, "b", 5, 4, h0=True) | {"head.weight": uniform(rng, 2, 2)}
    spec = spec_of(
        Gru(name="a", n_hid=5, inputs=("right",)),
        Gru(name="b", n_hid=4, variant=variant, initial="learned"),
        Slice(name="some", start=1, stop=3),
        Activation(name="squash", function="relu"),
        Dense(name="head", n_out=2),
        inputs=(Input(name="left", size=1), Input(name="right", size=2)),
    )
    data = [uniform(rng, 4100, 3), uniform(rng, 7, 3)]
    found = moments(spec, tensors, data)
    wide = [x[:, 1:].astype(np.float64) for x in data]
    a = [gru_numpy.gru(x, **of_layer(tensors, "a")) for x in wide]
    b = [gru_numpy.gru(h, **of_layer(tensors, "b"), variant=variant) for h in a]
    before_a = [np.vstack([np.zeros(5), h[:-1]]) for h in a]
    before_b = [np.vstack([tensors["b.h0"], h[:-1]]) for h in b]
    expected = {
        "a.weight_ih": [second_moments(*wide)],
        "a.weight_hh": [second_moments(*before_a)],
        "b.weight_ih": [second_moments(*a)],
        "b.weight_hh": [second_moments(*before_b)],
        "head.weight": [second_moments(*(np.maximum(h[:, 1:3], 0) for h in b))],
    }
    if variant == "before":
        w, u = (np.split(tensors[f"b.weight_{key}"].astype(np.float64), 3)[0] for key in ("ih", "hh"))
        c = np.split(tensors["b.bias_ih"].astype(np.float64) + tensors["b.bias_hh"], 3)[0]
        r = [1 / (1 + np.exp(-(x @ w.T + h @ u.T + c))) for x, h in zip(a, before_b, strict=True)]
        state = expected["b.weight_hh"][0]
        expected["b.weight_hh"] = [state, state, second_moments(*(p * q for p, q in zip(r, before_b, strict=True)))]
    assert found.keys() == expected.keys()
    for name, several in expected.items():
        assert len(found[name]) == len(several), name
        for one, other in zip(found[name], several, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_moments_from_states_that_are_given(rng, variant):
    """As of a decoder, which starts from what an encoder hands to it; a layer that is left out starts as ever."""
    tensors = gru_tensors(rng, "a", 2, 5, h0=True) | gru_tensors(rng, "b", 5, 4)
    spec = spec_of(
        Gru(name="a", n_hid=5, variant=variant, initial="learned"), Gru(name="b", n_hid=4), n_in=2
    )  # fmt: skip
    data, states = [uniform(rng, 3, 2), uniform(rng, 4, 2)], [{"b": uniform(rng, 4)}, {"a": uniform(rng, 5)}]
    found = moments(spec, tensors, data, states)
    start_a, start_b = [tensors["a.h0"], states[1]["a"]], [states[0]["b"], np.zeros(4)]
    a, b = ({key: tensor for key, tensor in of_layer(tensors, name).items() if key != "h0"} for name in "ab")
    h_a = [gru_numpy.gru(x, **a, variant=variant, h0=h) for x, h in zip(data, start_a, strict=True)]
    h_b = [gru_numpy.gru(x, **b, h0=h) for x, h in zip(h_a, start_b, strict=True)]
    expected = {
        "a.weight_hh": second_moments(*(np.vstack([h, its[:-1]]) for h, its in zip(start_a, h_a, strict=True))),
        "b.weight_ih": second_moments(*h_a),
        "b.weight_hh": second_moments(*(np.vstack([h, its[:-1]]) for h, its in zip(start_b, h_b, strict=True))),
    }
    for name, one in expected.items():
        np.testing.assert_allclose(found[name][0], one, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("states", "message"), [
    ([{}], "expected a state for each of 2 sequences, got 1"),
    ([{}, {"grue": np.zeros(4)}], "expected states of gru, got one of 'grue'"),
])  # fmt: skip
def test_states_that_do_not_fit(rng, states, message):
    with pytest.raises(InputError, match=message):
        moments(
            spec_of(Gru(name="gru", n_hid=4)), gru_tensors(rng, "gru", 3, 4), [uniform(rng, 2, 3)] * 2, states
        )  # fmt: skip


def test_data_decides_the_rounding(rng):
    spec, tensors = spec_of(Gru(name="gru", n_hid=8), n_in=3), gru_tensors(rng, "gru", 3, 8)
    data = [uniform(rng, 50, 3)]
    small, found = shrink(spec, tensors, "int8", data), moments(spec, tensors, data)
    for name in ("gru.weight_ih", "gru.weight_hh"):
        expected = quantise(tensors[name], found[name])
        np.testing.assert_array_equal(small[f"{name}.q8"], expected.q8)
        np.testing.assert_array_equal(small[f"{name}.scale"], expected.scale)
    assert (small["gru.weight_hh.q8"] != shrink(spec, tensors, "int8")["gru.weight_hh.q8"]).any()
    elsewhere = shrink(spec, tensors, "int8", data, [{"gru": 5 * uniform(rng, 8)}])
    assert (small["gru.weight_hh.q8"] != elsewhere["gru.weight_hh.q8"]).any()


def test_names_that_begin_alike_are_kept_apart(rng):
    spec = spec_of(Gru(name="gru", n_hid=4), Gru(name="gru.0", n_hid=4), n_in=3)
    tensors = gru_tensors(rng, "gru", 3, 4) | gru_tensors(rng, "gru.0", 4, 4)
    assert len(moments(spec, tensors, [uniform(rng, 5, 3)])) == 4


@pytest.mark.parametrize("x", [[], [np.zeros((0, 3))]])
def test_no_data_to_calibrate_with(rng, x):
    with pytest.raises(InputError, match="calibration: expected at least one step of data, got none"):
        moments(spec_of(Gru(name="gru", n_hid=4)), gru_tensors(rng, "gru", 3, 4), x)


def test_data_that_does_not_fit(rng):
    with pytest.raises(NonFiniteError, match=r"nan|NaN"):
        moments(spec_of(Gru(name="gru", n_hid=4)), gru_tensors(rng, "gru", 3, 4), [np.full((2, 3), np.nan)])


def test_a_matrix_too_wide_for_int8_becomes_float16():
    spec = spec_of(
        Concat(name="all", inputs=("a", "b", "c")), Dense(name="first", n_out=2), Dense(name="head", n_out=1),
        inputs=tuple(Input(name=name, size=50_000) for name in "abc"),
    )  # fmt: skip
    tensors = {"first.weight": np.ones((2, 150_000), np.float32), "head.weight": np.ones((1, 2), np.float32)}
    assert dtypes(shrink(spec, tensors, "int8")) == {"first.weight": "float16", "head.weight": "float16"}


@pytest.mark.parametrize("weights", ["int8", "f16"])
def test_the_answers_are_about_the_same(tensors, weights, rng):
    x = np.column_stack([rng.integers(5, size=60), uniform(rng, 60, 2)]).astype(np.float32)
    expected = Model(SPEC, tensors).stream().run(x)
    actual = Model(SPEC, shrink(SPEC, tensors, weights, [x]), kernel="packed").stream().run(x)
    np.testing.assert_allclose(actual, expected, atol={"int8": 0.05, "f16": 0.005}[weights])
