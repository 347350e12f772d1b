"""Networks that are fed their own answers, for the tests."""

import numpy as np

from streamgru.model.spec import Dense, Embedding, Feedback, Gru, Handoff, Input, Program, Spec
from tests.networks import gru_tensors, uniform

LETTERS = tuple("abcdefg")
FEEDBACK = {"input": "letter", "start": 0, "stop": 1, "limit": 40}


def letters(**feedback):
    """A language model of seven letters: its spec and its tensors."""
    rng = np.random.default_rng(3)
    item = Input(name="letter", kind="token", vocab=7, labels=LETTERS)
    layers = (Embedding(name="emb", n_out=4), Gru(name="writer", n_hid=9), Dense(name="head", n_out=7))
    program = Program(inputs=(item,), layers=layers, feedback=Feedback(**(FEEDBACK | feedback)))
    tensors = {"emb.weight": uniform(rng, 7, 4), "head.weight": uniform(rng, 7, 9, bound=2.0)}
    return Spec(programs={"main": program}), tensors | gru_tensors(rng, "writer", 4, 9, bound=1.0)


def reader_and_writer(**feedback):
    """The same, begun by what a reader of three numbers hands on."""
    spec, tensors = letters(**feedback)
    rng = np.random.default_rng(4)
    reader = Program(inputs=(Input(name="x", size=3),), layers=(Gru(name="reader", n_hid=9),))
    handoff = Handoff(source="encoder", source_layer="reader", target="decoder", target_layer="writer")
    programs = {"encoder": reader, "decoder": spec.main}
    return Spec(programs=programs, handoffs=(handoff,)), tensors | gru_tensors(rng, "reader", 3, 9)


def forecast(**feedback):
    """A network whose two numbers are its next input."""
    rng = np.random.default_rng(5)
    layers = (Gru(name="gru", n_hid=6), Dense(name="head", n_out=2))
    told = Feedback(**({"input": "x", "choose": "value", "limit": 12} | feedback))
    program = Program(inputs=(Input(name="x", size=2),), layers=layers, feedback=told)
    return Spec(programs={"main": program}), gru_tensors(rng, "gru", 2, 6) | {"head.weight": uniform(rng, 2, 6)}
