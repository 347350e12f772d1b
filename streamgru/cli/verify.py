"""``streamgru verify``: whether two models give the same answers."""

from __future__ import annotations

import json

import click

from streamgru.cli import printable
from streamgru.cli.options import Range, load_model, side_options

DEFAULT_TOLERANCE = 1e-5


@click.command(epilog="Example: streamgru verify net.safetensors small.safetensors --data week.csv --max-changed 0.005")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option(
    "--data",
    metavar="DATA",
    multiple=True,
    required=True,
    help="What both are run on: an .npy, .npz, .csv or .ndjson file of inputs, or builtin:N, the N-th recording that "
    "comes along. May be given several times.",
)
@click.option(
    "--tolerance",
    type=Range(0),
    default=None,
    metavar="X",
    help=f"The largest difference of an output that is still the same.  [default: {DEFAULT_TOLERANCE:g}, or any with "
    "--max-changed]",
)
@click.option(
    "--max-changed",
    type=Range(0, 1),
    default=None,
    metavar="SHARE",
    help="The largest share of decisions that may change; a decision is which number of an output is largest.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
@side_options("a")
@side_options("b")
def verify(
    a: str, b: str, data: tuple[str, ...], tolerance: float | None, max_changed: float | None, as_json: bool,
    spec_a: str | None, map_a: str | None, dtype_a: str, kernel_a: str,
    spec_b: str | None, map_b: str | None, dtype_b: str, kernel_b: str,
) -> None:  # fmt: skip
    """Run A and B on the same data, and tell where and by how much their answers differ.

    The exit code is 0 if they are the same within the thresholds, and 1 if not. A and B are models as for
    inspect, or one and the same on two kernels.
    """
    from streamgru.cli import differences
    from streamgru.cli.data import read_sequence
    from streamgru.cli.describe import weights_of
    from streamgru.cli.screen import forgive_encoding

    if tolerance is None and max_changed is None:
        tolerance = DEFAULT_TOLERANCE
    first = load_model(a, spec_a, map_a, dtype_a, kernel_a)
    second = load_model(b, spec_b, map_b, dtype_b, kernel_b)
    if max_changed is not None and not differences.choices_of(first):
        raise click.UsageError(
            f"--max-changed: {printable(a)} decides nothing, each of its outputs is one number; use --tolerance"
        )
    sequences = [(source, read_sequence(source, first).x) for source in data]
    told = differences.between(first, second, sequences)
    told["tolerance"], told["max_changed"] = tolerance, max_changed
    told["same"] = (tolerance is None or told["worst"]["difference"] <= tolerance) and (
        max_changed is None or told["changed"] <= max_changed * told["decisions"]
    )
    for side, name, model in (("a", a, first), ("b", b, second)):
        told[side] = {
            "model": name, "fingerprint": model.fingerprint, "kernel": model.kernel, "dtype": model.dtype.name,
            "weights": weights_of(model),
        }  # fmt: skip
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        forgive_encoding()
        click.echo("\n".join(map(printable, differences.text(told))))
    if not told["same"]:
        raise click.exceptions.Exit(1)
