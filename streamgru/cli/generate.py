"""``streamgru generate``: a network that is fed its own answers, to a prompt or by itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamgru.cli import printable
from streamgru.cli.options import Range, load_model, model_argument, model_options, option

if TYPE_CHECKING:
    from streamgru.stream.generate import Generator
    from streamgru.stream.model import Model


@click.command(
    epilog="Examples: streamgru generate tale.safetensors --text 'Once upon' --temperature 0.7 --seed 1; "
    "echo hello | streamgru generate spelling.safetensors"
)
@model_argument
@click.option(
    "--text", metavar="TEXT", multiple=True, help="What it is given, in the labels of its tokens; again for another."
)
@click.option("--tokens", metavar="'N N ...'", multiple=True, help="The same as numbers; again for another.")
@click.option(
    "--from",
    "source",
    metavar="FILE",
    default=None,
    help="A file with a text, or tokens, on each line, - for stdin; for networks that are fed numbers an .npy, .npz, "
    ".csv or .ndjson file.  [default: stdin, for networks that need to be given something]",
)
@option("--limit", type=click.IntRange(1, 65_536), default=None, help="The most answers.  [default: that of the model]")
@option(
    "--temperature",
    type=Range(0),
    default=None,
    metavar="T",
    help="Draw, with logits divided by T; 0 is as --greedy.  [default: as the model says, with T = 1]",
)
@click.option("--greedy", is_flag=True, help="Always take the likeliest, whatever the model says.")
@option(
    "--seed",
    type=click.IntRange(0, (1 << 64) - 1),
    default=None,
    metavar="N",
    help="Draw the same on every machine; N + i for the i-th text.",
)
@option("--stop", default=None, metavar="TOKEN", help="The label or number that ends it.  [default: that of the model]")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object per text.")
@model_options
def generate(
    model: str, text: tuple[str, ...], tokens: tuple[str, ...], source: str | None, limit: int | None,
    temperature: float | None, greedy: bool, seed: int | None, stop: str | None, as_json: bool,
    spec: str | None, map_path: str | None, dtype: str, kernel: str,
) -> None:  # fmt: skip
    """Let MODEL write: its answer is its next input, until a stop token or a limit.

    An encoder reads the text first and hands on what it knows; any other network goes on from the text, or begins by
    itself. Answers go out as they come.
    """
    if greedy and temperature is not None:
        raise click.UsageError("--greedy draws nothing; leave --temperature out")
    if (bool(text) + bool(tokens) + (source is not None)) > 1:
        raise click.UsageError("expected one of --text, --tokens and --from")
    from streamgru.cli.screen import forgive_encoding
    from streamgru.stream.generation import fed, new_seed
    from streamgru.stream.vocabulary import vocabulary_of

    loaded = load_model(model, spec, map_path, dtype, kernel)
    _, program, feedback = fed(loaded)
    item, choose = program.inputs[0], feedback.choose
    if choose != "value":
        choose = "argmax" if greedy else "sample" if temperature is not None else choose
    elif greedy or temperature is not None:
        raise click.UsageError("the model is fed numbers, and draws nothing; leave --greedy and --temperature out")
    options: dict[str, Any] = {"limit": limit, "choose": choose}
    options["temperature"] = 1.0 if temperature is None else temperature
    if stop is not None:
        vocabulary = vocabulary_of(item)
        options["stop"] = vocabulary.token(stop) if vocabulary else _numbers(stop, "--stop")[0]
    forgive_encoding()
    if seed is None:
        seed = new_seed()
        if choose == "sample" and not as_json:
            click.echo(f"streamgru: --seed {seed} writes the same again", err=True)
    for i, prompt in enumerate(_prompts(loaded, text, tokens, source)):
        generator = loaded.generator(prompt, seed=(seed + i) % (1 << 64), **options)
        (_tell if as_json else _write)(generator, choose == "value")


def _prompts(model: Model, text: tuple[str, ...], tokens: tuple[str, ...], source: str | None) -> Iterator[Any]:
    """What is to be gone on from, one after the other; None where the network begins by itself."""
    from streamgru.stream.generation import needs_prompt, prompt_input

    item = prompt_input(model)
    if text:
        yield from text
    elif tokens:
        yield from (_numbers(line, "--tokens") for line in tokens)
    elif source is None and not needs_prompt(model):
        yield None
    elif item.kind == "float":
        from streamgru.cli.data import read_sequence

        if source in (None, "-"):
            raise click.UsageError(f"the model is given numbers of {item.name!r}; name a file of them, --from FILE")
        yield read_sequence(str(source), model.programs[_home(model, item)]).x
    else:
        lines = iter(sys.stdin) if source in (None, "-") else _lines(Path(str(source)))
        for line in lines:
            yield line.rstrip("\r\n") if item.labels else _numbers(line, "a line")


def _home(model: Model, item: Any) -> str:
    """The program that an input belongs to."""
    return next(name for name, program in model.spec.programs.items() if item in program.inputs)


def _lines(path: Path) -> list[str]:
    from streamgru.errors import FormatError
    from streamgru.formats.files import read_bytes

    try:
        return read_bytes(path).decode().splitlines()
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: expected text in UTF-8: {error}") from None


def _numbers(line: str, what: str) -> list[int]:
    """Whole numbers, between spaces or commas."""
    words = line.replace(",", " ").split()
    if not all(word.isascii() and word.isdecimal() and len(word) < 10 for word in words) or not words:
        raise click.BadParameter(f"expected tokens, whole numbers, in {what}, got {printable(line.strip())!r}")
    return [int(word) for word in words]


def _write(generator: Generator, values: bool) -> None:
    """Write answers as they come: text where there are labels, otherwise numbers."""
    vocabulary, shown = generator.vocabulary, printable if sys.stdout.isatty() else str
    separator = vocabulary.separator if vocabulary else " "
    for i, answer in enumerate(generator):
        if values:
            print(json.dumps(answer.tolist()), flush=True)
        elif generator.ended != "stop":
            label = vocabulary.labels[answer] if vocabulary else str(answer)
            print(separator * bool(i) + shown(label), end="", flush=True)
    if not values:
        print(flush=True)


def _tell(generator: Generator, values: bool) -> None:
    """One object, when all has been answered."""
    from streamgru.stream.generation import finished

    found = finished(generator)
    told: dict[str, Any] = {"values": found.values.tolist()} if values else {"tokens": found.tokens.tolist()}
    if found.text is not None:
        told["text"] = found.text
    print(json.dumps(told | {"ended": found.ended, "seed": found.seed}), flush=True)
