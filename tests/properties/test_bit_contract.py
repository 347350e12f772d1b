"""The bit contract from Python: every way of asking, on every instruction set, gives one answer, for ever."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamgru.kernels import packed
from streamgru.stream.model import FAST
from tests.golden.test_fixtures import FIXTURES

ROOT = Path(__file__).parents[2]
# `bits: 1`. Another order of additions is another number, and other hashes.
GOLDEN = {
    "builtin": "34d18773c32c64c7",
    "after 1-1": "8ad44b4c350b6488",
    "before 5-33": "bd3e1e75cedbcac4",
    "after 24-100": "80d97a3c0aaa5f94",
    "tokens": "e788e8f88755c7e5",
    "g2p": "f6fcdf9f32acbf57",
    "float16": "c47de1d5c6be2b3a",
    "int8": "a0ec86c4c23d0fc1",
    "windows": "52db722235d9c791",
    "late": "3916b0a88589782d",
    "curves": "26574bb8c82e7538",
}


def hashes(isa):
    done = subprocess.run(
        [sys.executable, "-m", "tests.properties.bit_ways"],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, packed.VARIABLE: isa},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("isa", packed.isas())
def test_every_way_gives_the_golden_bits(isa):
    expected = {name: bits for name, bits in GOLDEN.items() if name != "g2p" or FIXTURES.is_dir()}
    assert packed.bits == 1 and hashes(isa) == expected


def test_an_instruction_set_that_is_not_there():
    done = subprocess.run(
        [sys.executable, "-c", "import streamgru; streamgru.load('builtin:shoulder')"],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, packed.VARIABLE: "mmx"},
    )  # fmt: skip
    assert f"{packed.VARIABLE}: expected one of {', '.join(packed.isas())}, got 'mmx'" in done.stderr


def test_the_best_comes_first():
    order = [*FAST, "sse2", "c"]
    assert packed.isas() == sorted(packed.isas(), key=order.index)
