"""``streamgru demo``: the built-in network follows recordings of people it has never seen."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from streamgru.cli.options import option

if TYPE_CHECKING:
    from streamgru.cli.playback import Playback, Score
    from streamgru.cli.screen import Screen
    from streamgru.formats.builtin import Recordings

FRAME_S = 0.05
BLOCK = 100  # steps between two looks at the clock, as fast as it goes
STEPS_PER_FRAME = 20  # as fast as it can be drawn
WIDE, WIDTH_BESIDE_NAMES = 120, 52  # columns of the table


def _speed(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    """How many times as fast as the sensor: a number, or ``max``."""
    try:
        speed = float("inf") if value == "max" else float(value)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise click.BadParameter(f"expected a number above 0, or max, got {value!r}")
    return speed


def _numbers(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    try:
        return None if value is None else tuple(int(number) for number in value.split(","))
    except ValueError:
        raise click.BadParameter(f"expected numbers with commas between them, got {value!r}") from None


@click.command(epilog="Example: streamgru demo --speed 1 --recordings 2,5")
@option(
    "--speed",
    type=str,
    callback=_speed,
    default="10",
    show_default=True,
    metavar="X|max",
    help="In a terminal, how many times as fast as the sensor; 1 is real time. Elsewhere it is always max.",
)
@option(
    "--seconds",
    "seconds_s",
    type=click.FloatRange(0, min_open=True),
    default=None,
    metavar="S",
    help="End after so many seconds.",
)
@option(
    "--recordings",
    "numbers",
    type=str,
    callback=_numbers,
    default=None,
    metavar="N,N...",
    help="Which recordings to play, counted from 1.  [default: all seven]",
)
@click.option("--json", "as_json", is_flag=True, help="For programs: the summary as one JSON object.")
def demo(speed: float, seconds_s: float | None, numbers: tuple[int, ...] | None, as_json: bool) -> None:
    """Watch the built-in model follow recorded sensor data.

    A watch on the wrist gives six signals, 50 times a second; after every single timestep a GRU
    tells which of seven shoulder exercises is being done. It was trained on other people than these.
    Where stdout is no terminal there is a line for each recording, and a summary.
    """
    from streamgru.cli.playback import Playback, summary
    from streamgru.cli.plot import fitted
    from streamgru.cli.screen import forgive_encoding, is_terminal
    from streamgru.formats.builtin import recordings
    from streamgru.stream.load import load

    # A script's background jobs inherit SIGINT as ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    data = recordings()
    every = tuple(range(1, len(data.items) + 1))
    for number in set(numbers or ()).difference(every):
        raise click.BadParameter(f"expected numbers from 1 to {len(every)}, got {number}", param_hint="--recordings")
    play = Playback(load("builtin:shoulder"), data, numbers or every)
    end_s = time.monotonic() + (seconds_s or float("inf"))
    if as_json:
        for _ in _plainly(play, end_s):
            pass
        click.echo(json.dumps(summary(play.done, data), indent=2))
        return
    if is_terminal():
        width = _live(play, speed, end_s)
        scores = iter(play.done)
    else:
        forgive_encoding()
        width = WIDE
        scores = _plainly(play, end_s)
    name = max(min(max(map(len, data.labels)), (width - WIDTH_BESIDE_NAMES) // 2), 8)
    click.echo(f"#  person    {fitted('exercise', name)}  {fitted('guess', name)}         of steps  p50     p99")
    for score in scores:
        click.echo(_line(score, data, name))
    _tell(summary(play.done, data))


def _plainly(play: Playback, end_s: float) -> Iterator[Score]:
    """Play as fast as it goes."""
    while not play.finished:
        ended = not play.advance(BLOCK)
        out_of_time = time.monotonic() >= end_s
        if ended or out_of_time:
            yield play.finish()
        if out_of_time:
            return


def _live(play: Playback, speed: float, end_s: float) -> int:
    """Play at *speed*, on a screen of one's own, until the end; tell how wide the screen is."""
    from streamgru.cli.screen import own_screen

    with own_screen() as screen:
        while not play.finished:
            _recording(play, screen, speed, end_s)
            play.finish()
            if time.monotonic() >= end_s:
                break
        return screen.size()[0]


def _recording(play: Playback, screen: Screen, speed: float, end_s: float) -> None:
    """Play what is left of a recording, frame by frame."""
    from streamgru.cli.dashboard import frame

    title = "max" if speed == float("inf") else f"×{speed:g}"
    rate, length = speed * play.data.rate_hz, len(play.recording.x)
    due, before = 1.0, time.monotonic()
    while play.at < length:
        now = time.monotonic()
        if now >= end_s and play.at:
            return
        if rate == float("inf"):
            due += STEPS_PER_FRAME
        else:  # a process that was stopped for a while goes on from where it was
            due += rate * min(now - before, 10 * FRAME_S)
        before = now
        play.advance(int(min(due, length)) - play.at)
        screen.draw(frame(play, *screen.size(), title))
        if rate < float("inf"):
            time.sleep(max(0.0, min(now + FRAME_S, end_s) - time.monotonic()))


def _line(score: Score, data: Recordings, name_width: int) -> str:
    """One recording: the truth, the guess, how much of it was right, and how long a step took."""
    from streamgru.cli.playback import percentile_us
    from streamgru.cli.plot import fitted

    item = data.items[score.number - 1]
    truth, guess = (fitted(data.labels[i], name_width) for i in (score.truth, score.guess))
    verdict = "right" if score.guess == score.truth else "wrong"
    p50, p99 = (percentile_us(score.latency_ns, percent) for percent in (50, 99))
    share = 100 * score.right / score.steps
    return (
        f"{score.number}  {item.subject:2} {item.side:5}  {truth}  {guess}  {verdict}  "
        f"{share:5.1f} %   {p50:3.1f} µs  {p99:3.1f} µs"
    )


def _tell(summary: dict[str, Any]) -> None:
    records = summary["recordings"]
    right = sum(record["right"] for record in records)
    constant = f"{100 * summary['majority_per_step']:.1f} % by always saying {summary['majority_class']!r}"
    click.echo(f"""
steps       {100 * summary["accuracy_per_step"]:.1f} % right of {summary["steps"]}; {constant}
recordings  {right} right of {len(records)}
latency     {summary["step_p50_us"]:.1f} µs median, {summary["step_p99_us"]:.1f} µs p99, for one step
speed       {summary["steps_per_s"]:.0f} steps per second""")
