"""A spec as data: written, read again, and refused where it is wrong."""

import json

import pytest

from streamgru.errors import SpecError, UnsupportedError
from streamgru.model import spec as s

EVERY_LAYER = (
    s.Embedding(name="e", n_out=2, inputs=("word",)),
    s.Concat(name="c", inputs=("x", "e")),
    s.Gru(name="g", n_hid=4, variant="before", gate="hard_sigmoid", candidate="relu", clip=3.0, initial="learned"),
    s.Dense(name="d", n_out=4, function="tanh"),
    s.Scale(name="sc"),
    s.BatchNorm(name="bn", eps=0.5),
    s.LayerNorm(name="ln"),
    s.Activation(name="a", function="hard_sigmoid_keras3"),
    s.Softmax(name="so"),
    s.Normalize(name="no", to="sum"),
    s.Slice(name="sl", start=1, stop=3),
    s.Add(name="ad", inputs=("sl", "sl")),
    s.Mul(name="m", inputs=("ad", "sl")),
    s.Div(name="di", inputs=("m", "sl")),
    s.Conv1d(name="co", n_out=3, size=5, stride=2, dilation=3, before=12, after=1, function="relu"),
    s.AveragePool1d(name="av", size=3, before=2, padding="counted"),
    s.MaxPool1d(name="ma", size=2, stride=2),
)
INPUTS = (
    s.Input(name="x", size=2, features=("ax", "ay"), unit="m/s²"),
    s.Input(name="word", kind="token", vocab=50),
)
OUTPUTS = (s.Output(name="y", start=0, stop=2, labels=("no", "yes"), factor=2.0, offset=1.0, unit="K"),)
FULL = s.sequential(*EVERY_LAYER, inputs=INPUTS, outputs=OUTPUTS, title="every layer")
PLAIN = {"programs": {"main": {"inputs": [{"name": "x"}], "layers": [{"kind": "gru", "name": "g", "n_hid": 2}]}}}


def changed(**change):
    """The plain spec with keys of its only layer changed."""
    plain = json.loads(json.dumps(PLAIN))
    plain["programs"]["main"]["layers"][0].update(change)
    return json.dumps(plain)


def test_every_layer_is_in_this_test():
    assert {type(layer) for layer in EVERY_LAYER} == set(s.LAYER_KINDS.values())


def test_json_round_trip():
    text = s.to_json(FULL)
    assert s.from_json(text) == FULL
    assert s.to_json(s.from_json(text)) == text
    assert s.checked(FULL) == FULL


def test_toml():
    text = """
        title = "a thermostat"
        [[programs.main.inputs]]
        name = "x"
        size = 2
        [[programs.main.layers]]
        kind = "gru"
        name = "gru"
        n_hid = 8
    """
    expected = s.sequential(s.Gru(name="gru", n_hid=8), inputs=(s.Input(name="x", size=2),), title="a thermostat")
    assert s.from_toml(text) == expected


def test_the_file_says_its_format():
    assert json.loads(s.to_json(FULL))["format"] == s.FORMAT == 1


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "spec"),
        ("[1]", "spec"),
        ("{", "spec"),
        (b"\xff\xfe", "spec"),
        ("{}", "programs"),
        ("[" * 100_000, "spec"),
        (json.dumps(PLAIN | {"format": 2}), "expected format 1, got 2"),
        (json.dumps(PLAIN | {"format": "1"}), "expected format 1, got '1'"),
        (json.dumps(PLAIN | {"colour": 1}), "colour"),
        (changed(colour=1), "colour"),
        (changed(kind="lstm"), "lstm"),
        (changed(n_hid=0), "n_hid"),
        (changed(n_hid=70_000), "n_hid"),
        (changed(n_hid="2"), "n_hid"),
        (changed(n_hid=2.5), "n_hid"),
        (changed(clip=0), "clip"),
        (changed(clip=-1), "clip"),
        (changed(gate="maxout"), "gate"),
        (changed(variant="middle"), "variant"),
        (changed(name=""), "name"),
        (changed(name="a b"), "name"),
        (changed(name="../x"), "name"),
        (changed(name="x" * 201), "name"),
    ],
)
def test_refused(text, words):
    with pytest.raises(SpecError, match=words):
        s.from_json(text)


@pytest.mark.parametrize("text", ["x = ", "format = 9", "[programs", "x = 1"])
def test_toml_refused(text):
    with pytest.raises(SpecError):
        s.from_toml(text)


@pytest.mark.parametrize("layer", [s.Gru(name="g", n_hid=-1), s.Gru(name="g", n_hid=2, gate="maxout"), object(), 5])
def test_what_is_made_in_python_is_checked_as_well(layer):
    with pytest.raises(SpecError):
        s.checked(s.sequential(layer, inputs=(s.Input(name="x"),)))


def main(**program):
    return s.Program(inputs=(s.Input(name="x"),), layers=(s.Gru(name="g", n_hid=1),), **program)


@pytest.mark.parametrize(
    "spec, words",
    [
        (s.Spec(programs={}), "none"),
        (s.Spec(programs={"encoder": main()}), "encoder"),
        (s.Spec(programs={"main": main(), "other": main()}), "main, other"),
    ],
)
def test_main_is_the_only_program(spec, words):
    """Others are understood, and refused where there must be one."""
    assert s.from_json(s.to_json(spec)) == spec
    with pytest.raises(UnsupportedError, match=words):
        _ = spec.main
