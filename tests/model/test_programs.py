"""Specs of several programs: whose a tensor is, and what of their links does not fit."""

import msgspec
import numpy as np
import pytest

from streamgru.errors import SpecError, UnsupportedError
from streamgru.model.programs import divided, lay_out_all
from streamgru.model.spec import (
    Dense,
    Embedding,
    Feedback,
    Gru,
    Handoff,
    Input,
    Output,
    Program,
    Softmax,
    Spec,
    from_json,
    identity,
    to_json,
)
from streamgru.stream.model import Model
from tests.networks import gru_tensors, uniform

TOKEN = Input(name="said", kind="token", vocab=6)


def encoder(n_hid=4):
    return Program(inputs=(Input(name="x", size=3),), layers=(Gru(name="reader", n_hid=n_hid),))


def decoder(*more, inputs=(TOKEN,), n_out=6, outputs=(), **feedback):
    layers = (Embedding(name="emb", n_out=2), Gru(name="writer", n_hid=4), Dense(name="head", n_out=n_out), *more)
    told = Feedback(**({"input": "said", "start": 1, "stop": 2} | feedback))
    return Program(inputs=inputs, layers=layers, outputs=outputs, feedback=told)


def handoff(source="encoder", source_layer="reader", target="decoder", target_layer="writer"):
    return Handoff(source=source, source_layer=source_layer, target=target, target_layer=target_layer)


def spec(*handoffs, **programs):
    return Spec(programs={"encoder": encoder(), "decoder": decoder()} | programs, handoffs=handoffs or (handoff(),))


@pytest.fixture
def tensors(rng):
    found = gru_tensors(rng, "reader", 3, 4) | gru_tensors(rng, "writer", 2, 4)
    return found | {"emb.weight": uniform(rng, 6, 2), "head.weight": uniform(rng, 6, 4)}


def test_every_program_has_its_own_tensors(tensors):
    parts = divided(spec(), tensors)
    assert {name.split(".")[0] for name in parts["encoder"][1]} == {"reader"}
    assert {name.split(".")[0] for name in parts["decoder"][1]} == {"writer", "emb", "head"}
    assert {name: layout.y.size for name, layout in lay_out_all(spec(), tensors).items()} == {
        "encoder": 4,
        "decoder": 6,
    }


def test_json(tensors):
    assert from_json(to_json(spec())) == spec()


def refuse(wrong, tensors, words, error=SpecError):
    """Before a model is made, and before a file is written."""
    for use in (lambda: Model(wrong, tensors), lambda: lay_out_all(wrong, tensors)):
        with pytest.raises(error, match=words):
            use()


@pytest.mark.parametrize(
    "links, words",
    [
        ([handoff(source="nobody")], "expected a program, decoder or encoder, got 'nobody'"),
        ([handoff(target="nobody")], "expected a program"),
        ([handoff(source_layer="writer")], "expected a GRU layer of 'encoder', reader, got 'writer'"),
        ([handoff(target_layer="head")], "expected a GRU layer of 'decoder', writer, got 'head'"),
        ([handoff(), handoff()], "another state is handed to the same layer"),
        ([handoff("encoder", "reader", "encoder", "reader")], "the programs encoder wait for each other"),
        ([handoff(), handoff("decoder", "writer", "encoder", "reader")], "decoder, encoder wait for each other"),
    ],
)
def test_handoffs_that_lead_nowhere(links, words, tensors):
    refuse(spec(*links), tensors, words)


def test_handoffs_of_different_sizes(tensors, rng):
    refuse(
        spec(encoder=encoder(5)), tensors | gru_tensors(rng, "reader", 3, 5), "expected states of one size, got 5 and 4"
    )


@pytest.mark.parametrize(
    "program, words",
    [
        (decoder(input="nothing"), "feedback: expected an input, said, got 'nothing'"),
        (decoder(output="nothing"), "feedback: expected an output, none, got 'nothing'"),
        (decoder(start=6), r"start: expected a token, an integer in \[0, 6\), got 6"),
        (decoder(start=-1), "start: expected a token"),
        (decoder(start=(1.0,)), "start: expected a token"),
        (decoder(stop=6), r"stop: expected a token, an integer in \[0, 6\), got 6"),
        (decoder(choose="value"), "6 numbers are fed back, but input 'said' takes a token"),
        (decoder(Softmax(name="soft"), choose="sample"), "sampling takes logits, but 'soft' is a softmax"),
        (decoder(inputs=(Input(name="said", kind="token", vocab=5),)), "largest of 6 numbers is fed back, but"),
    ],
)
def test_feedback_that_does_not_fit(program, words, tensors):
    if program.inputs[0].vocab == 5:
        tensors["emb.weight"] = tensors["emb.weight"][:5]
    refuse(spec(decoder=program), tensors, words)


