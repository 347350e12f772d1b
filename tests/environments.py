"""Commands in other environments than the one of the tests, and the wheel that goes into them."""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(*command, **settings):
    """Run a command; its output. With ``env`` nothing of this process's environment reaches it."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **settings)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def build_sdist(folder):
    """The sdist, built in isolation."""
    run(sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT)
    return next(folder.glob("*.tar.gz"))


def build_wheel(sdist, folder):
    """The wheel, built from the sdist alone; pip does so in isolation."""
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, sdist)
    return next(folder.glob("*.whl"))


def python_of(folder):
    """The Python of a fresh environment."""
    venv.create(folder, with_pip=True, symlinks=True)
    return folder / "bin" / "python"
