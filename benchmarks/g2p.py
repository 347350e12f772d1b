"""The network of the Python package g2p_en, letters to phonemes, as two models: encoder and decoder.

Its weights are not part of the project: the folder that the environment variable STREAMGRU_FIXTURES names
has them, and what the package itself answers for 62 words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import streamgru
from streamgru.model import spec as s

START, END = 2, 3  # phonemes
LONGEST = 20  # phonemes of a word
NAMES = {"weight_ih": "w_ih", "weight_hh": "w_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}


class Part(NamedTuple):
    """Encoder or decoder: what it is, and its weights."""

    spec: s.Spec
    tensors: dict[str, Any]

    def model(self, **settings: Any) -> streamgru.Model:
        """Make a model of it."""
        return streamgru.Model(self.spec, self.tensors, **settings)


class G2p(NamedTuple):
    """Both parts, and what they spell with."""

    encoder: Part
    decoder: Part
    letters: list[str]
    words: list[str]  # the 62


def load(folder: Path) -> G2p:
    """Read the weights as they are."""
    with np.load(folder / "checkpoint20.npz", allow_pickle=False) as file:
        weights = dict(file)
    cases = json.loads((folder / "cases.json").read_text())

    def part(prefix: str, vocab: int, *head: s.Dense) -> Part:
        tensors = {"emb.weight": weights[f"{prefix}_emb"]}
        tensors |= {f"gru.{ours}": weights[f"{prefix}_{theirs}"] for ours, theirs in NAMES.items()}
        if head:
            tensors |= {"head.weight": weights["fc_w"], "head.bias": weights["fc_b"]}
        token = s.Input(name="token", kind="token", vocab=vocab)
        layers = (s.Embedding(name="emb", n_out=256), s.Gru(name="gru", n_hid=256), *head)
        return Part(s.sequential(*layers, inputs=(token,)), tensors)

    words = [case["word"] for case in cases["cases"]]
    return G2p(part("enc", 29), part("dec", 74, s.Dense(name="head", n_out=74)), cases["graphemes"], words)


def words_of(text: str, but: Iterable[str]) -> list[str]:
    """The different words of a text, without some."""
    return sorted(set(re.findall(r"[a-z]{3,}", text.lower())) - set(but))


def spelled(words: Iterable[str], letters: Sequence[str]) -> list[np.ndarray]:
    """What the encoder is given for each word, (n_steps, 1)."""
    known = [[letter if letter in letters else "<unk>" for letter in word] for word in words]
    return [np.array([[letters.index(letter)] for letter in [*word, "</s>"]]) for word in known]


def answers(encoder: streamgru.Model, decoder: streamgru.Model, x: Iterable[np.ndarray]) -> list[list[int]]:
    """Greedy phonemes of each word, the end among them."""
    found = []
    for word in x:
        stream = decoder.stream()
        stream.state = {"gru": encoder.stream().run(word)[-1]}
        said = [START]
        while said[-1] != END and len(said) <= LONGEST:
            said.append(int(stream.step([said[-1]]).argmax()))
        found.append(said[1:])
    return found


def logits(
    encoder: streamgru.Model, decoder: streamgru.Model, x: Sequence[np.ndarray], said: Sequence[Sequence[int]]
) -> np.ndarray:
    """How likely each phoneme is at each step of all words, when what went before was *said*: (n_steps, 74)."""
    found = []
    for word, phonemes in zip(x, said, strict=True):
        stream = decoder.stream()
        stream.state = {"gru": encoder.stream().run(word)[-1]}
        found.append(stream.run(fed(phonemes)))
    return np.concatenate(found)


def fed(phonemes: Sequence[int]) -> np.ndarray:
    """What the decoder is given to say these, (n_steps, 1)."""
    return np.array([[START], *([phoneme] for phoneme, _ in pairwise(phonemes))])


def edits(a: Sequence[int], b: Sequence[int]) -> int:
    """Levenshtein's distance: phonemes to change, add or take away."""
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            last, row[j] = row[j], min(last + (one != other), row[j] + 1, row[j - 1] + 1)
    return row[-1]
