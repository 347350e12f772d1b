"""Instructions of a step under callgrind: they do not depend on what else the machine does.

What is counted is one GRU layer on the AVX2 kernels, the best that valgrind can run. Fewer are welcome. Another
compiler has counts of its own, and so may a kernel that was changed on purpose; this prints the rows of those here::

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
MORE = 1.05  # times as many as the table has; between the minor versions of a compiler
SIZES = tuple((n_hid, n_streams) for n_hid in (32, 128) for n_streams in (1, 96))

COMPILERS = ("gcc", "clang")

# compiler and its major version -> (n_hid, n_streams) -> instructions of a step; n_in is n_hid / 4
INSTRUCTIONS = {
    ("gcc", 12): {
        (32, 1): 1_516,
        (32, 96): 152_444,
        (128, 1): 15_076,
        (128, 96): 1_778_426,
    },
    ("clang", 14): {
        (32, 1): 1_538,
        (32, 96): 160_145,
        (128, 1): 14_747,
        (128, 96): 1_824_311,
    },
}


@functools.cache
def driver(compiler):
    """steps.c with the kernels, compiled."""
    target = Path(tempfile.mkdtemp()) / "steps"
    sources = DRIVER, KERNELS / "simd" / "isa_avx2.c"
    subprocess.run([compiler, *FLAGS, f"-I{KERNELS}", *sources, "-lm", "-o", target], check=True)
    return target


def counted(compiler, n_hid, n_streams, n_steps):
    """Instructions of so many steps."""
    report = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=counted",
         driver(compiler), str(n_hid), str(n_streams), str(n_steps)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert report.returncode == 0, report.stderr
    return int(re.search(r"Collected : (\d+)", report.stderr)[1])


def missing(compiler):
    """Why nothing can be counted here; None if it can."""
    if "avx2" not in packed.isas():
        return "needs AVX2"
    tools = [tool for tool in ("valgrind", compiler) if shutil.which(tool) is None]
    return f"needs {tools[0]}" if tools else None


def version(compiler):
    """The major one."""
    told = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True, check=True).stdout
    return int(told.split(".")[0])


@pytest.fixture(params=COMPILERS)
def compiler(request):
    if reason := missing(request.param):
        pytest.skip(reason)
    return request.param


@pytest.mark.parametrize("n_hid, n_streams", SIZES)
def test_a_step_has_no_more_instructions_than_it_had(n_hid, n_streams, compiler):
    which = compiler, version(compiler)
    if which not in INSTRUCTIONS:
        pytest.skip(f"no counts of {compiler} {which[1]}")
    per_step = counted(compiler, n_hid, n_streams, N_STEPS) / N_STEPS
    assert per_step <= MORE * INSTRUCTIONS[which][n_hid, n_streams], "see the docstring of this file"


def test_what_is_counted_are_the_steps(compiler):
    """Not how the driver gets ready for them: so many steps have so many times the instructions of one."""
    assert counted(compiler, 32, 1, 10) == pytest.approx(10 * counted(compiler, 32, 1, 1), rel=0.01)


if __name__ == "__main__":
    for name in filter(shutil.which, COMPILERS):
        sys.stdout.write(f'    ("{name}", {version(name)}): {{\n')
        for size in SIZES:
            sys.stdout.write(f"        {size}: {round(counted(name, *size, N_STEPS) / N_STEPS):_},\n")
        sys.stdout.write("    },\n")
