"""The command line. Each command has a file of its own, imported only when it is called."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from streamgru import __version__
from streamgru.errors import OptionError, StreamgruError

# What --help lists, without importing any of them. The file of a command is cli/<name>.py, its function <name>.
COMMANDS = {
    "demo": "Watch the built-in model follow recorded sensor data.",
    "run": "Step a model with live data and write predictions.",
    "generate": "Let a network write: its answer is its next input.",
    "inspect": "Show what a model is, or draw its gates.",
    "convert": "Write a model as a native file, also with small weights.",
    "verify": "Tell whether two models give the same answers.",
    "bench": "Measure how fast a model runs on this machine.",
    "plugins": "List the adapters and codecs that are installed.",
}


class Signalled(Exception):
    """A signal ended the run; *exit_code* is 128 plus its number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class Commands(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"streamgru.cli.{name}"), name)
        if ctx.obj and name in ctx.obj:
            ctx.default_map = {name: _by_parameter(command, ctx.obj[name])}
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click would take it for a failure, and say nothing
            raise Signalled(signal.SIGPIPE) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _read_config(ctx: click.Context, _param: click.Parameter, path: str | None) -> None:
    """Keep the tables of a TOML file for the commands; each command has one, of its options' names."""
    if path is None:
        return
    import tomllib  # a tenth of the start-up time, and seldom needed

    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"{path}: {error}") from None
    for name, table in tables.items():
        if name not in COMMANDS or not isinstance(table, dict):
            raise click.BadParameter(f"{path}: expected tables named {', '.join(COMMANDS)}, got {name!r}")
    ctx.obj = tables


def _by_parameter(command: click.Command, table: dict[str, Any]) -> dict[str, Any]:
    """The table of a command, with click's own names in place of the options' (``from`` is ``source``)."""
    parameters = {option.lstrip("-"): parameter for parameter in command.params for option in parameter.opts}
    values: dict[str, Any] = {}
    for key, value in table.items():
        parameter = parameters.get(key.replace("_", "-"))
        if parameter is None:
            expected = ", ".join(parameters)
            raise click.UsageError(f"the configuration of {command.name} has {key!r}; expected any of {expected}")
        several = isinstance(parameter, click.Option) and parameter.multiple
        given = value if several and isinstance(value, list) else [value]
        if not all(isinstance(one, (str, int, float)) for one in given):
            raise click.UsageError(
                f"the configuration of {command.name}: {key}: expected a text, a number or a boolean"
                f"{', or a list of them' if several else ''}, got {printable(repr(value))}"
            )
        values[str(parameter.name)] = [str(one) for one in given] if several else str(value)
    return values


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="streamgru")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False),
    envvar="STREAMGRU_CONFIG",
    show_envvar=True,
    is_eager=True,
    expose_value=False,
    callback=_read_config,
    help="A TOML file with a table per command. A flag beats the environment, which beats the file.",
)
def cli() -> None:
    """Run trained GRU networks on live data, one timestep at a time.

    Data goes to stdout, everything for people to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage,
    130 on Ctrl-C, 141 when the reader of a pipe goes away, 143 on SIGTERM.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code; every error is one line on stderr."""
    code = 1
    _occupy_standard_descriptors()
    try:
        code = cli.main(arguments, prog_name="streamgru", standalone_mode=False) or 0
        _flush()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except Signalled as signalled:
        code = signalled.exit_code
    except BrokenPipeError:
        code = 141
    except OptionError as error:
        _complain(error)
        code = 2
    except (StreamgruError, OSError) as error:
        _complain(error)
    except Exception as error:  # a fault of ours, or of a plugin
        if os.environ.get("STREAMGRU_DEBUG") == "1":
            raise
        _complain(f"unexpected {type(error).__name__}: {error} (STREAMGRU_DEBUG=1 shows where)")
    try:
        _flush()
    except OSError:  # leave nothing for Python to try again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _occupy_standard_descriptors() -> None:
    """Open those of 0, 1 and 2 that are closed, so that no file or socket of ours is taken for one of them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is None:  # nobody listens; but what is said must go somewhere
        sys.stderr = open(2, "w")  # noqa: SIM115


def _complain(error: Exception | str) -> None:
    click.echo(f"streamgru: {printable(str(error))}", err=True)


def printable(text: str) -> str:
    """Text from a stranger, with its control characters (but newlines) shown instead of obeyed by the terminal."""
    return "".join(c if c == "\n" or c.isprintable() else repr(c)[1:-1] for c in text)
