"""The pictures for the documentation."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.many import POOL, SGEMM, TWO_THREADS
from benchmarks.results import PYTHON, Results
from benchmarks.single import READ, Steps
from benchmarks.table import number

OURS, OTHERS = "#0b6e4f", "#7d7d7d"
# name -> colour, line, label
LINES = {
    READ: ("black", ":", "reading the weights once"),
    "streamgru int8, C": ("#5fb49c", "--", "streamgru int8, from C"),
    "streamgru, C": (OURS, "--", "streamgru, from C"),
    PYTHON: (OURS, "-", "streamgru, from Python"),
    "LiteRT": ("#e09f3e", "-", "LiteRT"),
    "ONNX Runtime bound": ("#3a6ea5", "-", "ONNX Runtime, IO binding"),
    "numpy": ("#7d7d7d", "-", "NumPy, by hand"),
    "OpenVINO": ("#8e5ea2", "-", "OpenVINO"),
    "torch GRUCell": ("#c0392b", "-", "torch GRUCell"),
}
BATCHED = {
    POOL: (OURS, "-", "streamgru, one thread"),
    TWO_THREADS: (OURS, "--", "streamgru, two threads"),
    "torch GRUCell": ("#c0392b", "-", "torch GRUCell"),
    SGEMM: ("#7d7d7d", ":", "sgemm, products alone"),
}
SHOWN_BATCHES = (32, 128, 512)  # n_hid
SHOWN_TAILS = ("streamgru, C", PYTHON, "ONNX Runtime bound", "torch GRUCell")
TAILS_AT = 128  # n_hid
STYLE = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}


def draw(results: Results, folder: Path) -> None:
    """bench-steps.png, bench-streams.png and bench-latency.png in *folder*."""
    with plt.rc_context(STYLE):
        _save(_steps(results), folder / "bench-steps.png")
        _save(_streams(results), folder / "bench-streams.png")
        tails = results.steps_of(TAILS_AT)
        if tails is not None:
            _save(_latency(tails), folder / "bench-latency.png")


def _steps(results: Results) -> Figure:
    figure, axes = plt.subplots(figsize=(8, 5.2))
    sizes = [steps.n_hid for steps in results.steps]
    ends = {}
    for name, (colour, line, label) in LINES.items():
        if name not in results.steps[0].times:
            continue
        us = [1e6 * float(np.median(steps.times[name])) for steps in results.steps]
        axes.plot(sizes, us, line, color=colour, marker="o", markersize=3.5)
        ends[label] = us[0], colour
    _log(axes, "n_hid (n_in = n_hid / 4)", "µs per step")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_title("One timestep of one GRU layer, one stream, one core, float32", loc="left")
    _labels(axes, sizes[0], ends)
    return figure


def _labels(axes: Axes, x: float, ends: dict[str, tuple[float, str]]) -> None:
    """Names beside the left ends of the lines, moved apart where they would lie on each other."""
    bottom, top = axes.get_ylim()
    apart, lowest = (top / bottom) ** 0.042, 0.0
    for label, (y, colour) in sorted(ends.items(), key=lambda item: item[1][0]):
        y = lowest = max(y, lowest * apart)
        axes.annotate(
            label, (x, y), xytext=(-10, 0), textcoords="offset points", ha="right", va="center", color=colour,
            annotation_clip=False,
        )  # fmt: skip
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.spines.right.set_visible(True)
    axes.spines.left.set_visible(False)


def _streams(results: Results) -> Figure:
    sizes = [n_hid for n_hid in SHOWN_BATCHES if any(batch.n_hid == n_hid for batch in results.batches)]
    figure, all_axes = plt.subplots(1, len(sizes), figsize=(3.6 * len(sizes), 4), sharex=True, squeeze=False)
    for axes, n_hid in zip(all_axes[0], sizes, strict=True):
        batches = [batch for batch in results.batches if batch.n_hid == n_hid]
        counts = [batch.n_streams for batch in batches]
        for name, (colour, line, label) in BATCHED.items():
            if name in batches[0].times:
                rates = [batch.n_streams / float(np.median(batch.times[name])) for batch in batches]
                axes.plot(counts, rates, line, color=colour, marker="o", markersize=3.5, label=label)
        _log(axes, "streams in a tick", "steps per second" if n_hid == sizes[0] else "")
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.minorticks_off()
        axes.set_title(f"{batches[0].n_in} → {n_hid}", loc="left")
    figure.legend(*all_axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle("Many streams in one tick", x=0.01, ha="left")
    return figure


def _latency(steps: Steps) -> Figure:
    names = [name for name in SHOWN_TAILS if name in steps.each_ns]
    figure, all_axes = plt.subplots(len(names), 1, figsize=(8, 1.5 * len(names)), sharex=True, squeeze=False)
    us = {name: np.maximum(steps.each_ns[name], 1) / 1e3 for name in names}
    lowest, highest = min(map(np.min, us.values())), max(map(np.max, us.values()))
    bins = np.geomspace(lowest, highest, 160)
    for axes, name in zip(all_axes[:, 0], names, strict=True):
        colour, _, label = LINES[name]
        axes.hist(us[name], bins, color=colour, log=True)
        axes.set_xscale("log")
        told = ", ".join(f"{key} {number(ns / 1e3)}" for key, ns in steps.tails[name].items())
        axes.set_title(f"{label}: {told} µs", loc="left", fontsize=10)
        axes.set_ylim(0.7)
    all_axes[-1, 0].set_xlabel("µs of a single step")
    all_axes[-1, 0].xaxis.set_major_formatter(FuncFormatter(_plain))
    figure.supylabel("steps", fontsize=10)
    figure.suptitle(f"Every step of {len(us[names[0]]):,}, {steps.n_in} → {steps.n_hid}", x=0.01, ha="left")
    return figure


def _log(axes: Axes, x: str, y: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))


def _plain(value: float, _position: object) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _save(figure: Figure, path: Path) -> None:
    figure.set_layout_engine("constrained")
    figure.savefig(path, dpi=150)
    plt.close(figure)
