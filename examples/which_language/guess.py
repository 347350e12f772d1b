"""Guess the language of a text, letter by letter: python guess.py "Guten Morgen"."""

from __future__ import annotations

import sys
from pathlib import Path

import click

import streamgru

MODEL = Path(__file__).with_name("model.safetensors")


@click.command()
@click.argument("texts", nargs=-1)
def main(texts: tuple[str, ...]) -> None:
    """Guess the language of each of TEXTS, or of each line of stdin, after every letter of it."""
    model = streamgru.load(MODEL)
    labels = model.labels or ()
    width = max(map(len, labels))
    for text in texts or (line.rstrip("\n") for line in sys.stdin):
        stream = model.stream()
        for i, token in enumerate(model.encode(text)):
            y = stream.step(token)
            best = sorted(zip(y, labels, strict=True), reverse=True)[:3]
            click.echo(f"{text[i]}  " + "  ".join(f"{label:{width}} {p:4.0%}" for p, label in best))
        click.echo()


if __name__ == "__main__":
    main()
