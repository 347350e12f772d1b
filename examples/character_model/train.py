"""Train a network that writes like Shakespeare, and measure it on a play that it never saw."""

from __future__ import annotations

import json
import math
import platform
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import baselines
import click
import numpy as np
import plays
import torch
from network import START, CharacterNet, native, round_to_half
from torch.nn import functional as F

from streamgru.formats.native import write

ORIGIN = (
    "examples/character_model, seed {seed}; "
    "trained on 41 works of Shakespeare out of the Python package shakespeare 0.6"
)
EXCERPT = 4000  # characters of the held-out play that the tests have


@dataclass(frozen=True)
class Plan:
    """All settings; none was tuned."""

    n_embedding: int = 32
    n_hid: int = 192
    n_batch: int = 64
    n_steps: int = 100
    n_epochs: int = 4
    lr: float = 5e-3


def fit(text: np.ndarray, n_letters: int, plan: Plan, seed: int) -> CharacterNet:
    """Train one network.

    The text is cut into *n_batch* long parts that are read side by side, from their starts to their ends; the state
    goes on from window to window, gradients do not.

    Parameters
    ----------
    text : numpy.ndarray
        The training text as tokens.
    n_letters : int
        Number of tokens there are.
    plan : Plan
        The settings.
    seed : int
        Fixes the initial weights.
    """
    torch.manual_seed(seed)
    net = CharacterNet(n_letters, plan.n_embedding, plan.n_hid)
    n_windows = (len(text) - 1) // (plan.n_batch * plan.n_steps)
    parts = (plan.n_batch, n_windows * plan.n_steps)
    x, target = (torch.from_numpy(text[i : i + math.prod(parts)].reshape(parts)) for i in (0, 1))
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan.lr)
    n_updates, state = plan.n_epochs * n_windows, None
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.lr, total_steps=n_updates, pct_start=0.1)
    with click.progressbar(range(n_updates), label="training") as updates:
        for update in updates:
            at = update % n_windows * plan.n_steps
            state = state.detach() if at and state is not None else None
            window = slice(at, at + plan.n_steps)
            logits, state = net(x[:, window], state)
            loss = F.cross_entropy(logits.flatten(0, 1), target[:, window].flatten())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return net.eval()


@torch.no_grad()
def bits_per_character(net: CharacterNet, text: np.ndarray, start: int) -> float:
    """Return the mean of -log2 of what the network gave to the letter that came, in one run from the zero state."""
    target = torch.from_numpy(text)
    x = torch.cat([torch.tensor([start]), target[:-1]])
    logits, _ = net(x[None])
    return F.cross_entropy(logits[0], target).item() / math.log(2)


@click.command()
@click.option("--seed", default=0, show_default=True, help="Same seed, same weights.")
@click.option("--epochs", default=Plan.n_epochs, show_default=True, help="How often the text is read.")
@click.option("--out", type=click.Path(path_type=Path), default=plays.HERE, help="Where to write.")
@click.option("--data", type=click.Path(path_type=Path), default=Path(), help="Where the archive is, or is put.")
def main(seed: int, epochs: int, out: Path, data: Path) -> None:
    """Train on 41 works; measure on the play that is left."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    plan = Plan(n_epochs=epochs)
    training, play, letters = plays.split(plays.works(data))
    token = {letter: i for i, letter in enumerate(letters)}
    train_tokens, play_tokens = (np.array([token[c] for c in text]) for text in (training, play))
    began = time.perf_counter()
    net = fit(train_tokens, len(letters), plan, seed)
    seconds = time.perf_counter() - began
    whole = bits_per_character(net, play_tokens, token[START])
    round_to_half(net)
    report = {
        "seed": seed,
        "seconds": round(seconds),
        "settings": asdict(plan),
        "held_out": plays.HELD_OUT,
        "n_characters": {"training": len(training), "held_out": len(play)},
        "n_parameters": sum(tensor.numel() for tensor in net.parameters()),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("torch", "numpy")}},
        "bits_per_character": {
            "network": bits_per_character(net, play_tokens, token[START]),
            "network_float32": whole,
            "excerpt": bits_per_character(net, play_tokens[:EXCERPT], token[START]),
            **baselines.measure(training, play),
        },
    }
    click.echo(json.dumps(report["bits_per_character"], indent=2))
    out.mkdir(parents=True, exist_ok=True)
    write(out / "model.safetensors", *native(net, letters, ORIGIN.format(seed=seed)))
    (out / "excerpt.txt").write_text(play[:EXCERPT])
    (out / "result.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
