"""The threads of a pool: no race, none lost, none waited for that is not there. Driven by C, without Python."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from streamgru.kernels.packed import isa
from tests.compiling import compiled

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs the tools of Linux")

ROOT = Path(__file__).parents[2]
KERNELS, STREAM = ROOT / "streamgru/kernels", ROOT / "streamgru/stream"
WORKERS = STREAM / "workers.c"
RACE = "WARNING: ThreadSanitizer: data race"
# The sanitizer ends a process that starts threads after a fork, so those scenes are played without it.
SCENES = ("many_rounds", "no_threads", "several_callers")
NO_NAMESPACES = 77
ALONE = ("forks", "forks_while_busy", "crashes", "same_process_id")


def driver(folder, workers=WORKERS, flags=()):
    """The driver with the kernels of this CPU."""
    includes = [f"-I{path}" for path in (KERNELS, KERNELS / "simd", STREAM)]
    return compiled(
        folder / "driver", Path(__file__).with_name("workers_driver.c"), workers, KERNELS / f"simd/isa_{isa}.c",
        flags=("-O1", "-g", "-pthread", "-Wl,--wrap=pthread_create", f"-DTABLE=sg_packed_{isa}", *includes, *flags),
    )  # fmt: skip


def play(program, scene):
    """Run one scene; without random addresses, which older sanitizers do not understand."""
    command = ["setarch", platform.machine(), "-R", program, scene]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return driver(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    return driver(tmp_path_factory.mktemp("sanitized"), flags=["-fsanitize=thread"])


@pytest.mark.parametrize("scene", [*SCENES, *ALONE])
def test_scene(scene, plain):
    finished = play(plain, scene)
    if finished.returncode == NO_NAMESPACES:
        pytest.skip("namespaces are forbidden")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("scene", SCENES)
def test_scene_has_no_race(scene, sanitized):
    finished = play(sanitized, scene)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "done\n", "")


def test_a_race_is_found(tmp_path):
    """Two shares that have a row in common."""
    finished = play(driver(tmp_path, flags=["-fsanitize=thread", "-DPLANT_OVERLAP"]), "several_callers")
    assert finished.returncode != 0 and RACE in finished.stderr


def test_a_caller_that_does_not_wait_is_found(tmp_path):
    source = WORKERS.read_text()
    wait = "while (workers->n_busy > 0)"
    assert source.count(wait) == 1
    changed = tmp_path / "workers.c"
    changed.write_text(source.replace(wait, "while (0)"))
    finished = play(driver(tmp_path, changed, ["-fsanitize=thread"]), "several_callers")
    assert finished.returncode != 0 and RACE in finished.stderr
