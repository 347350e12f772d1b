"""Spelling to phonemes as one network of two programs: its 62 words, from Python, from its file and from the shell."""

import json
import subprocess
import sys

import numpy as np
import pytest

import streamgru
from streamgru.formats import native
from streamgru.model import spec as s
from tests.golden.test_fixtures import FIXTURES, arrays

pytestmark = pytest.mark.skipif(not FIXTURES.is_dir(), reason="fixtures are absent")

# The recorded logits are float32 themselves, 1.8e-5 from what float64 gives.
LOGITS, STATES = 2e-5, 1e-5


@pytest.fixture(scope="module")
def cases():
    """The labels, and the words with their phonemes."""
    return json.loads((FIXTURES / "g2p_en" / "cases.json").read_text())


@pytest.fixture(scope="module")
def network(cases):
    """Its spec and its tensors, PyTorch's convention being ours."""
    weights = arrays("g2p_en", "checkpoint20.npz")
    names = {"weight_ih": "w_ih", "weight_hh": "w_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}
    tensors = {f"reader.{ours}": weights[f"enc_{theirs}"] for ours, theirs in names.items()}
    tensors |= {f"speaker.{ours}": weights[f"dec_{theirs}"] for ours, theirs in names.items()}
    tensors |= {"letter.weight": weights["enc_emb"], "phoneme.weight": weights["dec_emb"]}
    tensors |= {"head.weight": weights["fc_w"], "head.bias": weights["fc_b"]}
    graphemes, phonemes = tuple(cases["graphemes"]), tuple(cases["phonemes"])
    letters = s.Input(name="letters", kind="token", vocab=29, labels=graphemes, unknown=1, end=2)
    said = s.Input(name="said", kind="token", vocab=74, labels=phonemes, split="words")
    encoder = s.Program(
        inputs=(letters,), layers=(s.Embedding(name="letter", n_out=256), s.Gru(name="reader", n_hid=256))
    )
    decoder = s.Program(
        inputs=(said,),
        layers=(
            s.Embedding(name="phoneme", n_out=256),
            s.Gru(name="speaker", n_hid=256),
            s.Dense(name="head", n_out=74),
        ),
        feedback=s.Feedback(input="said", start=cases["bos"], stop=cases["eos"], limit=cases["max_steps"]),
    )
    handoff = s.Handoff(source="encoder", source_layer="reader", target="decoder", target_layer="speaker")
    return s.Spec(programs={"encoder": encoder, "decoder": decoder}, handoffs=(handoff,)), tensors


@pytest.mark.parametrize("dtype, kernel", [("float32", "packed"), ("float32", "blas"), ("float64", "blas")])
def test_all_words(dtype, kernel, network, cases, tmp_path):
    expected = arrays("g2p_en", "expected.npz")
    native.write(tmp_path / "g2p.safetensors", *network)
    for model in (
        streamgru.Model(*network, dtype=dtype, kernel=kernel),
        streamgru.load(tmp_path / "g2p.safetensors", dtype=dtype, kernel=kernel),
    ):
        found = model.generate([case["word"] for case in cases["cases"]])
        assert [one.text.split() for one in found] == [case["phonemes"] for case in cases["cases"]]
        assert [len(one.tokens) for one in found] == expected["logits_len"].tolist()
        logits = np.concatenate([one.values for one in found])
        np.testing.assert_allclose(logits, expected["logits"], rtol=0, atol=LOGITS)
        for case, h in zip(cases["cases"], expected["encoder_final_h"], strict=True):
            letters = np.array(case["grapheme_ids"])[:, None]
            np.testing.assert_allclose(model.programs["encoder"].finals(letters)["reader"], h, rtol=0, atol=STATES)


def test_from_the_shell(network, cases, tmp_path):
    native.write(tmp_path / "g2p.safetensors", *network)
    words = "".join(f"{case['word']}\n" for case in cases["cases"])
    done = subprocess.run(
        [sys.executable, "-m", "streamgru", "generate", str(tmp_path / "g2p.safetensors")],
        input=words, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [" ".join(case["phonemes"]) for case in cases["cases"]]
