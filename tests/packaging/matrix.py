"""Build, install, test and demonstrate the package on several Pythons: ``make matrix``.

For each: the wheel is built from the sdist in isolation and installed in a fresh environment; the
tests then run from the unpacked sdist, which holds nothing compiled, so that it is the wheel that they test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("3.11", "3.12", "3.13")

# What builds things of its own, or is C alone: once is enough, and `make test` does it.
ONCE = (
    "packaging",
    "cimport",
    "kernels/simd",
    "realtime/calm",
    "stream/test_workers.py",
    "end_to_end/test_small_weights.py",
)
CYTHON_PAGE = "tests/test_docs.py::test_page_runs[docs/how-to/embed-in-cython.md]"  # imports from the folder it is in


def main() -> int:
    """Run the matrix over the interpreters that are named, or over those that are found."""
    pythons = sys.argv[1:] or os.environ.get("PYTHONS", "").split() or find_pythons()
    if not pythons:
        print(f"expected any of Python {', '.join(VERSIONS)} in PATH or under pyenv, found none")
        return 1
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        sdist = build_sdist(Path(folder))
        for i, python in enumerate(pythons):
            started = time.monotonic()
            failure = try_one(python, sdist, Path(folder) / str(i))
            outcomes.append(
                f"{version(python):9} {failure or 'passed':24} {time.monotonic() - started:5.0f} s  {python}"
            )
    print("\n".join(["", *outcomes]))
    return int(any("passed" not in outcome for outcome in outcomes))


def find_pythons() -> list[str]:
    """One interpreter for each version but WITHOUT, from PATH or from pyenv; says which are missing."""
    found = []
    for wanted in VERSIONS:
        if wanted == os.environ.get("WITHOUT"):
            continue
        candidates = [f"python{wanted}"]
        if shutil.which("pyenv"):
            versions = Path(subprocess.check_output(["pyenv", "root"], text=True).strip()) / "versions"
            candidates += [str(path) for path in sorted(versions.glob(f"{wanted}*/bin/python"))]
        python = next((candidate for candidate in candidates if version(candidate).startswith(wanted + ".")), None)
        if python:
            found.append(python)
        else:
            print(f"Python {wanted}: not found")
    return found


def version(python: str) -> str:
    """The version of an interpreter; empty if it does not run."""
    try:
        done = subprocess.run([python, "-c", "import platform; print(platform.python_version())"], capture_output=True)
    except OSError:
        return ""
    return done.stdout.decode().strip()


def build_sdist(folder: Path) -> Path:
    """Build the sdist in isolation."""
    run([sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT])
    return next(folder.glob("*.tar.gz"))


def try_one(python: str, sdist: Path, folder: Path) -> str:
    """Everything on one Python; what failed, or nothing."""
    print(f"\n== {python}", flush=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    source = next(folder.iterdir())
    here = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    environment = {name: value for name, value in os.environ.items() if name != "CI"}  # torch is not here, nor shall be
    step = "environment"
    try:
        run([python, "-m", "venv", folder / "venv"])
        run([here, "-m", "pip", "install", "--quiet", "--upgrade", "pip>=25.1"])
        step = "wheel"
        run([here, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, sdist])
        step = "install"
        run(
            [here, "-m", "pip", "install", "--quiet", *folder.glob("*.whl"), "--group", f"{source}/pyproject.toml:test"]
        )
        run([here, "-m", "pip", "check"])
        # The sources lie beside the tests. What a .pth file names comes after the installed packages.
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        packages = subprocess.check_output([here, "-c", where], text=True)
        Path(packages.strip(), "tests.pth").write_text(f"{source}\n")
        environment["PYTHONSAFEPATH"] = "1"  # no folder comes before them
        step = "tests"
        ignored = [f"--ignore=tests/{name}" for name in ONCE]
        ignored += [f"--deselect={CYTHON_PAGE}"]
        run([here, "-m", "pytest", "-q", "--import-mode=append", *ignored], cwd=source, env=environment)
        step = "demo"
        run([here, "-m", "streamgru", "demo"], cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    except subprocess.CalledProcessError:
        return f"FAILED: {step}"
    return ""


def run(command: list[str | Path], **settings: object) -> None:
    """Run a command, or raise."""
    subprocess.run([str(part) for part in command], check=True, **settings)  # type: ignore[call-overload]


if __name__ == "__main__":
    sys.exit(main())
