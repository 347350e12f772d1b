"""Where the original files of other people's models are; they are not part of the project."""

import os
import sys
import time
from pathlib import Path

import streamgru

FOLDER = Path(os.environ.get("STREAMGRU_FIXTURES", Path(__file__).parents[2] / "shared" / "fixtures"))


def original(name):
    """The folder of one model; where it is missing, the example says so and ends."""
    folder = FOLDER / name
    if not folder.is_dir():
        here = Path(sys.argv[0]).resolve().parent
        print(f"{folder} is not there: {here / 'README.md'} tells where the original file comes from.")
        print("Put it there, or name the folder above it in the variable STREAMGRU_FIXTURES.")
        raise SystemExit(0)
    return folder


def loaded(path, **options):
    """A model, or the reason why there is none: a package that reads such files may be missing."""
    try:
        return streamgru.load(path, **options)
    except streamgru.LoadError as error:
        raise SystemExit(str(error)) from None


def seconds(call, at_least=0.2):
    """What one call takes: the best of three rounds of calls, each of *at_least* seconds in all."""
    best = float("inf")
    for _ in range(3):
        n, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < at_least:
            call()
            n += 1
        best = min(best, spent / n)
    return best
