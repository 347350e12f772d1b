"""Streams and pools in several threads of Python, all extensions under ThreadSanitizer; and that it finds races.

Interpreter and NumPy are not instrumented. But the sanitizer sees what they do to locks, the GIL among them, and where
they allocate, so it takes nothing that the GIL guards for a race, and there is nothing to suppress.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # it compiles all extensions first
    pytest.mark.skipif(sys.platform != "linux", reason="needs the tools of Linux"),
]

RACE = "WARNING: ThreadSanitizer: data race"
SCENES = ("batches", "streams_of_one_model", "one_stream", "one_pool", "pools_of_one_model")
FLAGS = '"-O1", "-g1", "-fsanitize=thread"'
# A file, what is changed in it, the scene that shows it, and the file in whose functions the race is.
PLANTED = {
    "threads share their scratch": (
        "stream/batch.pyx", "lane = number * share.n_lanes", "lane = 0", "batches", "kernels/simd"
    ),
    "threads have a row in common": (
        "stream/batch.pyx", "last = share.n * (number + 1) // n_shares",
        "last = min(share.n, share.n * (number + 1) // n_shares + 1)", "batches", "stream/batch",
    ),
    "a stream takes two threads": (
        "stream/running.pyx", "if not sg_take(&stream.busy):", "if False:", "one_stream", "stream/running"
    ),
    "a pool takes two threads": (
        "stream/pool.pyx", "if not sg_take(&self.busy):", "if False:", "one_pool", "stream/(slots|batch)"
    ),
    "a flag that is no atomic one": (
        "stream/atomic.h", "return !__atomic_test_and_set(flag, __ATOMIC_ACQUIRE);",
        "sg_flag was = *flag; *flag = 1; return !was;", "one_stream", "stream/atomic",
    ),
}  # fmt: skip


def change(path, old, new):
    """Write *new* for *old*, which must stand in the file once."""
    text = path.read_text()
    assert text.count(old) == 1, f"{path}: {old}"
    path.write_text(text.replace(old, new))


def compile_in_place(folder):
    """Build what is newer than its extension, with gcc, whose sanitizer is the one that is preloaded."""
    command = [sys.executable, "setup.py", "build_ext", "--inplace", f"-j{os.cpu_count()}"]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "CC": "gcc"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def libtsan():
    """The sanitizer, which must be there before the interpreter is."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    found = subprocess.run(["gcc", "-print-file-name=libtsan.so"], capture_output=True, text=True, check=True)
    path = Path(found.stdout.strip())
    if not path.is_absolute():  # the bare name: there is none
        pytest.skip("needs libtsan")
    return path


@pytest.fixture(scope="module")
def sanitized(libtsan, tmp_path_factory):
    """A copy of the package with sanitized extensions."""
    folder = tmp_path_factory.mktemp("sanitized")
    shutil.copytree(ROOT / "streamgru", folder / "streamgru", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copy2(ROOT / "setup.py", folder)
    change(folder / "setup.py", '"-O3", "-g0"', FLAGS)
    compile_in_place(folder)
    return folder


@pytest.fixture
def play(libtsan):
    """Run scenes with the package of a folder; without random addresses, which older sanitizers do not understand."""

    def run(folder, *scenes):
        environment = [f"LD_PRELOAD={libtsan}", f"PYTHONPATH={ROOT}", "OPENBLAS_NUM_THREADS=1", "TSAN_OPTIONS="]
        # Not in env=: setarch itself, whose addresses are random yet, would have the library too.
        command = ["setarch", platform.machine(), "-R", "env", *environment]
        program = [sys.executable, "-B", "-m", "tests.stream.races", *scenes]
        return subprocess.run([*command, *program], cwd=folder, capture_output=True, text=True, timeout=300)

    return run


@pytest.mark.parametrize("scene", SCENES)
def test_scene_has_no_race(scene, sanitized, play):
    finished = play(sanitized, scene)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, f"{scene}\n", "")


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_race_is_found(plant, sanitized, play, tmp_path):
    file, old, new, scene, place = PLANTED[plant]
    folder = shutil.copytree(sanitized, tmp_path / "planted")
    change(folder / "streamgru" / file, old, new)
    compile_in_place(folder)
    finished = play(folder, scene)
    assert finished.returncode != 0 and RACE in finished.stderr
    assert re.search(rf"streamgru/{place}", finished.stderr.partition(RACE)[2]), finished.stderr
