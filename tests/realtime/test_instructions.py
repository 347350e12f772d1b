"""Instructions of a step under callgrind: they do not depend on what else the machine does.

What is counted is one GRU layer on the AVX2 kernels, the best that valgrind can run. Another version of gcc, or a
kernel that was changed on purpose, may have other counts; this prints the table below anew::

    python -m tests.realtime.test_instructions
"""

import functools
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from streamgru.kernels import packed

KERNELS = Path(__file__).parents[2] / "streamgru" / "kernels"
DRIVER = Path(__file__).with_name("steps.c")
# As setup.py builds the kernels.
FLAGS = ("-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off")
N_STEPS = 5
TOLERANCE = 0.10  # between compilers; a product that is no longer vectorised has 8 times as many

# (n_hid, n_streams): instructions of a step, of gcc 12; n_in is n_hid / 4
INSTRUCTIONS = {
    (32, 1): 1_516,
    (32, 96): 152_444,
    (128, 1): 15_076,
    (128, 96): 1_778_426,
}


@functools.cache
def driver():
    """steps.c with the kernels, compiled."""
    target = Path(tempfile.mkdtemp()) / "steps"
    sources = DRIVER, KERNELS / "simd" / "isa_avx2.c"
    subprocess.run(["gcc", *FLAGS, f"-I{KERNELS}", *sources, "-lm", "-o", target], check=True)
    return target


def counted(n_hid, n_streams, n_steps):
    """Instructions of so many steps."""
    report = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=counted",
         driver(), str(n_hid), str(n_streams), str(n_steps)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert report.returncode == 0, report.stderr
    return int(re.search(r"Collected : (\d+)", report.stderr)[1])


def missing():
    """Why nothing can be counted here; None if it can."""
    if "avx2" not in packed.isas():
        return "needs AVX2"
    tools = [tool for tool in ("valgrind", "gcc") if shutil.which(tool) is None]
    return f"needs {tools[0]}" if tools else None


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
@pytest.mark.parametrize("n_hid, n_streams", INSTRUCTIONS)
def test_a_step_has_no_more_instructions_than_it_had(n_hid, n_streams):
    per_step = counted(n_hid, n_streams, N_STEPS) / N_STEPS
    expected = INSTRUCTIONS[n_hid, n_streams]
    assert per_step == pytest.approx(expected, rel=TOLERANCE), "see the docstring of this file on how to renew it"


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
def test_what_is_counted_are_the_steps():
    """Not how the driver gets ready for them: so many steps have so many times the instructions of one."""
    assert counted(32, 1, 10) == pytest.approx(10 * counted(32, 1, 1), rel=0.01)


if __name__ == "__main__":
    for size in [(n_hid, n_streams) for n_hid in (32, 128) for n_streams in (1, 96)]:
        sys.stdout.write(f"    {size}: {round(counted(*size, N_STEPS) / N_STEPS):_},\n")
