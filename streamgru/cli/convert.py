"""``streamgru convert``: a model of any known format as a native file, small if that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from streamgru.cli import printable
from streamgru.cli.options import MAP_HELP, option
from streamgru.errors import LoadError

if TYPE_CHECKING:
    from streamgru.formats.read import Found
    from streamgru.formats.safetensors_file import Tensors


@click.command(epilog="Example: streamgru convert builtin:shoulder small.safetensors --weights int8")
@click.argument("src", metavar="SRC")
@click.argument("dst", metavar="DST", type=click.Path(dir_okay=False, path_type=Path))
@option(
    "--weights",
    type=click.Choice(["int8", "f16"]),
    default=None,
    help="Make the matrices small: a quarter or half of their bytes.  [default: leave them as they are]",
)
@click.option(
    "--calibrate",
    "data",
    metavar="DATA",
    multiple=True,
    help="With --weights int8: typical inputs, so that the answers suffer least; as for inspect --gates. May be given "
    "several times.",
)
@option(
    "--spec",
    type=click.Path(exists=True, dir_okay=False),
    default=None,
    help="A TOML file that tells what names and shapes in SRC cannot.",
)
@option("--map", "map_path", type=click.Path(exists=True, dir_okay=False), default=None, help=MAP_HELP.format("SRC"))
def convert(
    src: str, dst: Path, weights: Literal["int8", "f16"] | None, data: tuple[str, ...],
    spec: str | None, map_path: str | None,
) -> None:  # fmt: skip
    """Write the model SRC to DST, a native .safetensors file that needs no spec beside it.

    SRC is a file of any format that is read (.safetensors, .pt, .keras, .h5, .onnx; .npz with
    --map), or builtin:shoulder.
    """
    if data and weights != "int8":
        raise click.UsageError("--calibrate DATA needs --weights int8")
    if weights is not None and dst.exists() and Path(src).exists() and dst.samefile(src):
        raise click.UsageError(f"{printable(str(dst))} is SRC, whose weights would be lost; name another file as DST")
    if not dst.name:
        raise click.UsageError(f"DST: expected the name of a file, got {str(dst)!r}")
    if not dst.parent.is_dir():
        raise LoadError(f"{dst}: no such folder")
    from streamgru.formats import native
    from streamgru.formats.read import read

    try:
        found = read(src, spec, map_path)
        tensors = found.tensors if weights is None else _small(found, weights, data)
        native.write(dst, found.spec, tensors)
    except LoadError as error:
        if src in str(error):
            raise
        raise LoadError(f"{src}: {error}") from None
    for line in found.findings:
        click.echo(f"streamgru: {printable(line)}", err=True)
    before, now = _bytes(found.tensors), _bytes(tensors)
    click.echo(f"streamgru: wrote {dst}: {now:,} bytes of tensors, from {before:,}", err=True)


def _small(found: Found, weights: Literal["int8", "f16"], data: tuple[str, ...]) -> Tensors:
    from streamgru.cli.data import outputs, read_sequence
    from streamgru.stream.model import Model
    from streamgru.stream.shrink import shrink

    sequences = []
    if data:
        model = Model(found.spec, found.tensors)
        sequences = [read_sequence(source, model).x for source in data]
        for source, x in zip(data, sequences, strict=True):
            outputs(model, source, x)  # tells which row of which file is bad, which the networks in parts below cannot
    return shrink(found.spec, found.tensors, weights, sequences)


def _bytes(tensors: Tensors) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())
