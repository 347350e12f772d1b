"""What several commands share: options with an environment variable each, and the model argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from streamgru.errors import LoadError

if TYPE_CHECKING:
    from streamgru.stream.model import Model

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def option(flag: str, *names: str, **settings: Any) -> Decorator:
    """A click option that can also be set by ``STREAMGRU_<FLAG>``."""
    variable = "STREAMGRU_" + flag.lstrip("-").split("/")[0].replace("-", "_").upper()
    return click.option(flag, *names, envvar=variable, show_envvar=True, **settings)


model_argument = click.argument("model", metavar="MODEL")


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a model is loaded: --spec, --dtype, --kernel."""
    for decorate in (
        option("--kernel", type=click.Choice(["auto", "blas", "packed"]), default="auto", show_default=True,
               help="What computes the network."),
        option("--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True,
               help="What the network is computed in."),
        option("--spec", type=click.Path(exists=True, dir_okay=False), default=None,
               help="A TOML file that tells what names and shapes in MODEL cannot."),
    ):  # fmt: skip
        command = decorate(command)
    return command


def load_model(model: str, spec: str | None, dtype: str, kernel: str) -> Model:
    """Load the model that a command names: a file, or ``builtin:shoulder``."""
    from streamgru.stream.load import load

    try:
        return load(model, spec=spec, dtype=dtype, kernel=kernel)
    except LoadError as error:
        if model in str(error):
            raise
        raise LoadError(f"{model}: {error}") from None
