"""Train a network that tells, frame by frame, what a hand in a video does, and score it on 150 other videos."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from tracks import FRAMES_PER_S, LABELS, made_track, tracks

from streamgru.formats.native import write
from streamgru.model import spec as s

HERE = Path(__file__).parent
ORIGIN = (
    "examples/hand_in_video, seed {seed}; "
    "trained on the 50 training tracks of GunPoint in the Python package aeon {aeon}"
)


@dataclass(frozen=True)
class Plan:
    """All settings; none was tuned."""

    n_filters: int = 16
    size: int = 5
    n_hid: int = 32
    dropout: float = 0.2
    n_updates: int = 600
    n_batch: int = 50
    lr: float = 4e-3


class HandNet(nn.Module):
    """Filters over the last few frames, a GRU, and a linear layer at every frame."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.before = plan.size - 1
        self.conv = nn.Conv1d(1, plan.n_filters, plan.size)
        self.gru = nn.GRU(plan.n_filters, plan.n_hid, batch_first=True)
        self.drop = nn.Dropout(plan.dropout)
        self.head = nn.Linear(plan.n_hid, len(LABELS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n_batch, n_frames, n_labels); zeros stand before the first frame."""
        x = F.pad(x.transpose(1, 2), (self.before, 0))
        x = torch.relu(self.conv(x)).transpose(1, 2)
        return self.head(self.drop(self.gru(x)[0]))


def changed(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the tracks each a little earlier or later, faster or slower, nearer, elsewhere, and shakier."""
    n_videos, n_frames, _ = x.shape
    speed = np.exp(rng.normal(0.0, 0.1, (n_videos, 1)))
    at = np.clip(rng.normal(0.0, 5.0, (n_videos, 1)) + speed * np.arange(n_frames), 0, n_frames - 1)
    moved = np.stack([np.interp(row, np.arange(n_frames), track[:, 0]) for row, track in zip(at, x, strict=True)])
    gain, offset = np.exp(rng.normal(0.0, 0.1, (n_videos, 1))), rng.normal(0.0, 0.1, (n_videos, 1))
    return (gain * moved + offset + rng.normal(0.0, 0.02, moved.shape))[:, :, None].astype(np.float32)


def fit(x: np.ndarray, labels: np.ndarray, plan: Plan, seed: int) -> HandNet:
    """Train one network; an answer at every frame counts."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = HandNet(plan).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan.lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.lr, total_steps=plan.n_updates, pct_start=0.15)
    target = torch.from_numpy(labels)[:, None].expand(-1, x.shape[1])
    for _ in range(plan.n_updates):
        logits = net(torch.from_numpy(changed(x, rng)))
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def answers(net: HandNet, track: np.ndarray) -> list[float]:
    """Return the probability of the first label at the end of every second of one track."""
    p = net(torch.from_numpy(track)[None]).softmax(-1)[0, :, 0].tolist()
    return p[int(FRAMES_PER_S) - 1 :: int(FRAMES_PER_S)]


@torch.no_grad()
def score(net: HandNet, x: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the share of right answers so many seconds after the start, five being the end."""
    right = net(torch.from_numpy(x)).argmax(-1).numpy() == labels[:, None]
    return {str(t): round(float(right[:, int(t * FRAMES_PER_S) - 1].mean()), 4) for t in (1, 2, 3, 4, 5)}


def nearest(x: np.ndarray, labels: np.ndarray, known: np.ndarray, known_labels: np.ndarray) -> float:
    """Return the share of right answers of the nearest whole track, which no one has before the end."""
    distance = ((x[:, None] - known[None]) ** 2).sum((2, 3))
    return round(float((known_labels[distance.argmin(1)] == labels).mean()), 4)


def native(net: HandNet, origin: str) -> tuple[s.Spec, dict[str, np.ndarray]]:
    """Return the network as streamgru's spec and tensors."""
    n_filters, _, size = net.conv.weight.shape
    program = s.Program(
        inputs=(s.Input(name="hand", features=("x",)),),
        layers=(
            s.Conv1d(name="conv", n_out=n_filters, size=size, before=size - 1, function="relu"),
            s.Gru(name="gru", n_hid=net.gru.hidden_size),
            s.Dense(name="head", n_out=len(LABELS)),
            s.Softmax(name="softmax"),
        ),
        outputs=(s.Output(name="gesture", labels=tuple(LABELS.values())),),
    )
    state = {name.removesuffix("_l0"): tensor.detach().numpy() for name, tensor in net.state_dict().items()}
    state["conv.weight"] = state["conv.weight"][:, 0]  # one channel: (n_filters, size), the oldest frame first in both
    spec = s.Spec(programs={"main": program}, title="What a hand in a video does, frame by frame", origin=origin)
    return spec, state


@click.command()
@click.option("--seed", default=0, show_default=True, help="Same seed, same weights.")
@click.option("--out", type=click.Path(path_type=Path), default=HERE, help="Where to write.")
def main(seed: int, out: Path) -> None:
    """Train on the 50 videos that the makers of the data set meant for it; score on the other 150."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    plan, known, unseen = Plan(), tracks("TRAIN"), tracks("TEST")
    began = time.perf_counter()
    net = fit(*known, plan, seed)
    seconds = time.perf_counter() - began
    packages = ("torch", "numpy", "aeon")
    report = {
        "seed": seed,
        "seconds": round(seconds),
        "settings": asdict(plan),
        "n_parameters": sum(tensor.numel() for tensor in net.parameters()),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "after_s": score(net, *unseen),
        "nearest_track": nearest(*unseen, *known),
        "made_track": answers(net, made_track()),
    }
    click.echo(json.dumps(report, indent=2))
    out.mkdir(parents=True, exist_ok=True)
    write(out / "model.safetensors", *native(net, ORIGIN.format(seed=seed, aeon=version("aeon"))))
    (out / "result.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
