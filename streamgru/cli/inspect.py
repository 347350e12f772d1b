"""``streamgru inspect``: what a model is, and what its gates do."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamgru.cli import printable
from streamgru.cli.options import load_model, model_argument, model_options

if TYPE_CHECKING:
    from streamgru.stream.model import Model


def _steps(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[int, int | None] | None:
    """``START:STOP``; either may be left out."""
    if value is None:
        return None
    start, colon, stop = value.partition(":")
    if not colon or not all(text.isdecimal() for text in (start or "0", stop or "1")) or stop == "0":
        raise click.BadParameter(f"expected START:STOP, two numbers of steps, got {value!r}")
    return int(start or 0), int(stop) if stop else None


@click.command(epilog="Example: streamgru inspect builtin:shoulder --gates builtin:3 -o gates.png")
@model_argument
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
@click.option(
    "--gates",
    "data",
    metavar="DATA",
    default=None,
    help="Run the model on DATA, an .npy, .npz, .csv or .ndjson file of inputs, or builtin:N, the N-th "
    "recording that comes along, and show what its gates do.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="With --gates: draw into FILE.png or FILE.svg instead of the terminal.",
)
@click.option(
    "--raw",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="With --gates: save every gate at every step in FILE.npz.",
)
@click.option(
    "--steps",
    type=str,
    callback=_steps,
    default=None,
    metavar="START:STOP",
    help="With --gates: show only these steps; those before are run, too.",
)
@click.option(
    "--rate",
    "rate_hz",
    type=click.FloatRange(0, min_open=True),
    default=None,
    metavar="HZ",
    help="With --gates: steps per second, to show times.  [default: that of a recording]",
)
@model_options
def inspect(
    model: str, as_json: bool, data: str | None, output: Path | None, raw: Path | None,
    steps: tuple[int, int | None] | None, rate_hz: float | None,
    spec: str | None, map_path: str | None, dtype: str, kernel: str,
) -> None:  # fmt: skip
    """Show what MODEL is: layers, shapes, bytes, work per step, state, labels.

    MODEL is a file of any format that is read (.safetensors, .pt, .keras, .h5, .onnx; .npz with
    --map), or builtin:shoulder.
    """
    given = {"-o": output, "--raw": raw, "--steps": steps, "--rate": rate_hz}
    if data is None:
        for flag in (flag for flag, value in given.items() if value is not None):
            raise click.UsageError(f"{flag} needs --gates DATA")
    if output is not None and output.suffix not in (".png", ".svg"):
        raise click.BadParameter(f"expected a file that ends in .png or .svg, got {output}", param_hint="-o")
    if raw is not None and raw.suffix != ".npz":
        raise click.BadParameter(f"expected a file that ends in .npz, got {raw}", param_hint="--raw")
    if output is not None:
        from streamgru.cli.draw import plotting

        plotting()  # rather now than after the work
    findings = _Findings()
    loaded = load_model(model, spec, map_path, dtype, kernel)
    if data is not None:
        _show_gates(loaded, model, data, output, raw, steps or (0, None), rate_hz, as_json)
        return
    from streamgru.cli.describe import describe, text
    from streamgru.cli.screen import forgive_encoding

    forgive_encoding()
    description = describe(loaded, model, findings.lines)
    click.echo(json.dumps(description, indent=2) if as_json else "\n".join(map(printable, text(description))))


class _Findings(logging.Handler):
    """Keeps what loading says it has found in a file."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        log = logging.getLogger("streamgru.load")
        log.setLevel(logging.INFO)
        log.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _show_gates(
    model: Model, name: str, data: str, output: Path | None, raw: Path | None, steps: tuple[int, int | None],
    rate_hz: float | None, as_json: bool,
) -> None:  # fmt: skip
    import numpy as np

    from streamgru.cli import gates
    from streamgru.cli.data import read_sequence
    from streamgru.cli.screen import forgive_encoding

    sequence = read_sequence(data, model)
    found = gates.traced(model, sequence, *steps)
    rate_hz = rate_hz or sequence.rate_hz
    if raw is not None:
        np.savez_compressed(raw, allow_pickle=False, **gates.raw(found))
    if output is not None:
        from streamgru.cli.draw import draw

        draw(found, sequence, model.spec.title or name, output, rate_hz)
    if as_json:
        layers = {layer: gates.units(part) for layer, part in found.layers.items()}
        told = {"data": sequence.title, "steps": len(found.x), "rate_hz": rate_hz, "units": layers}
        click.echo(json.dumps(told, indent=2))
    elif output is None:
        forgive_encoding()
        click.echo(printable(f"{model.spec.title or name}\n{sequence.title}\n"))
        width = min(shutil.get_terminal_size().columns, 110)
        click.echo("\n".join(gates.picture(found, rate_hz, width)))
    for path in (raw, output):
        if path is not None:
            click.echo(f"streamgru: wrote {path}", err=True)
