"""What several commands share: options with an environment variable each, and the model argument."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from streamgru.errors import LoadError

if TYPE_CHECKING:
    from streamgru.stream.model import Model

KERNELS = ("auto", "blas", "packed")
DTYPES = ("float32", "float64")
MAP_HELP = "A TOML file that tells what {}, an .npz, .safetensors or .h5 file of bare arrays, has in them."

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Range(click.FloatRange):
    """A number within bounds; NaN, which click would let through every one of them, is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail("expected a number, got nan", param, ctx)
        return number


def option(flag: str, *names: str, **settings: Any) -> Decorator:
    """A click option that can also be set by ``STREAMGRU_<FLAG>``."""
    variable = "STREAMGRU_" + flag.lstrip("-").split("/")[0].replace("-", "_").upper()
    return click.option(flag, *names, envvar=variable, show_envvar=True, **settings)


model_argument = click.argument("model", metavar="MODEL")


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a model is loaded: --spec, --map, --dtype, --kernel."""
    for decorate in (
        option("--kernel", type=click.Choice(KERNELS), default="auto", show_default=True,
               help="What computes the network."),
        option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True,
               help="What the network is computed in."),
        option("--map", "map_path", type=click.Path(exists=True, dir_okay=False), default=None,
               help=MAP_HELP.format("MODEL")),
        option("--spec", type=click.Path(exists=True, dir_okay=False), default=None,
               help="A TOML file that tells what names and shapes in MODEL cannot."),
    ):  # fmt: skip
        command = decorate(command)
    return command


def side_options(side: str) -> Decorator:
    """How one of two models is loaded: --spec-a, --map-a, --dtype-a, --kernel-a."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for add in (
            click.option(f"--kernel-{side}", type=click.Choice(KERNELS), default="auto", show_default=True,
                         help=f"What computes {side.upper()}."),
            click.option(f"--dtype-{side}", type=click.Choice(DTYPES), default="float32", show_default=True,
                         help=f"What {side.upper()} is computed in."),
            click.option(f"--map-{side}", type=click.Path(exists=True, dir_okay=False), default=None,
                         help=MAP_HELP.format(side.upper())),
            click.option(f"--spec-{side}", type=click.Path(exists=True, dir_okay=False), default=None,
                         help=f"A TOML file that tells what names and shapes in {side.upper()} cannot."),
        ):  # fmt: skip
            command = add(command)
        return command

    return decorate


def load_model(model: str, spec: str | None, map_path: str | None, dtype: str, kernel: str) -> Model:
    """Load the model that a command names: a file, or ``builtin:shoulder``."""
    from streamgru.stream.load import load

    try:
        return load(model, spec=spec, map=map_path, dtype=dtype, kernel=kernel)
    except LoadError as error:
        if model in str(error):
            raise
        raise LoadError(f"{model}: {error}") from None
