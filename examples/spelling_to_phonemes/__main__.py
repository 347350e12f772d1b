"""How English words are said, by an encoder and a decoder: python -m examples.spelling_to_phonemes [WORD ...]."""

import json
import sys
from pathlib import Path

import numpy as np

import streamgru
from examples.originals import original, seconds

STOP = 3
WEIGHTS = ("emb", "w_ih", "w_hh", "b_ih", "b_hh")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cell(x, h, w_ih, w_hh, b_ih, b_hh):
    """One step in NumPy: the equations of an nn.GRUCell."""
    (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(w_ih @ x + b_ih, 3), np.split(w_hh @ h + b_hh, 3)
    z = sigmoid(x_z + h_z)
    return (1 - z) * np.tanh(x_n + sigmoid(x_r + h_r) * h_n) + z * h


def in_numpy(weights, letters):
    """The tokens of a word's phonemes."""
    (enc, *encoder), (dec, *decoder) = ([weights[f"{part}_{name}"] for name in WEIGHTS] for part in ("enc", "dec"))
    h, said, token = np.zeros(256, np.float32), [], 2
    for letter in letters:
        h = cell(enc[letter], h, *encoder)
    while len(said) < 20 and token != STOP:
        h = cell(dec[token], h, *decoder)
        token = int((weights["fc_w"] @ h + weights["fc_b"]).argmax())
        said.append(token)
    return said


def main():
    folder = original("g2p_en")
    cases = json.loads((folder / "cases.json").read_text())
    model = streamgru.load(folder / "checkpoint20.npz", map=Path(__file__).with_name("g2p.toml"))
    graphemes, phonemes = cases["graphemes"], cases["phonemes"]

    def letters(word):
        return [graphemes.index(letter) for letter in word.lower()] + [graphemes.index("</s>")]

    def say(tokens):
        return model.generate([[token] for token in tokens]).tokens.tolist()

    for word in sys.argv[1:] or ("hello", "streaming", "recurrent", "neuron"):
        print(f"{word:12}", " ".join(phonemes[token] for token in say(letters(word)) if token != STOP))

    right = sum([t for t in say(case["grapheme_ids"]) if t != STOP] == case["phoneme_ids"] for case in cases["cases"])
    print(f"{right} of {len(cases['cases'])} words as the package g2p_en says them")
    words = [case["grapheme_ids"] for case in cases["cases"]]
    with np.load(folder / "checkpoint20.npz") as weights:
        arrays = dict(weights)
    assert in_numpy(arrays, words[0]) == say(words[0])
    ours = seconds(lambda: [say(word) for word in words]) / len(words)
    theirs = seconds(lambda: [in_numpy(arrays, word) for word in words]) / len(words)
    print(f"a word {ours * 1e6:.0f} µs; the same equations in NumPy {theirs / ours:.1f} times as long")


main()
