"""``streamgru run``: a model, a source and a sink."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from typing import TYPE_CHECKING

import click

from streamgru.cli import Signalled
from streamgru.cli.options import load_model, model_argument, model_options, option

log = logging.getLogger("streamgru")

if TYPE_CHECKING:
    from streamgru.pipeline.engine import Counts
    from streamgru.pipeline.pipeline import Pipeline


@click.command(epilog="Example: some-source | streamgru run model.safetensors > predictions.ndjson")
@model_argument
@option(
    "--from",
    "source",
    default="stdin:",
    show_default=True,
    metavar="URI",
    help="Where records come from; `streamgru plugins` lists what there is.",
)
@option(
    "--to",
    "sink",
    default=None,
    metavar="URI",
    help="Where predictions go.  [default: reply: for listeners, otherwise stdout:]",
)
@option(
    "--codec",
    default=None,
    metavar="NAME",
    help="How records look: ndjson, csv or raw.  [default: what the source suggests, mostly ndjson]",
)
@option("--to-codec", default=None, metavar="NAME", help="How predictions look.  [default: as the records]")
@option(
    "--emit",
    default="every",
    show_default=True,
    metavar="every|N|change|above=P|last",
    help="Which predictions of each stream go out.",
)
@option(
    "--on-error",
    type=click.Choice(["fail", "skip", "report"]),
    default=None,
    help="What a bad record does.  [default: fail for stdin and files, otherwise report]",
)
@option(
    "--max-streams",
    type=click.IntRange(1, 1 << 24),
    default=65_536,
    show_default=True,
    help="Streams that may be open at a time; a record that would open one more is refused.",
)
@option(
    "--ttl",
    "ttl_s",
    type=click.FloatRange(0, min_open=True),
    default=None,
    metavar="SECONDS",
    help="End a stream that had no record for so long.  [default: never]",
)
@option(
    "--retry-for",
    "retry_for_s",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long an end that is away is tried again.",
)
@click.option("-q", "--quiet", is_flag=True, help="Only errors on stderr.")
@click.option("-v", "--verbose", is_flag=True, help="Also tell what was done, at the end.")
@model_options
def run(
    model: str, source: str, sink: str | None, codec: str | None, to_codec: str | None, emit: str,
    on_error: str | None, max_streams: int, ttl_s: float | None, retry_for_s: float,
    quiet: bool, verbose: bool, spec: str | None, map_path: str | None, dtype: str, kernel: str,
) -> None:  # fmt: skip
    """Step MODEL with live data and write a prediction for every timestep.

    MODEL is a file of any format that is read (.safetensors, .pt, .keras, .h5, .onnx; .npz with
    --map), or builtin:shoulder. A record is
    an array of numbers, or an object {"id", "t", "seq", "x", "start", "end", "reset"}; streams with
    different ids are kept apart, and so are connections.
    """
    from streamgru.pipeline.pipeline import Pipeline

    _log_to_stderr(quiet)
    pipeline = Pipeline(
        load_model(model, spec, map_path, dtype, kernel), source, sink, codec=codec, sink_codec=to_codec, emit=emit,
        on_error=on_error, max_streams=max_streams, ttl_s=ttl_s, retry_for_s=retry_for_s,  # type: ignore[arg-type]
    )  # fmt: skip
    if source in ("-", "stdin:") and not quiet and sys.stdin is not None and sys.stdin.isatty():
        click.echo(f"streamgru: reading {codec or 'ndjson'} records from the terminal; Ctrl-D ends", err=True)
    started = time.monotonic()
    try:
        asyncio.run(until_signalled(pipeline))
    finally:
        if verbose or (sys.stderr.isatty() and not quiet):
            click.echo(_summary(pipeline.counts, time.monotonic() - started), err=True)


async def until_signalled(pipeline: Pipeline) -> None:
    """Run a pipeline; SIGINT and SIGTERM close both ends and raise Signalled. A second signal kills."""
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(_awaited(pipeline))
    came: list[int] = []
    # Such as a socket that cannot be accepted for want of descriptors: a line, not asyncio's traceback.
    loop.set_exception_handler(lambda _, context: log.error("%s", context.get("exception") or context["message"]))

    def stop(number: int) -> None:
        came.append(number)
        loop.remove_signal_handler(number)
        running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        await running
    except asyncio.CancelledError:
        if not came:
            raise
        raise Signalled(came[0]) from None


async def _awaited(pipeline: Pipeline) -> None:
    await pipeline


def _log_to_stderr(quiet: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("streamgru: %(message)s"))
    log.handlers = [handler]
    log.setLevel(logging.ERROR if quiet else logging.INFO)


def _summary(counts: Counts, seconds: float) -> str:
    return (
        f"streamgru: {_many(counts.records, 'record')}, {_many(counts.predictions, 'prediction')}, "
        f"{_many(counts.errors, 'error')}, {counts.dropped} dropped, {_many(counts.streams, 'stream')} open, "
        f"in {seconds:.2f} s"
    )


def _many(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
