"""The kernels are compiled once for all tests of this folder."""

import platform
import shutil

import pytest

from tests.kernels.simd import build


def needs(program, package=None):
    if shutil.which(program) is None:
        pytest.skip(f"needs {package or program}")


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The kernels as setup.py compiles them: a folder, and the object files in it."""
    needs("cc")
    folder = tmp_path_factory.mktemp("native")
    return folder, build.compile_kernels(folder)


@pytest.fixture(scope="session")
def driver(built):
    folder, objects = built
    return build.link(folder / "driver", "driver.c", objects)


@pytest.fixture
def on_x86():
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("needs x86-64")
