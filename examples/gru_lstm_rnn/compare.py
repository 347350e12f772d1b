"""Train a GRU, an LSTM and a plain RNN of one size alike, and write down how they do."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from networks import CELLS, N_HID, Network
from torch.nn import functional as F

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "shoulder_exercises"))  # its recordings, its augmentation and its scores

from augment import MIRROR, Augment, draw_batch  # noqa: E402
from recordings import LABELS, Recording, load  # noqa: E402
from score import log_probs, score  # noqa: E402

HELD_OUT = (8, 9, 10)  # as in shoulder_exercises
FOLD = (2, 5)  # left out of the training to choose the learning rate
RATES = (1e-3, 4e-3, 1e-2)
N_SEEDS = 3
N_UPDATES, N_BATCH, N_STEPS = 300, 64, 300


def fit(cell: str, people: Sequence[Recording], lr: float, seed: int) -> Network:
    """Train one network; everything but the cell is the same for all."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    x = np.concatenate([r.x for r in people])
    x = np.concatenate([x, x * MIRROR])
    mean, std = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    net = Network(cell, mean, std, len(LABELS)).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=N_UPDATES, pct_start=0.15)
    for _ in range(N_UPDATES):
        windows, labels = draw_batch(people, N_BATCH, N_STEPS, Augment(), std, rng)
        target = torch.from_numpy(labels)[:, None].expand(-1, N_STEPS)
        loss = F.cross_entropy(net(torch.from_numpy(windows)).flatten(0, 1), target.flatten(), label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return net.eval()


def shares(net: Network, people: Sequence[Recording]) -> dict[str, float]:
    """Return the share of right answers, per step and per recording."""
    found = score(people, log_probs(net, people))
    return {name: round(found[name], 4) for name in ("per_step", "per_recording")}


def compare(cell: str, people: Sequence[Recording]) -> tuple[dict[str, Any], Network]:
    """Choose the learning rate on FOLD; train with it on all of people 1 to 7; return scores and the first network."""
    known = [r for r in people if r.subject not in HELD_OUT]
    unseen = [r for r in people if r.subject in HELD_OUT]
    others, fold = ([r for r in known if (r.subject in FOLD) is inside] for inside in (False, True))
    validation = {f"{lr:g}": shares(fit(cell, others, lr, 0), fold) for lr in RATES}
    lr = max(RATES, key=lambda lr: validation[f"{lr:g}"]["per_step"])
    nets = [fit(cell, known, lr, seed) for seed in range(N_SEEDS)]
    result = {
        "n_hid": N_HID[cell],
        "n_parameters": sum(tensor.numel() for tensor in nets[0].parameters()),
        "lr": lr,
        "validation": validation,
        "held_out": [shares(net, unseen) for net in nets],
    }
    return result, nets[0]


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=HERE, help="Where to write.")
def main(out: Path) -> None:
    """Train on people 1 to 7 of the smartwatch recordings; score on people 8, 9 and 10."""
    from export import write_weights

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    people = load()
    report: dict[str, Any] = {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("torch", "numpy")}},
        "settings": {"updates": N_UPDATES, "batch": N_BATCH, "steps": N_STEPS, "fold": FOLD, "held_out": HELD_OUT},
        "cells": {},
    }
    out.mkdir(parents=True, exist_ok=True)
    for cell in CELLS:
        result, net = compare(cell, people)
        result["excerpt"] = write_weights(out, cell, net)
        report["cells"][cell] = result
        click.echo(f"{cell}: {json.dumps(result)}")
    (out / "result.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
