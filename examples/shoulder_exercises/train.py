"""Train the shoulder-exercise network and score it on three people it never saw."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from augment import MIRROR, Augment, draw_batch
from network import ExerciseNet
from recordings import LABELS, Recording, load
from safetensors.torch import save_file
from score import log_probs, score, table
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

HERE = Path(__file__).parent
HELD_OUT = (8, 9, 10)  # the last three numbers, fixed before any training
FOLDS = ((1, 4, 7), (2, 5), (3, 6))  # people left out in turn to choose the settings


@dataclass(frozen=True)
class Plan:
    """All settings, chosen on people 1 to 7; see README.md for what was compared."""

    n_dense: int = 0
    n_hid: int = 64
    n_layers: int = 1
    dropout: float = 0.3
    n_updates: int = 500
    n_batch: int = 64
    n_steps: int = 500
    lr: float = 4e-3
    weight_decay: float = 1e-2
    smoothing: float = 0.05
    ema: float = 0.99
    augment: Augment = field(default_factory=Augment)


def fit(people: Sequence[Recording], plan: Plan, seed: int) -> ExerciseNet:
    """Train one network.

    Parameters
    ----------
    people : sequence of Recording
        What to learn from.
    plan : Plan
        The settings.
    seed : int
        Fixes the initial weights and all that is drawn.

    Returns
    -------
    ExerciseNet
        The network, with the running average of its weights.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    x = np.concatenate([r.x for r in people])
    x = np.concatenate([x, x * MIRROR])
    mean, std = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    net = ExerciseNet(
        torch.tensor(mean, dtype=torch.float32),
        torch.tensor(std, dtype=torch.float32),
        plan.n_dense,
        plan.n_hid,
        plan.n_layers,
        len(LABELS),
        plan.dropout,
    )
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(plan.ema))
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan.lr, weight_decay=plan.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.lr, total_steps=plan.n_updates, pct_start=0.15)
    net.train()
    with click.progressbar(range(plan.n_updates), label="training") as updates:
        for _ in updates:
            xs, labels = draw_batch(people, plan.n_batch, plan.n_steps, plan.augment, std, rng)
            logits = net(torch.from_numpy(xs))
            target = torch.from_numpy(labels)[:, None].expand(-1, plan.n_steps)
            loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), label_smoothing=plan.smoothing)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(net)
    return average.module.eval()


def validate(people: Sequence[Recording], plan: Plan, seed: int) -> dict[str, Any]:
    """Score the settings on each fold's people, trained on the others; pool the outputs."""
    left, outputs = [], []
    for fold in FOLDS:
        net = fit([r for r in people if r.subject not in fold], plan, seed)
        left += [r for r in people if r.subject in fold]
        outputs += log_probs(net, [r for r in people if r.subject in fold])
    return score(left, outputs)


def changed(plan: Plan, settings: Sequence[str]) -> Plan:
    """Return the plan with ``name=value`` settings applied, to its augmentation too."""
    for setting in settings:
        name, _, value = setting.partition("=")
        owner = plan.augment if hasattr(plan.augment, name) else plan
        if not hasattr(owner, name):
            raise click.BadParameter(f"no setting is called {name!r}")
        new = replace(owner, **{name: type(getattr(owner, name))(value)})
        plan = replace(plan, augment=new) if isinstance(new, Augment) else new
    return plan


@click.command()
@click.option("--seed", default=0, show_default=True, help="Same seed, same weights.")
@click.option("--out", type=click.Path(path_type=Path), default=HERE, help="Where to write.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change a setting.")
@click.option("--validation", is_flag=True, help="Score on people 1 to 7 in turn, write nothing.")
def main(seed: int, out: Path, settings: tuple[str, ...], validation: bool) -> None:
    """Train on people 1 to 7; score on people 8, 9 and 10."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    plan = changed(Plan(), settings)
    people = load()
    known = [r for r in people if r.subject not in HELD_OUT]
    unseen = [r for r in people if r.subject in HELD_OUT]
    began = time.perf_counter()
    if validation:
        click.echo(table(validate(known, plan, seed)))
        click.echo(f"{time.perf_counter() - began:.0f} s")
        return
    net = fit(known, plan, seed)
    seconds = time.perf_counter() - began
    result = score(unseen, log_probs(net, unseen))
    click.echo(table(result))
    out.mkdir(parents=True, exist_ok=True)
    save_file(net.state_dict(), out / "shoulder.torch.safetensors")
    report = {
        "seed": seed,
        "seconds": round(seconds),
        "split": {
            "rule": "the last three subject numbers are held out",
            "trained_on": sorted({r.subject for r in known}),
            "held_out": list(HELD_OUT),
        },
        "settings": asdict(plan),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "numpy", "seglearn", "safetensors")},
        },
        "held_out_scores": result,
    }
    (out / "result.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
