"""The network that writes: as good as torch found it to be, and the same text everywhere."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

import streamgru
from streamgru.kernels import packed
from tests.examples.support import EXAMPLES, result

MODEL = EXAMPLES / "character_model" / "model.safetensors"
GOLDEN = "a66f685b312c706e"  # of the text that this writes; another text is other bits
WRITE = """
import sys, streamgru
model = streamgru.load(sys.argv[1], kernel="packed")
sys.stdout.write(model.generate("HAMLET.\\n", seed=1, temperature=0.7, limit=300).text)
"""


def test_bits_per_character_are_those_of_torch():
    model = streamgru.load(MODEL, dtype="float64")
    text = (MODEL.parent / "excerpt.txt").read_text(encoding="ascii")
    tokens = model.encode(text)
    start = model.spec.main.feedback.start
    logits = model.stream().run(np.concatenate([[[start]], tokens[:-1]]))
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    found = -np.take_along_axis(logs, tokens, 1).mean() / np.log(2)
    assert abs(found - result("character_model")["bits_per_character"]["excerpt"]) < 1e-5


@pytest.mark.parametrize("isa", packed.isas())
def test_the_same_text_on_every_instruction_set(isa):
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(MODEL)], capture_output=True, env={**os.environ, packed.VARIABLE: isa}
    )
    assert done.returncode == 0, done.stderr.decode()
    assert hashlib.sha256(done.stdout).hexdigest()[:16] == GOLDEN


def test_it_beats_every_baseline():
    bits = result("character_model")["bits_per_character"]
    assert bits["network"] < min(bits[name] for name in ("gzip", "xz_behind_training", "order_3", "order_5"))
