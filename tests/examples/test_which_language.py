"""The network that guesses a language: torch's answers, and the same ones letter by letter."""

import numpy as np
import pytest
from click.testing import CliRunner

import streamgru
from tests.examples.support import EXAMPLES, module, result

MODEL = EXAMPLES / "which_language" / "model.safetensors"
SENTENCES = module("which_language", "sentences").SENTENCES


@pytest.mark.parametrize("language", SENTENCES)
def test_the_answers_are_those_of_torch(language):
    model = streamgru.load(MODEL, dtype="float64")
    tokens = model.encode(SENTENCES[language])
    expected = result("which_language")["sentences"][SENTENCES[language]]
    whole, stream = model.run([tokens])[0, -1], model.stream()
    for token in tokens:
        y = stream.step(token)
    assert np.abs(y - expected).max() < 1e-5
    assert np.array_equal(whole, y)


def test_the_most_are_right():
    model = streamgru.load(MODEL)
    guesses = {name: model.labels[model.run([model.encode(text)])[0, -1].argmax()] for name, text in SENTENCES.items()}
    assert sum(name == guess for name, guess in guesses.items()) >= len(SENTENCES) - 2, guesses


def test_letter_by_letter_at_the_shell():
    done = CliRunner().invoke(module("which_language", "guess").main, ["Godmorgen, børn"])
    lines = done.output.splitlines()
    assert done.exit_code == 0 and "".join(line[0] for line in lines if line) == "Godmorgen, børn"
    assert lines[-2].split()[1] == "Danish"


def test_what_is_kept_of_a_message():
    po = module("which_language", "messages")
    assert po.plain('Enter <b>%(name)s</b>, or {0} of 10 "rows".\\n') == "Enter or of rows"
    entry = 'msgctxt "c"\nmsgid "One "\n"row"\nmsgid_plural "rows"\nmsgstr[0] "eine Zeile"\nmsgstr[1] ""\n'
    assert list(po.read_po('msgid ""\nmsgstr "Language: de"\n\n' + entry)) == [("One row", "eine Zeile")]
