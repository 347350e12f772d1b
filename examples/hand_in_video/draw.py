"""Draw some of the test tracks, coloured by what the network said at each frame."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from tracks import FRAMES_PER_S, LABELS, tracks

import streamgru

HERE = Path(__file__).parent
N_TRACKS = 20  # of each kind, the first ones


def main() -> None:
    """Write picture.png."""
    model, (x, labels) = streamgru.load(HERE / "model.safetensors"), tracks("TEST")
    seconds = np.arange(x.shape[1]) / FRAMES_PER_S
    figure, panels = plt.subplots(1, len(LABELS), figsize=(9, 3.2), sharey=True, layout="constrained")
    for kind, (axes, title) in enumerate(zip(panels, LABELS.values(), strict=True)):
        for track in x[labels == kind][:N_TRACKS]:
            p = model.stream().run(track)[:, 1]
            axes.plot(seconds, track[:, 0], color="#d0d0d0", linewidth=0.5)
            dots = axes.scatter(seconds, track[:, 0], c=p, cmap="coolwarm", vmin=0, vmax=1, s=3, zorder=3)
        axes.set_title(f"{N_TRACKS} videos in which someone {title}", fontsize=10)
        axes.set_xlabel("seconds")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("position of the hand")
    figure.colorbar(dots, label=f"probability of “{model.labels[1]}”")
    figure.savefig(HERE / "picture.png", dpi=80)


if __name__ == "__main__":
    main()
