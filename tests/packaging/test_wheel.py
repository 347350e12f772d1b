"""The wheel, built once, in a bare environment without a compiler."""

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.environments import ROOT, python_of, run

pytestmark = pytest.mark.timeout(900)

IMPORTED = """
import contextlib, json, sys
with contextlib.suppress(SystemExit):
    from streamgru.cli import main
    main(["--help"])
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
THREADS = """
import os, threading
import numpy
before = len(os.listdir("/proc/self/task"))
import streamgru
streamgru.load, streamgru.Pipeline, streamgru.Pool
print(threading.active_count(), len(os.listdir("/proc/self/task")) - before)
"""
SETTINGS = """
import locale, logging, random, signal, sys, warnings
import numpy, scipy.linalg.cython_blas, msgspec

def settings():
    signals = {number: str(signal.getsignal(number)) for number in signal.valid_signals()}
    loggers = [logging.getLogger().handlers, logging.getLogger().level]
    return repr([signals, loggers, warnings.filters, locale.getlocale(), sys.getrecursionlimit(),
                 random.getstate(), numpy.geterr(), numpy.get_printoptions(), sys.excepthook])

before = settings()
import streamgru
streamgru.load, streamgru.Pipeline, streamgru.Pool
assert settings() == before
"""


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    """The Python of a fresh environment that has the wheel, and no way to compile anything."""
    folder = tmp_path_factory.mktemp("bare")
    python = python_of(folder / "venv")
    (folder / "nothing").mkdir()
    no_compiler = {
        "PATH": f"{folder}/venv/bin:{folder}/nothing", "CC": "/bin/false", "CXX": "/bin/false", "HOME": str(folder),
    }  # fmt: skip
    install = [python, "-m", "pip", "install", "--only-binary", ":all:", wheel]
    run(*install, env=os.environ | no_compiler | {"HOME": os.environ.get("HOME", str(folder))})

    def call(*arguments, **settings):
        return run(python, *arguments, env=no_compiler, cwd=folder, **settings)

    return call


def test_sdist_has_what_a_build_and_the_tests_need(sdist):
    names = subprocess.check_output(["tar", "-tzf", sdist], text=True).splitlines()
    inside = {name.partition("/")[2] for name in names}
    wanted = {
        "LICENSE", "README.md", "Makefile", "setup.py", "pyproject.toml", "docs/index.md", "tests/conftest.py",
        "streamgru/kernels/blas.pyx", "streamgru/kernels/activations.h", "streamgru/data/shoulder.npz",
        "streamgru/kernels/simd/isa_c.c", "streamgru/stream/workers.c", "examples/embed_cython/channels.pyx",
    }  # fmt: skip
    assert wanted - inside == set()
    of_cython = {name.removesuffix(".pyx") + ".c" for name in inside if name.endswith(".pyx")}
    assert inside & of_cython == set()
    assert [name for name in inside if name.endswith((".so", ".pyc", "_blas_int.pxi"))] == []


def test_wheel_holds_the_package_and_no_sources(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {name for name in names if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in ours} == {"streamgru"}
    kinds = {".py", ".pyi", ".pxd", ".h", ".so", ".typed", ".npz", ".safetensors", ".md"}
    assert {Path(name).suffix for name in ours} <= kinds
    for wanted in ("py.typed", "data/shoulder.npz", "stream/stream.pyi", "stream/stream.pxd", "kernels/activations.h"):
        assert f"streamgru/{wanted}" in names
    compiled = {name.split(".")[0] for name in ours if name.endswith(".so")}
    stubs = {name.removesuffix(".pyi") for name in ours if name.endswith(".pyi")}
    assert stubs <= compiled
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_every_module_of_the_source_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "streamgru").rglob("*.py")}
    assert sources - names == set()


def test_dependencies_fit_together(bare):
    assert "No broken requirements" in bare("-m", "pip", "check").stdout


def test_python_api_without_a_compiler(bare):
    code = "import streamgru; m = streamgru.load('builtin:shoulder'); print(m.stream().step([0] * 6).shape)"
    assert bare("-c", code).stdout == "(7,)\n"


def test_demo_without_a_terminal_ends_by_itself(bare):
    started = time.monotonic()
    done = bare("-m", "streamgru", "demo", stdin=subprocess.DEVNULL)
    assert time.monotonic() - started < 60
    assert len(done.stdout.splitlines()) > 5


def test_help_imports_neither_numpy_nor_the_core(bare):
    modules = json.loads(bare("-c", IMPORTED).stderr)
    heavy = {name.partition(".")[0] for name in modules} & {"numpy", "scipy", "msgspec", "safetensors", "asyncio"}
    ours = {name for name in modules if name.startswith("streamgru.")}
    assert heavy == set()
    assert ours <= {"streamgru.cli", "streamgru.errors"}


@pytest.mark.skipif(sys.platform != "linux", reason="looks in /proc")
def test_importing_starts_no_thread(bare):
    assert bare("-c", THREADS).stdout == "1 0\n"


def test_importing_changes_no_settings(bare):
    bare("-c", SETTINGS)


def test_start_up_times(bare, capsys):
    """At most twice the figures of the design, in the best of seven pairs: a busy machine shall not fail it."""
    commands = {
        "python": ("-c", "pass"),
        "streamgru --help": ("-m", "streamgru", "--help"),
        "import numpy": ("-c", "import numpy"),
        "import streamgru": ("-c", "import numpy, streamgru"),
        "a loaded model": ("-c", "import streamgru; streamgru.load('builtin:shoulder')"),
    }
    times = {name: [] for name in commands}
    for _ in range(7):
        for name, command in commands.items():
            started = time.perf_counter()
            bare(*command)
            times[name].append(1e3 * (time.perf_counter() - started))
    rows = (
        ("streamgru --help", "python", 100),
        ("import streamgru", "import numpy", 50),
        ("a loaded model", "import numpy", None),  # most of it is scipy's BLAS
    )
    over = {name: sorted(a - b for a, b in zip(times[name], times[base], strict=True)) for name, base, _ in rows}
    with capsys.disabled():
        for name, base, figure in rows:
            best, median, wanted = over[name][0], over[name][3], f"the design's figure: {figure or 'none'}"
            print(f"\n{name}: {median:.0f} ms over {base}, at best {best:.0f} ({wanted})", end="")
    assert [name for name, _, figure in rows if figure and over[name][0] > 2 * figure] == []
