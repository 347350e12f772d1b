"""Measure what a step of each network costs, and draw it beside their scores."""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from pathlib import Path

import click
import matplotlib.pyplot as plt
import numpy as np
import torch
from compare import HERE
from networks import CELLS, N_HID, STEPS
from safetensors.numpy import load_file

import streamgru
from streamgru.formats.builtin import recordings

NAMES = {"gru": "GRU", "lstm": "LSTM", "rnn": "plain RNN"}


def microseconds(step: Callable[[], object]) -> float:
    """Return how long a call takes: the median of 21 rounds of 500 calls."""
    rounds = timeit.repeat(step, number=500, repeat=21)
    return round(float(np.median(rounds)) / 500 * 1e6, 2)


def with_numpy(cell: str, x: np.ndarray) -> Callable[[], object]:
    """Return a step of the whole network in NumPy."""
    tensors = load_file(HERE / f"{cell}.safetensors")
    w = {name.removeprefix(f"{cell}."): tensor for name, tensor in tensors.items()}
    state = (np.zeros(N_HID[cell], np.float32),) * (2 if cell == "lstm" else 1)

    def step() -> np.ndarray:
        nonlocal state
        state = STEPS[cell](w, x * w["scale.weight"] + w["scale.bias"], *state)
        e = np.exp(w["head.weight"] @ state[0] + w["head.bias"])
        return e / e.sum()

    return step


def with_torch(cell: str, x: np.ndarray) -> Callable[[], object]:
    """Return a step of the recurrent layer alone in PyTorch."""
    layer, row, state = CELLS[cell](len(x), N_HID[cell]), torch.from_numpy(x.copy())[None], None

    @torch.inference_mode()
    def step() -> torch.Tensor:
        nonlocal state
        y, state = layer(row, state)
        return y

    return step


def draw(report: dict, path: Path) -> None:
    """Draw the scores of all seeds, and the time of a step."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for i, cell in enumerate(CELLS):
        shares = [100 * scores["per_step"] for scores in report["cells"][cell]["held_out"]]
        left.bar(i, np.mean(shares), color="#c9d6e8")
        left.plot([i] * len(shares), shares, "o", color="#24476b", markersize=4)
        for at, (way, color) in enumerate({"numpy": "#c9d6e8", "torch": "#8fa9c9", "streamgru": "#24476b"}.items()):
            if way in (found := report["cells"][cell]["microseconds"]):
                bar = right.bar(i + 0.28 * (at - 1), found[way], 0.26, color=color, label=way if i == 0 else None)
                right.bar_label(bar, fmt="%.3g", fontsize=8)
    for axes, title in ((left, "right timesteps of unseen people, %"), (right, "a timestep, µs")):
        axes.set_xticks(range(3), [NAMES[cell] for cell in CELLS])
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    right.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


@click.command()
def main() -> None:
    """Add the cost of a step to result.json, and draw picture.png."""
    torch.set_num_threads(1)
    path = HERE / "result.json"
    report = json.loads(path.read_text())
    x = recordings().items[0].x[0]
    stream = streamgru.load(HERE / "gru.safetensors").stream()
    for cell, result in report["cells"].items():
        result["microseconds"] = {
            "numpy": microseconds(with_numpy(cell, x)),
            "torch": microseconds(with_torch(cell, x)),
            **({"streamgru": microseconds(lambda: stream.step(x))} if cell == "gru" else {}),
        }
        click.echo(f"{NAMES[cell]}: {result['microseconds']}")
    path.write_text(json.dumps(report, indent=2) + "\n")
    draw(report, HERE / "picture.png")


if __name__ == "__main__":
    main()
