"""The example package, built against an installed wheel in an environment of its own, and used there."""

import re
import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.environments import ROOT, python_of, run

pytestmark = pytest.mark.timeout(900)

EXAMPLE = ROOT / "examples" / "embed_cython"
CHECKS = Path(__file__).with_name("checks.py")
NAMES = re.findall(r"^def (\w+)\(\):$", CHECKS.read_text(), re.M)
DECLARATIONS = ("streamgru/__init__.pxd", "streamgru/stream/embed.pxd")  # all that is needed to cimport
OTHER = "from streamgru cimport import_streamgru\n\nimport_streamgru()\n"


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The Python of an environment with the wheel, the example, and what the example says that its build needs."""
    folder = tmp_path_factory.mktemp("cimport")
    python = python_of(folder / "venv")
    needs = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["build-system"]["requires"]
    run(python, "-m", "pip", "install", wheel, *[need for need in needs if need != "streamgru"])
    shutil.copytree(EXAMPLE, folder / "example")
    run(python, "-m", "pip", "install", "--no-build-isolation", "--no-deps", folder / "example")
    return python


@pytest.mark.parametrize("name", NAMES)
def test_the_example(name, python, tmp_path):
    run(python, "-W", "error", CHECKS, name, cwd=tmp_path)


def test_the_readme_of_the_example(python, tmp_path):
    code = re.search(r"```python\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.S)[1]
    run(python, "-W", "error", "-c", code, cwd=tmp_path)


def built(python, wheel, folder, change=lambda text: text):
    """The folder of a module that was compiled against declarations that *change* has made of the wheel's."""
    with zipfile.ZipFile(wheel) as archive:
        for name in DECLARATIONS:
            path = folder / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            (path.parent / "__init__.py").touch()
            path.write_text(change(archive.read(name).decode()))
    (folder / "source" / "other.pyx").write_text(OTHER)
    run(python, "-m", "Cython.Build.Cythonize", "-3", "-i", "other.pyx", cwd=folder / "source")
    (folder / "built").mkdir()
    shutil.copy(next((folder / "source").glob("other.*.so")), folder / "built")
    return folder / "built"


def test_two_declarations_are_all_it_takes(python, wheel, tmp_path):
    folder = built(python, wheel, tmp_path)
    assert run(python, "-c", "import other; print('imported')", cwd=folder).stdout == "imported\n"


def test_another_api_is_refused(python, wheel, tmp_path):
    folder = built(python, wheel, tmp_path, lambda text: re.sub(r"(SG_API_VERSION) = \d+", r"\1 = 1234", text))
    code = "try:\n    import other\nexcept ImportError as error:\n    print(error)"
    words = r"compiled against streamgru's C API 1234, but the streamgru that is installed has \d+; build it again\n"
    assert re.fullmatch(words, run(python, "-c", code, cwd=folder).stdout)
