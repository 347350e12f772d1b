"""The examples with networks of others: each one command, which prints what its README says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.test_fixtures import FIXTURES

ROOT = Path(__file__).parents[2]
NAMES = ("gait_phase", "spelling_to_phonemes", "noise_suppression", "spoken_commands", "handwritten_letters")
EXPECTED = {
    "gait_phase": (r"makers' windows of 200: (\S+)\n", 2e-6, r"ahead: 0\.31 rad"),
    "spelling_to_phonemes": (r"62 of 62 words.*\na word (\d+) µs", 1e5, r"hello +HH EH1 L OW0\n"),
    "noise_suppression": (r"C code: gains (\S+), voice", 1e-4, r"500 frames"),
    "spoken_commands": (r"TensorFlow: (\S+)\n", 1e-5, r"(?s)yes: 25 .* yes +█+ 1\.00\n\nno: 25 .* no +█+ 0\.95\n"),
    "handwritten_letters": (r"Keras: (\S+)\n", 1e-5, r"a: i.*a\n(?s:.*)15 of 16 right"),
}


def run(name, *arguments, fixtures=FIXTURES):
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}", *arguments], capture_output=True, text=True, cwd=ROOT, timeout=100,
        env=os.environ | {"STREAMGRU_FIXTURES": str(fixtures), "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="fixtures are absent")
@pytest.mark.parametrize("name", NAMES)
def test_example(name, tmp_path):
    if name in ("gait_phase", "handwritten_letters"):
        pytest.importorskip("h5py", reason="needs h5py")
    plot = tmp_path / "plot.png"
    draws = name not in ("spelling_to_phonemes", "spoken_commands")
    told = run(name, *(("--plot", str(plot)) if draws else ()))
    figure, limit, words = EXPECTED[name]
    assert float(re.search(figure, told)[1]) < limit
    assert re.search(words, told), told
    assert not draws or plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", NAMES)
def test_without_the_original_file_it_says_so(name, tmp_path):
    told = run(name, fixtures=tmp_path)
    assert "is not there" in told and f"examples/{name}/README.md" in told.replace(os.sep, "/")
