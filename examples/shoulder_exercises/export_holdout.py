"""Write a few recordings of the held-out people for the package, and torch's outputs on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from network import ExerciseNet
from recordings import CHANNELS, LABELS, RATE_HZ, SIDES, Recording, load
from safetensors.torch import load_file
from score import log_probs
from train import HELD_OUT, HERE

DATA = HERE.parents[1] / "streamgru" / "data" / "shoulder.npz"


def choose(people: Sequence[Recording]) -> list[Recording]:
    """Return one recording per exercise, taking the held-out people and the sides in turn."""
    chosen = []
    for label in range(len(LABELS)):
        subject, side = HELD_OUT[label % len(HELD_OUT)], label % len(SIDES)
        chosen += [r for r in people if (r.label, r.subject, r.side) == (label, subject, side)]
    return chosen


def load_network(folder: Path) -> ExerciseNet:
    """Return the network that ``train.py`` wrote into a folder."""
    settings = json.loads((folder / "result.json").read_text())["settings"]
    state = load_file(folder / "shoulder.torch.safetensors")
    n_in = len(CHANNELS)
    net = ExerciseNet(
        torch.zeros(n_in),
        torch.ones(n_in),
        settings["n_dense"],
        settings["n_hid"],
        settings["n_layers"],
        len(LABELS),
    )
    net.load_state_dict(state)
    return net.eval()


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=DATA, help="The recordings.")
@click.option("--reference", type=click.Path(path_type=Path), help="Torch's outputs, if wanted.")
def main(out: Path, reference: Path | None) -> None:
    """Write the excerpt and, if asked, torch's softmax at every timestep of it."""
    torch.set_num_threads(1)
    chosen = choose(load())
    start = np.cumsum([0] + [len(r.x) for r in chosen], dtype=np.int64)
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        out,
        x=np.concatenate([r.x for r in chosen]),
        start=start,
        label=np.array([r.label for r in chosen], np.int64),
        subject=np.array([r.subject for r in chosen], np.int64),
        side=np.array([SIDES[r.side] for r in chosen]),
        labels=np.array(list(LABELS.values())),
        channels=np.array(CHANNELS),
        rate_hz=np.float64(RATE_HZ),
    )
    minutes = start[-1] / RATE_HZ / 60
    click.echo(f"{out.name}: {len(chosen)} recordings, {minutes:.1f} min, {out.stat().st_size} B")
    if reference is not None:
        net = load_network(HERE)
        y32 = np.concatenate([np.exp(y) for y in log_probs(net, chosen)])
        y64 = np.concatenate([np.exp(y) for y in log_probs(net.double(), chosen)])
        np.savez_compressed(reference, start=start, y32=y32, y64=y64)
        click.echo(f"{reference.name}: float32 is within {np.abs(y32 - y64).max():.1e} of float64")


if __name__ == "__main__":
    main()