def numbers(*, n_out=3, inputs=None, **feedback):
    layers = (Gru(name="writer", n_hid=4), Dense(name="head", n_out=n_out))
    told = Feedback(**({"input": "x", "choose": "value"} | feedback))
    return Spec(programs={"main": Program(inputs=inputs or (Input(name="x", size=3),), layers=layers, feedback=told)})


@pytest.mark.parametrize(
    "wrong, words",
    [
        (numbers(n_out=2), "2 numbers are fed back, but input 'x' takes 3 numbers"),
        (numbers(choose="argmax"), "'argmax' gives a token, but input 'x' takes floats"),
        (numbers(start=1), "start: expected 3 finite numbers, got 1"),
        (numbers(start=(1.0, 2.0)), "start: expected 3 finite numbers"),
        (numbers(stop=1), "stop: only a token can end it"),
    ],
)
def test_numbers_that_do_not_fit(wrong, words, rng):
    n_out = wrong.main.layers[-1].n_out
    refuse(wrong, gru_tensors(rng, "writer", 3, 4) | {"head.weight": uniform(rng, n_out, 4)}, words)


def test_a_start_that_is_not_finite_does_not_survive_json():
    with pytest.raises(SpecError, match="start"):
        from_json(to_json(numbers(start=(1.0, float("nan"), 0.0))))


def test_other_inputs_beside_what_is_fed_back(rng):
    inputs = (Input(name="x", size=3), Input(name="more"))
    tensors = gru_tensors(rng, "writer", 4, 4) | {"head.weight": uniform(rng, 3, 4)}
    refuse(numbers(inputs=inputs), tensors, "programs with one input, got x, more", UnsupportedError)


def test_names_and_programs(tensors):
    twice = Program(inputs=(Input(name="x", size=3),), layers=(Gru(name="writer", n_hid=4),))
    refuse(spec(encoder=twice), tensors, "layer 'writer': programs decoder and encoder have one of that name each")
    refuse(Spec(programs={}), {}, "no program")
    refuse(Spec(programs={"decoder": decoder()}), tensors, "is called main, got 'decoder'")
    refuse(spec(), tensors | {"other.weight": np.zeros((1, 1), np.float32)}, "no layer of the spec uses the tensor")
    given = Program(inputs=(Input(name="x", size=3, per="stream"),), layers=(Gru(name="reader", n_hid=4),))
    refuse(spec(encoder=given), tensors, "once per stream", UnsupportedError)
    many = Spec(programs={f"p{i}": encoder() for i in range(17)})
    with pytest.raises(SpecError, match="length <= 16"):
        Model(many, {})


LABELS = tuple("abcdef")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"labels": LABELS[:5]}, "expected 6 different labels, got 5"),
        ({"labels": (*LABELS[:5], "a")}, "expected 6 different labels, got 5"),
        ({"labels": LABELS, "end": 6}, r"end: expected a token, an integer in \[0, 6\), got 6"),
        ({"labels": LABELS, "unknown": 9}, "unknown: expected a token"),
    ],
)
def test_labels_that_do_not_fit(changes, words, tensors):
    item = msgspec.structs.replace(TOKEN, **changes)
    refuse(spec(decoder=decoder(inputs=(item,))), tensors, words)


def test_numbers_have_no_labels(tensors):
    item = Input(name="x", size=3, labels=("a", "b", "c"))
    wrong = spec(encoder=Program(inputs=(item,), layers=(Gru(name="reader", n_hid=4),)))
    refuse(wrong, tensors, "only a token input has labels")


def test_labels_are_for_people(tensors):
    """What is computed is the same, and so is the fingerprint."""
    item = msgspec.structs.replace(TOKEN, labels=LABELS, split="words", unknown=0, end=1)
    named = spec(decoder=decoder(inputs=(item,), outputs=(Output(name="next", labels=LABELS),)))
    assert identity(named) == identity(spec())
    assert Model(named, tensors).fingerprint == Model(spec(), tensors).fingerprint
