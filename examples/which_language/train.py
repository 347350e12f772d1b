"""Train a network that guesses the language of a text, and score it on sentences that it never saw."""

from __future__ import annotations

import json
import platform
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from messages import LANGUAGES, Message, held_out, messages
from sentences import SENTENCES
from torch import nn
from torch.nn import functional as F

from streamgru.formats.native import write
from streamgru.model import spec as s
from streamgru.stream.shrink import shrink

HERE = Path(__file__).parent
ORIGIN = "examples/which_language, seed {seed}; trained on the translations of Django {django} (BSD-3-Clause)"
UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # stands for every letter that the training has seldom
RARE = 10
MOMENTS = (5, 10, 20, 40)  # letters


@dataclass(frozen=True)
class Plan:
    """All settings."""

    n_embedding: int = 24
    n_hid: int = 96
    dropout: float = 0.4
    noise: float = 0.05
    n_updates: int = 3000
    n_batch: int = 64
    n_steps: int = 48
    lr: float = 4e-3


class LanguageNet(nn.Module):
    """Letters in, one language after each of them out."""

    def __init__(self, n_letters: int, plan: Plan) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_letters, plan.n_embedding)
        self.gru = nn.GRU(plan.n_embedding, plan.n_hid, batch_first=True)
        self.drop = nn.Dropout(plan.dropout)
        self.head = nn.Linear(plan.n_hid, len(LANGUAGES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n_batch, n_steps, n_languages)."""
        return self.head(self.drop(self.gru(self.drop(self.embedding(x)))[0]))


def alphabet(known: Sequence[Message]) -> tuple[str, ...]:
    """Return the letters of the training, the one for all others last."""
    counts = Counter("".join(message.text for message in known))
    return (*sorted(letter for letter, n in counts.items() if n >= RARE), UNKNOWN)


def encode(text: str, letters: tuple[str, ...]) -> np.ndarray:
    """Return a text as tokens."""
    token = {letter: i for i, letter in enumerate(letters)}
    return np.array([token.get(letter, len(letters) - 1) for letter in text])


def draw_batch(
    texts: list[np.ndarray], words: list[np.ndarray], unknown: int, plan: Plan, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tokens and targets, (n_batch, n_steps): parts of the languages' texts, each from the start of a word on.

    Every language comes as often as the others. Some letters are taken for unknown ones, so that no single one counts
    too much.
    """
    languages = rng.integers(len(texts), size=plan.n_batch)
    starts = [rng.choice(words[language]) for language in languages]
    x = np.stack([texts[language][i : i + plan.n_steps] for language, i in zip(languages, starts, strict=True)])
    x[rng.random(x.shape) < plan.noise] = unknown
    target = np.repeat(languages[:, None], plan.n_steps, 1)
    return torch.from_numpy(x), torch.from_numpy(target)


def fit(known: Sequence[Message], letters: tuple[str, ...], plan: Plan, seed: int) -> LanguageNet:
    """Train one network; an answer after every letter counts."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    joined = [[m.text for m in known if m.language == language] for language in range(len(LANGUAGES))]
    texts = [encode(" ".join(rng.permutation(part)), letters) for part in joined]
    space = letters.index(" ")
    words = [np.flatnonzero(text[: -plan.n_steps - 1] == space) + 1 for text in texts]
    net = LanguageNet(len(letters), plan).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan.lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.lr, total_steps=plan.n_updates, pct_start=0.1)
    with click.progressbar(range(plan.n_updates), label="training") as updates:
        for _ in updates:
            x, target = draw_batch(texts, words, len(letters) - 1, plan, rng)
            loss = F.cross_entropy(net(x).flatten(0, 1), target.flatten())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return net.eval()


@torch.no_grad()
def score(net: LanguageNet, unseen: Sequence[Message], letters: tuple[str, ...]) -> dict[str, Any]:
    """Return the share of right answers: at the end of each text, and after so many letters of those that have them."""
    guesses = [net(torch.from_numpy(encode(m.text, letters))[None])[0].argmax(-1).numpy() for m in unseen]
    right = [guess == m.language for guess, m in zip(guesses, unseen, strict=True)]
    per_language = {
        name: round(float(np.mean(hits)), 3)
        for i, name in enumerate(LANGUAGES.values())
        if (hits := [r[-1] for r, m in zip(right, unseen, strict=True) if m.language == i])
    }
    wrong = Counter(
        (m.language, int(guess[-1])) for guess, m in zip(guesses, unseen, strict=True) if guess[-1] != m.language
    )
    names = list(LANGUAGES.values())
    return {
        "n_texts": len(unseen),
        "at_the_end": round(float(np.mean([r[-1] for r in right])), 4),
        "after_letters": {str(n): round(float(np.mean([r[n - 1] for r in right if len(r) >= n])), 4) for n in MOMENTS},
        "per_language": per_language,
        "mistaken": [f"{names[a]} for {names[b]}: {n}" for (a, b), n in wrong.most_common(5)],
    }


@torch.no_grad()
def answers(net: LanguageNet, text: str, letters: tuple[str, ...]) -> list[float]:
    """Return the probability of every language at the end of a text."""
    return net(torch.from_numpy(encode(text, letters))[None])[0, -1].softmax(-1).tolist()


def native(net: LanguageNet, letters: tuple[str, ...], origin: str) -> tuple[s.Spec, dict[str, np.ndarray]]:
    """Return the network as streamgru's spec and tensors, the matrices in float16."""
    spec = s.Spec(
        programs={
            "main": s.Program(
                inputs=(
                    s.Input(name="letter", kind="token", vocab=len(letters), labels=letters, unknown=len(letters) - 1),
                ),
                layers=(
                    s.Embedding(name="embedding", n_out=net.embedding.embedding_dim),
                    s.Gru(name="gru", n_hid=net.gru.hidden_size, returns="last"),
                    s.Dense(name="head", n_out=len(LANGUAGES)),
                    s.Softmax(name="softmax"),
                ),
                outputs=(s.Output(name="language", labels=tuple(LANGUAGES.values())),),
            )
        },
        title="The language of a text, by its letters",
        origin=origin,
    )
    state = {name.removesuffix("_l0"): tensor.detach().numpy() for name, tensor in net.state_dict().items()}
    return spec, shrink(spec, state, "f16")


@click.command()
@click.option("--seed", default=0, show_default=True, help="Same seed, same weights.")
@click.option("--out", type=click.Path(path_type=Path), default=HERE, help="Where to write.")
def main(seed: int, out: Path) -> None:
    """Train on nine tenths of Django's messages; score on the others, and on those of WTForms."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    plan, django = Plan(), messages("django")
    known = [message for message in django if not held_out(message)]
    seen = {(message.text, message.language) for message in known}
    unseen = {
        "django": [m for m in django if held_out(m)],
        "wtforms": [m for m in messages("wtforms") if (m.text, m.language) not in seen],
    }
    letters = alphabet(known)
    began = time.perf_counter()
    net = fit(known, letters, plan, seed)
    seconds = time.perf_counter() - began
    with torch.no_grad():
        for tensor in net.parameters():
            if tensor.ndim == 2:  # as in the native file
                tensor.copy_(tensor.half().float())
    scores = {name: score(net, texts, letters) for name, texts in unseen.items()}
    click.echo(json.dumps(scores, indent=2))
    out.mkdir(parents=True, exist_ok=True)
    write(out / "model.safetensors", *native(net, letters, ORIGIN.format(seed=seed, django=version("django"))))
    packages = ("torch", "numpy", "django", "wtforms")
    report = {
        "seed": seed,
        "seconds": round(seconds),
        "settings": asdict(plan),
        "n_texts": len(known),
        "n_letters": len(letters),
        "n_parameters": sum(tensor.numel() for tensor in net.parameters()),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "held_out": scores,
        "sentences": {text: answers(net, text, letters) for text in SENTENCES.values()},
    }
    (out / "result.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
