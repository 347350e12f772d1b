"""The gates of a traced network as a picture, drawn with matplotlib."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click
import numpy as np

from streamgru.cli.data import Sequence
from streamgru.cli.gates import MEANING, Traced, by_update, limits

WIDTH_IN, DPI = 12.0, 100  # 1200 pixels
PANEL_IN = {"signal": 1.6, "heat": 1.9}
MARGIN_IN = 1.1
FONT = {"font.size": 13, "axes.titlesize": 14, "axes.labelsize": 13, "svg.hashsalt": "streamgru"}
# Both maps, and the colours of the lines (Okabe and Ito's), can be told apart by the colour-blind.
MAPS = {"r": "cividis", "z": "cividis", "n": "PuOr", "h": "PuOr"}
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MAX_LINES = 12  # in one panel; more could not be told apart


def plotting() -> Any:
    """matplotlib; or an error that tells how to install it."""
    try:
        importlib.import_module("matplotlib.figure")
        return importlib.import_module("matplotlib")
    except ImportError:
        message = "to draw a file, matplotlib is needed; install it with: pip install 'streamgru[plots]'"
        raise click.ClickException(message) from None


def draw(found: Traced, sequence: Sequence, title: str, path: Path, rate_hz: float | None) -> None:
    """Draw inputs and gates one below the other, over the same time, into a .png or .svg file."""
    plt = plotting()
    panels = _by_unit(sequence.names)
    kinds = ["signal"] * len(panels) + ["heat"] * (4 * len(found.layers))
    heights = [PANEL_IN[kind] for kind in kinds]
    total_in = sum(heights) + MARGIN_IN
    with plt.rc_context(FONT):
        figure = plt.figure.Figure(figsize=(WIDTH_IN, total_in), dpi=DPI, layout="constrained")
        axes = figure.subplots(len(kinds), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        note = "units sorted by mean update gate z, the most renewed on top"
        figure.suptitle(f"{title}\n{sequence.title}; {note}", fontsize=14)
        begin, end = (step / (rate_hz or 1.0) for step in (found.start, found.start + len(found.x)))
        times = (found.start + 0.5 + np.arange(len(found.x))) / (rate_hz or 1.0)  # above the middle of its cell
        for axis, (unit, columns) in zip(axes, panels.items(), strict=False):
            _signals(axis, times, found, sequence.names, unit, columns)
        rest = iter(axes[len(panels) :])
        for name, gates in found.layers.items():
            order = by_update(gates)
            for key, part in gates._asdict().items():
                axis = next(rest)
                low, high = limits(key, part)
                image = axis.imshow(
                    part[:, order].T, aspect="auto", cmap=MAPS[key], vmin=low, vmax=high, interpolation="nearest",
                    extent=(begin, end, len(order) + 0.5, 0.5),
                )  # fmt: skip
                axis.set_title(f"{name}, {MEANING[key]}", loc="left")
                axis.set_ylabel("unit, sorted")
                figure.colorbar(image, ax=axis, pad=0.01, label=key, fraction=0.05)
        axes[-1].set_xlabel("time [s]" if rate_hz else "step")
        axes[-1].set_xlim(begin, end)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})


def _by_unit(names: tuple[str, ...]) -> dict[str, list[int]]:
    """Columns of the inputs, by the unit in brackets behind their names."""
    panels: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        panels.setdefault(name.partition("[")[2].rstrip("]"), []).append(i)
    return panels


def _signals(axis: Any, times: Any, found: Traced, names: tuple[str, ...], unit: str, columns: list[int]) -> None:
    for i, column in enumerate(columns[:MAX_LINES]):
        label = names[column].partition("[")[0].strip()
        axis.plot(times, found.x[:, column], color=LINES[i % len(LINES)], linewidth=1.5, label=label)
    left_out = f", the first {MAX_LINES} of {len(columns)}" if len(columns) > MAX_LINES else ""
    axis.set_title(f"Input{left_out}", loc="left")
    axis.set_ylabel(f"[{unit}]" if unit else "value")
    legend = axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=12, labelspacing=0.2)
    legend.set_in_layout(False)  # it stands above the scales of the heat maps, where there is room
