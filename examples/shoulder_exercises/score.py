"""Score a network on whole recordings, each from the zero state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from recordings import LABELS, RATE_HZ, Recording
from torch import nn

MOMENTS_S = (1.0, 2.0, 5.0, 10.0)


@torch.no_grad()
def log_probs(net: nn.Module, people: Sequence[Recording]) -> list[np.ndarray]:
    """Return the log-probabilities of every recording, (n_steps, n_classes) each."""
    net.eval()
    dtype = next(net.parameters()).dtype
    x = [torch.from_numpy(r.x).to(dtype) for r in people]
    y = net(nn.utils.rnn.pad_sequence(x, batch_first=True)).log_softmax(-1).numpy()
    return [row[: len(r.x)] for row, r in zip(y, people, strict=True)]


def score(people: Sequence[Recording], outputs: Sequence[np.ndarray]) -> dict[str, Any]:
    """Compare outputs with labels.

    Parameters
    ----------
    people : sequence of Recording
        The recordings.
    outputs : sequence of numpy.ndarray
        Log-probabilities of each, (n_steps, n_classes).

    Returns
    -------
    dict
        Shares of right answers: per step, per recording (the class with the highest mean
        log-probability), after some seconds, per person, per class; and the confusion counts
        of the recordings.
    """
    steps = [y.argmax(1) == r.label for r, y in zip(people, outputs, strict=True)]
    choices = [int(y.mean(0).argmax()) for y in outputs]
    hits = [choice == r.label for choice, r in zip(choices, people, strict=True)]

    def part(keep: Callable[[Recording], bool]) -> dict[str, Any]:
        rows = [i for i, r in enumerate(people) if keep(r)]
        return {
            "per_step": float(np.concatenate([steps[i] for i in rows]).mean()),
            "per_recording": float(np.mean([hits[i] for i in rows])),
            "n_recordings": len(rows),
        }

    confusion = np.zeros((len(LABELS), len(LABELS)), int)
    n_steps_of_class = np.zeros(len(LABELS), int)
    for r, choice in zip(people, choices, strict=True):
        confusion[r.label, choice] += 1
        n_steps_of_class[r.label] += len(r.x)
    return {
        **part(lambda r: True),
        "majority_per_step": float(n_steps_of_class.max() / n_steps_of_class.sum()),
        "majority_per_recording": float(confusion.sum(1).max() / confusion.sum()),
        "per_step_at_s": {f"{s:g}": float(np.mean([ok[int(s * RATE_HZ) - 1] for ok in steps])) for s in MOMENTS_S},
        "per_person": {str(n): part(lambda r, n=n: r.subject == n) for n in sorted({r.subject for r in people})},
        "per_class": {
            name: part(lambda r, k=k: r.label == k)
            for k, name in enumerate(LABELS)
            if any(r.label == k for r in people)
        },
        "confusion": confusion.tolist(),
    }


def table(result: dict[str, Any]) -> str:
    """Lay out what ``score`` returned as text."""
    rows = [("everyone", result)]
    rows += [(f"person {name}", part) for name, part in result["per_person"].items()]
    rows += list(result["per_class"].items())
    lines = [f"{'':12}{'per step':>10}{'per recording':>16}"]
    lines += [f"{n:12}{p['per_step']:>10.1%}{p['per_recording']:>16.1%}" for n, p in rows]
    always = result["majority_per_step"], result["majority_per_recording"]
    lines += [f"{'one class':12}{always[0]:>10.1%}{always[1]:>16.1%}"]
    lines += [f"after {s + ' s':6}{share:>10.1%}" for s, share in result["per_step_at_s"].items()]
    return "\n".join(lines)
