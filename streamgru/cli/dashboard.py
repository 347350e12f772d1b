"""What the live demonstration shows: one frame, made of the state of the playback."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamgru.cli.playback import Playback, Score, percentile_us
from streamgru.cli.plot import bar, curve, fitted
from streamgru.cli.screen import Line

WINDOW_S = 10.0  # of signal on the screen
WIDEST = 110  # beyond, lines are too long to follow
OVERHEAD = 9  # rows beside those of signals and classes, when nothing is left out


def frame(play: Playback, columns: int, rows: int, speed: str) -> list[Line]:
    """Draw everything for a terminal of that size.

    From the top: who does what, the signals with a strip that tells where the guess was right, the
    classes, and the figures. A low terminal loses blank lines first, then rows from the bottom.
    """
    width = min(columns, WIDEST) - 1
    score = play.score()
    n_signals, n_classes = len(play.data.channels), len(play.data.labels)
    tall = (rows - n_classes - OVERHEAD - 1) // n_signals
    blocks = [
        _header(play, width),
        _signals(play, width, min(max(tall, 1), 3)),
        _classes(play, width),
        _figures(play, score, width, speed),
    ]
    blank: list[Line] = [[]] if sum(map(len, blocks)) + len(blocks) - 1 <= rows else []
    return [line for i, block in enumerate(blocks) for line in (blank if i else []) + block][:rows]


def _header(play: Playback, width: int) -> list[Line]:
    item, data = play.recording, play.data
    marks: Line = [("✓", "good") if score.guess == score.truth else ("✗", "bad") for score in play.done]
    marks += [("●", "bold"), *[("○", "dim")] * (len(play.numbers) - len(marks) - 1)]
    what = f" streamgru demo   {len(data.channels)} signals at {data.rate_hz:g} Hz → GRU → {len(data.labels)} exercises"
    who = f"person {item.subject}, {item.side} arm, never seen in training"
    return [
        [(fitted(what, width - len(marks)), "dim"), *marks],
        [(" " + data.labels[item.label], "bold"), ("  " + who, "dim")],
    ]


def _signals(play: Playback, width: int, height: int) -> list[Line]:
    """A curve for each channel, and below the verdicts of the same stretch of time."""
    rate, x = play.data.rate_hz, play.recording.x
    names, units = zip(*(channel.partition(" ")[::2] for channel in play.data.channels), strict=True)
    name_width = max(map(len, names)) + 2
    unit_width = 7 + max(len(unit.strip("[]")) for unit in units)
    dots = 2 * max(width - name_width - unit_width - 2, 1)
    per_dot = max(round(WINDOW_S * rate / dots), 1)
    shown = x[: play.at]
    lines: list[Line] = []
    for channel, (name, unit) in enumerate(zip(names, units, strict=True)):
        low, high = np.percentile(x[:, channel], (0.5, 99.5))
        drawn = curve(shown[:, channel], low, high, dots, per_dot, height)
        value = f"{shown[-1, channel]:+7.2f} {unit.strip('[]')}".replace("-", "−")
        for row, text in enumerate(drawn):
            first = row == (height - 1) // 2
            lines.append([
                (fitted(f" {name}" if first else "", name_width), ""),
                (text, "signal" if channel < 3 else "other"),
                (" " + value if first else "", "dim"),
            ])  # fmt: skip
    strip = _verdicts(play, dots // 2, 2 * per_dot)
    seconds = f" {dots * per_dot / rate:7.0f} s"
    return [*lines, [(fitted(" ok", name_width), "dim"), *strip, (seconds, "dim")]]


def _verdicts(play: Playback, cells: int, per_cell: int) -> Line:
    """One mark for each cell of time: was the guess right most of the time?"""
    right = play.y[: play.at].argmax(axis=1) == play.recording.label
    n_bins = -(-len(right) // per_cell)
    marks: Line = [(" " * (cells - n_bins), "")]
    for i in range(max(0, n_bins - cells), n_bins):
        good = right[i * per_cell : (i + 1) * per_cell].mean() >= 0.5
        marks.append(("━", "good") if good else ("╌", "bad"))
    return marks


def _classes(play: Playback, width: int) -> list[Line]:
    """A bar for each class; the truth is marked before it, the guess behind it."""
    y: NDArray[np.floating] = play.y[play.at - 1]
    labels, truth, guess = play.data.labels, play.recording.label, int(y.argmax())
    name_width = min(max(map(len, labels)), max(width - 23, 10))
    bar_width = max(width - name_width - 13, 1)
    lines: list[Line] = []
    for i, label in enumerate(labels):
        verdict = "good" if guess == truth else "bad"
        style = verdict if i == guess else "dim"
        mark = ("✓" if guess == truth else "✗") if i == guess else ""
        lines.append([
            (" ▸ " if i == truth else "   ", "bold"),
            (fitted(label, name_width), "bold" if i == truth else ""),
            ("  " + bar(float(y[i]), bar_width), style),
            (f"{100 * y[i]:4.0f} % ", "" if i == guess else "dim"),
            (mark, f"{verdict} bold"),
        ])  # fmt: skip
    return lines


def _figures(play: Playback, score: Score, width: int, speed: str) -> list[Line]:
    labels, rate = play.data.labels, play.data.rate_hz
    now = int(play.y[play.at - 1].argmax())
    correct = now == score.truth
    mark = ("✓ ", "good bold") if correct else ("✗ ", "bad bold")
    right, steps = play.steps_right + score.right, play.steps_before + score.steps
    latest = np.concatenate([*(done.latency_ns for done in play.done), score.latency_ns])
    left = play.total - steps
    here, in_all = (" of this recording   ", f" of {steps} steps") if width >= 60 else (" here   ", " in all")
    return [
        [(" guess  ", "dim"), mark, (labels[now], "bold"), ("" if correct else f"   ▸ {labels[score.truth]}", "dim")],
        [(" right  ", "dim"), (f"{100 * score.right / score.steps:.1f} %", "bold"), (here, "dim"),
         (f"{100 * right / steps:.1f} %", "bold"), (in_all, "dim")],
        [(" step   ", "dim"), (f"{percentile_us(latest, 50):.1f} µs", "bold"), (" median   ", "dim"),
         (f"{percentile_us(latest, 99):.1f} µs", "bold"), (" p99", "dim")],
        [(" time   ", "dim"), (_clock(steps / rate), "bold"), (f" played   {_clock(left / rate)} left   ", "dim"),
         (speed, "bold"), ("   Ctrl-C ends", "dim")],
    ]  # fmt: skip


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
