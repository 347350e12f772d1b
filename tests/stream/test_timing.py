"""Timing takes the very steps that it times, and refuses what a step refuses."""

import mmap
import signal
import subprocess
import sys

import numpy as np
import pytest

from streamgru.errors import NonFiniteError, ShapeError
from streamgru.stream import timing
from tests.networks import gru_model, uniform


def test_the_steps_are_taken(rng):
    model, x = gru_model(rng), uniform(rng, 3)
    expected = model.stream()
    for _ in range(12):
        expected.step(x)
    stream = model.stream()
    ns = timing.step_ns(stream, x, 5)
    assert (ns.shape, ns.dtype) == ((5,), np.int64)
    assert (ns >= 0).all()
    assert timing.block_ns(stream, x, 7) > 0
    assert stream.snapshot() == expected.snapshot()


@pytest.mark.parametrize("time", [timing.step_ns, timing.block_ns])
def test_what_a_step_refuses(time, rng):
    stream = gru_model(rng).stream()
    before = stream.snapshot()
    with pytest.raises(NonFiniteError, match=r"x\[1\]"):
        time(stream, np.array([0, np.nan, 0], np.float32), 3)
    with pytest.raises(ShapeError, match=r"contiguous float32 array \(3,\), got float32 \(4,\)"):
        time(stream, uniform(rng, 4), 3)
    with pytest.raises(ShapeError, match="got float64"):
        time(stream, uniform(rng, 3, dtype="float64"), 3)
    assert stream.snapshot() == before


CUT_FILE = """
import mmap, sys, tempfile
import numpy as np
from streamgru.stream import timing
width, n_bytes = map(int, sys.argv[1:])
file = tempfile.TemporaryFile()
file.truncate(2 * mmap.PAGESIZE)
pages = np.frombuffer(mmap.mmap(file.fileno(), 0), np.int32)
file.truncate(mmap.PAGESIZE)
print(timing.read_ns([pages[: n_bytes // 4]], width, 1) > 0)
"""


@pytest.mark.parametrize("width", timing.readers())
def test_every_byte_is_read_and_none_behind(width):
    """The second page of a file that was cut after its first kills whoever reads it."""

    def read(n_bytes):
        return subprocess.run(
            [sys.executable, "-c", CUT_FILE, str(width), str(n_bytes)], capture_output=True, text=True
        )

    whole, beyond = read(mmap.PAGESIZE), read(mmap.PAGESIZE + 4)
    assert (whole.returncode, whole.stdout, whole.stderr) == (0, "True\n", "")
    assert beyond.returncode == -signal.SIGBUS


def test_there_is_always_a_reader():
    assert timing.readers()[-1] == 16
    with pytest.raises(ValueError, match="width: expected one of"):
        timing.read_ns([np.ones(4)], 7, 1)
