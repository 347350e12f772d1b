"""What small weights cost in accuracy: decisions that are not those of float32.

    python benchmarks/small_weights.py [--json]

On the built-in network: its held-out recordings, the likeliest class at every step; never on those that it was
calibrated on. On g2p_en, if STREAMGRU_FIXTURES names the folder that has it: 62 words, most of them rare, the words of
README.md, and made-up ones; the phoneme at every decoder step when the phonemes before are those of float32. On the 62,
also the phonemes to change when each network goes on from its own, and the error of the logits (root of its mean
square). It is calibrated with words of other texts of this repository, made-up syllables or random letters.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import g2p
import numpy as np

import streamgru
from streamgru.formats.builtin import builtin_path, recordings
from streamgru.formats.read import read
from streamgru.stream.shrink import shrink

ROOT = Path(__file__).parents[1]
SYLLABLES = "bcdfghjklmnprstvwz", "aeiou"
LEVELS = {"7 bits": 63, "8 bits": 127, "14 bits": 8064}

Row = dict[str, Any]
Tensors = Mapping[str, Any]


def main() -> None:
    """Measure everything there is and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    if parser.parse_args().json:
        print(json.dumps(list(measured())))
        return
    columns: tuple[str, ...] = ()
    for row in measured():
        if tuple(row) != columns:
            columns = tuple(row)
            print(line(columns))
        print(line(row.values()), flush=True)


def line(cells: Iterable[str]) -> str:
    """Cells in columns."""
    widths = (8, 36, 6, 19, 24, 23, 9, 6)
    return "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=False)).rstrip()


def measured() -> Iterator[Row]:
    """One row for each network, weights and kernel."""
    yield from shoulder()
    folder = Path(os.environ.get("STREAMGRU_FIXTURES", "fixtures")) / "g2p_en"
    if folder.is_dir():
        yield from letters_to_phonemes(g2p.load(folder))


def shoulder() -> Iterator[Row]:
    """The built-in network on the recordings of people whom it was not trained on."""
    spec, tensors = (found := read(str(builtin_path("shoulder")))).spec, found.tensors
    x = [item.x for item in recordings().items]
    exact = streamgru.Model(spec, tensors, kernel="packed")
    expected = [exact.stream().run(one).argmax(1) for one in x]
    parts = {"1 to 3": slice(0, 3), "4 to 7": slice(3, 7)}
    small = {
        "float16": shrink(spec, tensors, "f16"),
        "int8, scale of the largest": plain_rows(tensors),
        "int8": shrink(spec, tensors, "int8"),
    }
    small |= {f"int8, calibrated on {name}": shrink(spec, tensors, "int8", x[part]) for name, part in parts.items()}
    for name, weights in small.items():
        for kernel in ("blas", "packed"):
            model = streamgru.Model(spec, weights, kernel=kernel)
            changed = [model.stream().run(one).argmax(1) != its for one, its in zip(x, expected, strict=True)]
            row: Row = {"network": "shoulder", "weights": name, "kernel": kernel}
            for part, several in parts.items():
                seen = name.endswith(f"calibrated on {part}")
                row[f"decisions, {part}"] = "-" if seen else share(np.concatenate(changed[several]))
            yield row


def letters_to_phonemes(network: g2p.G2p) -> Iterator[Row]:
    """g2p_en; a method that is calibrated is so with words that no list has which it is measured on."""
    calibration = {
        text: g2p.words_of((ROOT / text).read_text(), network.words)
        for text in ("LICENSE", "SECURITY.md", "CONTRIBUTING.md")
    }
    calibration |= {"syllables": made_up(400, SYLLABLES), "letters": made_up(400, (ascii_lowercase,) * 2)}
    seen = {word for words in calibration.values() for word in words}.union(network.words)
    readme = g2p.words_of((ROOT / "README.md").read_text(), seen)
    others = [word for word in made_up(300, SYLLABLES[::-1]) if word not in seen]
    lists = {"62 words": network.words, f"README.md, {len(readme)}": readme, f"made up, {len(others)}": others}
    exact = network.encoder.model(kernel="packed"), network.decoder.model(kernel="packed")
    texts = {name: g2p.spelled(words, network.letters) for name, words in lists.items()}
    said = {name: g2p.answers(*exact, x) for name, x in texts.items()}
    expected = {name: g2p.logits(*exact, x, said[name]) for name, x in texts.items()}

    def compared(weights: str, kernel: str, encoder: streamgru.Model, decoder: streamgru.Model) -> Row:
        row = {"network": "g2p_en", "weights": weights, "kernel": kernel}
        logits = {name: g2p.logits(encoder, decoder, x, said[name]) for name, x in texts.items()}
        for name, its in logits.items():
            row[f"decisions, {name}"] = share(its.argmax(1) != expected[name].argmax(1))
        rare = "62 words"
        edits = sum(map(g2p.edits, said[rare], g2p.answers(encoder, decoder, texts[rare])))
        row["phonemes"] = f"{edits} of {sum(map(len, said[rare]))}"
        row["logits"] = f"{apart(logits[rare], expected[rare]):.4f}"
        return row

    for bits, levels in LEVELS.items():
        parts = [RoundedInputs(part, levels) for part in (network.encoder, network.decoder)]
        yield compared(f"float32, inputs of {bits}", "NumPy", *parts)  # type: ignore[arg-type]
    for name, (encoder, decoder) in small_g2p(network, calibration).items():
        for kernel in ("blas", "packed"):
            models = [
                streamgru.Model(part.spec, tensors, kernel=kernel)
                for part, tensors in ((network.encoder, encoder), (network.decoder, decoder))
            ]
            yield compared(name, kernel, *models)


