"""Folders are layers: imports and cimports point down. One doorway to BLAS, and no long files."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("kernels", "layers", "model", "formats", "stream", "adapters", "pipeline", "serve", "cli")
MAX_LINES = 400
DOORWAY = "streamgru/kernels/blas.pyx"

# One line of Cython: `from a.b cimport c`, `import a.b, c`. What stands in brackets behind it does not matter.
CYTHON_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\b\s*\(?(.*)|c?import\s+(.+))")


def imported(path, root):
    """The dotted names that a file imports, wherever in the file; relative ones made absolute."""
    text = path.read_text(encoding="utf-8")
    package = list(path.relative_to(root).parent.parts)
    names = imported_by_cython(text) if path.suffix in (".pyx", ".pxd") else imported_by_python(text)
    for name in names:
        level = len(name) - len(name.lstrip("."))
        parts = package[: len(package) - level + 1] if level else []
        yield ".".join([*parts, name.lstrip(".")]).rstrip(".")


def imported_by_python(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from (f"{base}{'' if base.endswith('.') else '.'}{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__"):
            yield from (name.value for name in node.args[:1] if isinstance(name, ast.Constant))


def called(node):
    """The last name of what a call calls."""
    return getattr(node.func, "attr", getattr(node.func, "id", None))


def imported_by_cython(text):
    for line in text.splitlines():
        match = CYTHON_IMPORT.match(line)
        if match and match[1]:
            names = [name.split()[0] for name in match[2].split("#")[0].strip(" ()\\").split(",") if name.strip()]
            dot = "" if match[1].endswith(".") else "."
            yield from (f"{match[1]}{dot}{name}" for name in names or [""])
        elif match:
            yield from (name.split()[0] for name in match[3].split("#")[0].split(",") if name.strip())


def sources(folder, *suffixes):
    """Files written by hand: none of hidden folders, of builds, nor what Cython wrote."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part in ("build", "__pycache__", "node_modules") for part in parts)
        generated = path.suffix == ".c" and path.with_suffix(".pyx").exists()
        if path.suffix in suffixes and path.is_file() and not hidden and not generated:
            yield path


def upward_imports(root):
    """Every import in streamgru/ that does not point down."""
    for path in sources(root / "streamgru", ".py", ".pyi", ".pyx", ".pxd"):
        where = path.relative_to(root)
        home = where.parts[1]
        if home in ("__init__.py", "__init__.pxd", "__main__.py"):
            allowed = LAYERS
        elif home == "errors.py":
            allowed = ()
        elif home in LAYERS:
            allowed = LAYERS[: LAYERS.index(home) + 1]
        else:
            yield f"{where}: not in a layer"
            continue
        for name in imported(path, root):
            package, _, rest = name.partition(".")
            if package == "streamgru" and rest.split(".")[0] not in (*allowed, "errors", "__version__"):
                yield f"{where}: {name}"


def wrong_doorways(root):
    """Everybody but kernels/blas.pyx who cimports scipy's BLAS."""
    for path in sources(root / "streamgru", ".pyx", ".pxd", ".py", ".pyi"):
        where = path.relative_to(root).as_posix()
        if where != DOORWAY and any(name.startswith("scipy.linalg.cython_") for name in imported(path, root)):
            yield where


def long_files(root):
    """Files of code that no longer fit in a head."""
    for folder in ("streamgru", "plugins", "tests", "benchmarks", "examples"):
        for path in sources(root / folder, ".py", ".pyi", ".pyx", ".pxd", ".h", ".c"):
            n_lines = len(path.read_text(encoding="utf-8").splitlines())
            if n_lines > MAX_LINES:
                yield f"{path.relative_to(root)}: {n_lines} lines"


def greedy_plugins(root):
    """Imports of plugins that are not part of the contract with them."""
    for path in sources(root / "plugins", ".py", ".pyi"):
        for name in imported(path, root):
            parts = name.split(".")
            if parts[0] == "streamgru" and (len(parts) == 1 or parts[1] not in ("adapters", "errors")):
                yield f"{path.relative_to(root)}: {name}"


RULES = (upward_imports, wrong_doorways, long_files, greedy_plugins)


@pytest.mark.parametrize("rule", RULES)
def test_the_project(rule):
    assert list(rule(ROOT)) == []


LOOKED_AT = [
    (upward_imports, ["kernels/blas.pyx", "kernels/blas.pxd", "stream/stream.pyi", "cli/run.py", "errors.py"]),
    (wrong_doorways, ["kernels/activations.pxd", "layers/gru.pyx", "stream/stream.pyi", "cli/run.py"]),
    (long_files, ["kernels/activations.h", "layers/gru.pyx", "../tests/support.py", "../benchmarks/measure.py"]),
    (greedy_plugins, ["../plugins/streamgru-mqtt/streamgru_mqtt/sink.py"]),
]


