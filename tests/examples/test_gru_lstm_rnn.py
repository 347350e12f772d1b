"""The three networks, by the weights that are kept: as right as torch found them to be."""

import numpy as np
import pytest
from safetensors.numpy import load_file

import streamgru
from streamgru.formats.builtin import recordings
from tests.examples.support import EXAMPLES, result

FOLDER = EXAMPLES / "gru_lstm_rnn"


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step_lstm(a, h, c):
    """PyTorch's LSTM; *a* are the sums of products and biases, rows i | f | g | o."""
    i, f, g, o = np.split(a, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def step_rnn(a, h, c):
    return np.tanh(a), c


@pytest.mark.parametrize(("cell", "step"), [("lstm", step_lstm), ("rnn", step_rnn)])
def test_the_others_by_their_equations(cell, step):
    w = load_file(FOLDER / f"{cell}.safetensors")
    hits = []
    for item in recordings().items:
        h = c = np.zeros(w[f"{cell}.weight_hh"].shape[1])
        for x in item.x * w["scale.weight"] + w["scale.bias"]:
            a = w[f"{cell}.weight_ih"] @ x + w[f"{cell}.bias_ih"] + w[f"{cell}.weight_hh"] @ h + w[f"{cell}.bias_hh"]
            h, c = step(a, h, c)
            hits.append((w["head.weight"] @ h + w["head.bias"]).argmax() == item.label)
    assert abs(np.mean(hits) - result("gru_lstm_rnn")["cells"][cell]["excerpt"]) < 1e-3


def test_the_gru():
    model = streamgru.load(FOLDER / "gru.safetensors")
    hits = [model.stream().run(item.x).argmax(1) == item.label for item in recordings().items]
    found = result("gru_lstm_rnn")["cells"]["gru"]
    assert abs(np.concatenate(hits).mean() - found["excerpt"]) < 1e-3


def test_all_are_of_one_size():
    sizes = [cell["n_parameters"] for cell in result("gru_lstm_rnn")["cells"].values()]
    assert max(sizes) < 1.01 * min(sizes)