def small_g2p(network: g2p.G2p, calibration: Mapping[str, list[str]]) -> dict[str, tuple[Tensors, Tensors]]:
    """The tensors of encoder and decoder, by method; a decoder is calibrated from where the encoder leaves it."""
    parts = network.encoder, network.decoder
    exact = [part.model(kernel="packed") for part in parts]
    small: dict[str, Any] = {
        "float16": [shrink(part.spec, part.tensors, "f16") for part in parts],
        "int8, scale of the largest": [plain_rows(part.tensors) for part in parts],
        "int8": [shrink(part.spec, part.tensors, "int8") for part in parts],
    }
    for text, words in calibration.items():
        x = g2p.spelled(words, network.letters)
        said = [g2p.fed(phonemes) for phonemes in g2p.answers(*exact, x)]
        handed = [{"gru": exact[0].stream().run(word)[-1]} for word in x]
        data = (x, ()), (said, handed)
        small[f"int8, calibrated on {text}"] = [
            shrink(part.spec, part.tensors, "int8", *own) for part, own in zip(parts, data, strict=True)
        ]
    return small


def made_up(n: int, kinds: tuple[str, ...]) -> list[str]:
    """At most *n* words of letters of these kinds in turn, one to four times over."""
    rng = np.random.default_rng(0)
    return sorted({"".join(rng.choice([*kind]) for kind in kinds * int(rng.integers(1, 5))) for _ in range(n)})


def plain_rows(tensors: Tensors) -> dict[str, Any]:
    """All matrices but tables in int8 in the simplest way: rounded to the nearest, the largest weight is 127."""
    small = {}
    for name, tensor in tensors.items():
        if tensor.ndim != 2 or name.startswith("emb"):
            small[name] = tensor
            continue
        scale = (np.abs(tensor).max(1) / 127).astype(np.float32)
        small[f"{name}.q8"], small[f"{name}.scale"] = np.rint(tensor / scale[:, None]).astype(np.int8), scale
    return small


class RoundedInputs:
    """A part of g2p_en in NumPy whose vectors are rounded before each product, to so many levels on either side of 0.

    Stands in for a model, as far as ``g2p`` uses one, to tell what the rounding of inputs costs by itself.
    """

    def __init__(self, part: g2p.Part, levels: int) -> None:
        self.w = {name: tensor.astype(np.float32) for name, tensor in part.tensors.items()}
        self.levels = levels
        self.state = {"gru": np.zeros(self.w["gru.weight_hh"].shape[1], np.float32)}

    def stream(self) -> RoundedInputs:
        """Start from the zero state."""
        fresh = object.__new__(RoundedInputs)
        fresh.w, fresh.levels, fresh.state = self.w, self.levels, {"gru": np.zeros_like(self.state["gru"])}
        return fresh

    def run(self, tokens: np.ndarray) -> np.ndarray:
        """Take tokens (n_steps, 1)."""
        return np.array([self.step(token) for token in tokens])

    def step(self, token: Any) -> np.ndarray:
        """Take one token; the output, or the state where there is no head."""
        w, h = self.w, self.state["gru"]
        given = w["gru.weight_ih"] @ self.rounded(w["emb.weight"][int(token[0])]) + w["gru.bias_ih"]
        kept = w["gru.weight_hh"] @ self.rounded(h) + w["gru.bias_hh"]
        (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(given, 3), np.split(kept, 3)
        r, z = 1 / (1 + np.exp(-x_r - h_r)), 1 / (1 + np.exp(-x_z - h_z))
        self.state = {"gru": (1 - z) * np.tanh(x_n + r * h_n) + z * h}
        if "head.weight" not in w:
            return self.state["gru"]
        return w["head.weight"] @ self.rounded(self.state["gru"]) + w["head.bias"]

    def rounded(self, x: np.ndarray) -> np.ndarray:
        """The nearest of the levels, the outermost at the largest."""
        unit = np.abs(x).max() / self.levels
        return np.rint(x / unit) * unit if unit else x


def apart(logits: np.ndarray, others: np.ndarray) -> float:
    """Root of the mean square of their difference, but for what is added to all of a step: it decides nothing."""
    difference = logits.astype(np.float64) - others
    return float(np.std(difference - difference.mean(1, keepdims=True)))


def share(changed: np.ndarray) -> str:
    """How many, of how many, in per cent."""
    return f"{changed.sum()} of {changed.size}, {changed.mean():.2%}"


if __name__ == "__main__":
    main()