@pytest.mark.parametrize("rule, some", LOOKED_AT)
def test_each_rule_has_something_to_look_at(rule, some, monkeypatch):
    """A rule over no files would always hold."""
    read = []
    read_text = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, **settings: read.append(path) or read_text(path, **settings))
    list(rule(ROOT))
    assert {(ROOT / "streamgru" / name).resolve() for name in some} - {path.resolve() for path in read} == set()


def test_every_rule_is_tried():
    assert {rule for rule, _ in LOOKED_AT} == {rule for _, _, rule in WRONG} == set(RULES)


def test_the_doorway_is_one():
    assert "scipy.linalg.cython_blas.sgemv" in imported(ROOT / DOORWAY, ROOT)


WRONG = [
    ("kernels/a.py", "import streamgru.layers.gru", upward_imports),
    ("kernels/a.py", "from streamgru.model import spec", upward_imports),
    ("kernels/a.py", "import streamgru", upward_imports),
    ("kernels/a.py", "from streamgru import Model", upward_imports),
    ("kernels/a.py", "from .. import model", upward_imports),
    ("kernels/a.py", "from ..model import spec", upward_imports),
    ("kernels/a.pyi", "from streamgru.stream.stream import Stream", upward_imports),
    ("model/a.py", "def f():\n    from streamgru.formats import native", upward_imports),
    ("formats/a.py", "if TYPE_CHECKING:\n    from streamgru.stream.model import Model", upward_imports),
    ("formats/a.py", "import os, streamgru.cli", upward_imports),
    ("formats/a.py", "importlib.import_module('streamgru.stream.model')", upward_imports),
    ("layers/a.pyx", "from streamgru.model.plan cimport Plan", upward_imports),
    ("layers/a.pyx", "from streamgru.model cimport (\n    plan,\n)", upward_imports),
    ("layers/a.pxd", "cimport streamgru.model.plan as p", upward_imports),
    ("layers/a.pyx", "def f():\n    from streamgru.model import spec", upward_imports),
    ("layers/a.pyx", "from ..model cimport plan", upward_imports),
    ("layers/a.pyx", "import numpy, streamgru.stream", upward_imports),
    ("layers/deep/a.py", "from ...model import spec", upward_imports),
    ("stray/a.py", "", upward_imports),
    ("stray.py", "", upward_imports),
    ("errors.py", "from streamgru.kernels import blas", upward_imports),
    ("layers/a.pyx", "from scipy.linalg.cython_blas cimport sgemv", wrong_doorways),
    ("stream/a.pyx", "cimport scipy.linalg.cython_blas", wrong_doorways),
    ("stream/a.pyx", "from scipy.linalg cimport cython_blas", wrong_doorways),
    ("model/a.pyx", "x = 1\n" * 401, long_files),
    ("../tests/a.py", "x = 1\n" * 401, long_files),
    ("../plugins/streamgru-x/streamgru_x/a.py", "from streamgru.stream.model import Model", greedy_plugins),
    ("../plugins/streamgru-x/streamgru_x/a.py", "import streamgru", greedy_plugins),
    ("../plugins/streamgru-x/streamgru_x/a.py", "def f():\n    from streamgru import Model", greedy_plugins),
]
RIGHT = [
    ("kernels/a.py", "from streamgru.errors import LoadError\nfrom streamgru.kernels import blas\nimport os"),
    ("layers/a.pyx", "from streamgru.kernels.blas cimport gemv  # not from streamgru.model\nfrom . cimport op"),
    ("cli/a.py", "from streamgru.serve import tcp\nfrom ..stream import model\nfrom .x import y"),
    ("__init__.py", "from streamgru.stream.model import Model"),
    ("kernels/blas.pyx", "from scipy.linalg.cython_blas cimport sgemv"),
    ("model/a.pyx", "x = 1\n" * 400),
    ("model/a.c", "x\n" * 1000),
    ("../plugins/streamgru-x/streamgru_x/a.py", "from streamgru.adapters.contract import Source\nimport streamgru_x"),
]


def tree(root, name, text):
    """A project of one file (and the source of a generated one)."""
    path = (root / "streamgru" / name).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if path.suffix == ".c":
        path.with_suffix(".pyx").write_text("")
    return root


@pytest.mark.parametrize("name, text, rule", WRONG)
def test_what_is_wrong_is_caught(name, text, rule, tmp_path):
    assert len(list(rule(tree(tmp_path, name, text)))) == 1


@pytest.mark.parametrize("name, text", RIGHT)
def test_what_is_right_is_not(name, text, tmp_path):
    root = tree(tmp_path, name, text)
    assert [problem for rule in RULES for problem in rule(root)] == []
