"""Instructions of a step under callgrind: they do not depend on what else the machine does.

What is counted is one GRU layer on the AVX2 kernels, the best that valgrind can run. Fewer are welcome. Another gcc has
counts of its own, and so may have a kernel that was changed on purpose; this prints the rows of the gcc that is here::

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
MORE = 1.05  # times as many as the table has; between the minor versions of a gcc
SIZES = tuple((n_hid, n_streams) for n_hid in (32, 128) for n_streams in (1, 96))

# gcc's major version -> (n_hid, n_streams) -> instructions of a step; n_in is n_hid / 4
INSTRUCTIONS = {
    12: {
        (32, 1): 1_516,
        (32, 96): 152_444,
        (128, 1): 15_076,
        (128, 96): 1_778_426,
    },
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


def gcc():
    """Its major version."""
    told = subprocess.run(["gcc", "-dumpversion"], capture_output=True, text=True, check=True).stdout
    return int(told.split(".")[0])


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
@pytest.mark.parametrize("n_hid, n_streams", SIZES)
def test_a_step_has_no_more_instructions_than_it_had(n_hid, n_streams):
    if gcc() not in INSTRUCTIONS:
        pytest.skip(f"no counts of gcc {gcc()}")
    per_step = counted(n_hid, n_streams, N_STEPS) / N_STEPS
    assert per_step <= MORE * INSTRUCTIONS[gcc()][n_hid, n_streams], "see the docstring of this file"


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
def test_what_is_counted_are_the_steps():
    """Not how the driver gets ready for them: so many steps have so many times the instructions of one."""
    assert counted(32, 1, 10) == pytest.approx(10 * counted(32, 1, 1), rel=0.01)


if __name__ == "__main__":
    sys.stdout.write(f"    {gcc()}: {{\n")
    for size in SIZES:
        sys.stdout.write(f"        {size}: {round(counted(*size, N_STEPS) / N_STEPS):_},\n")
    sys.stdout.write("    },\n")
