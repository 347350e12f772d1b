"""``streamgru bench``: how fast a model runs on this machine."""

from __future__ import annotations

import json
import os

import click

from streamgru.cli import printable
from streamgru.cli.options import Range, load_model, model_argument, model_options, option


@click.command(epilog="Example: streamgru bench model.safetensors --seconds 10 --threads 4")
@model_argument
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object; times in ns.")
@option(
    "--seconds",
    type=Range(0, min_open=True, max=3600),
    default=4.0,
    show_default=True,
    help="How long to measure, about.",
)
@option(
    "--threads",
    type=click.IntRange(1, 1024),
    default=None,
    help="The most threads to step many streams with.  [default: as many as there are cores]",
)
@model_options
def bench(
    model: str, as_json: bool, seconds: float, threads: int | None,
    spec: str | None, map_path: str | None, dtype: str, kernel: str,
) -> None:  # fmt: skip
    """Measure how fast MODEL runs here.

    The time of a step of one stream: its median and its slowest, from C without the GIL, from Python, and from Python
    with its arrays bound once; reading the weights once, which no step can beat; and how many streams the machine
    serves in ticks of several sizes, on one thread and on several.
    """
    from streamgru.cli.screen import forgive_encoding
    from streamgru.cli.timings import measure, text

    forgive_encoding()
    loaded = load_model(model, spec, map_path, dtype, kernel)
    told = measure(loaded, model, seconds, threads or _cores())
    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(map(printable, text(told))))


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
