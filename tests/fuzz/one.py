"""Fuzz one format until something is found: python -m tests.fuzz.one FORMAT CORPUS [flags of libFuzzer]."""

import sys

import atheris

with atheris.instrument_imports(include=["streamgru.formats", "streamgru.model", "streamgru.stream"]):
    from tests.fuzz.targets import ALLOWED, TARGETS

if sys.argv[1] == "planted":
    TARGETS["planted"] = (atheris.instrument_func(TARGETS["planted"][0]), TARGETS["planted"][1])
reads, _ = TARGETS[sys.argv[1]]


def one_input(data):
    try:
        reads(data)
    except ALLOWED:
        return


atheris.Setup([sys.argv[0], *sys.argv[2:]], one_input)
atheris.Fuzz()
