"""The stubs of the compiled modules: the docstrings of the runtime, and none of its members missing.

`make lint` compares the signatures, with mypy's stubtest.
"""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STUBS = sorted(ROOT.glob("streamgru/*/*.pyi"))
MODULES = [".".join(stub.relative_to(ROOT).with_suffix("").parts) for stub in STUBS]
# nothing in them to call
INTERNAL = {
    "streamgru.layers.gru", "streamgru.layers.packed", "streamgru.layers.pointwise", "streamgru.layers.window",
    "streamgru.model.run", "streamgru.stream.arrays", "streamgru.stream.running",
}  # fmt: skip


def documented(node):
    """Every docstring of a stub: dotted name -> text; of a property the getter's."""
    found = {}
    for child in node.body:
        if isinstance(child, (ast.ClassDef, ast.FunctionDef)):
            found.setdefault(child.name, ast.get_docstring(child))
            if isinstance(child, ast.ClassDef):
                found |= {f"{child.name}.{name}": text for name, text in documented(child).items()}
        elif isinstance(child, ast.AnnAssign):
            found[child.target.id] = None
    return found


def public(owner, module):
    """The public members of a module or class that are its own."""
    for name, value in vars(owner).items():
        foreign = inspect.ismodule(value) or getattr(value, "__module__", module.__name__) != module.__name__
        if not name.startswith("_") and not foreign:
            yield name, value


def members(module):
    """The public functions and classes of a module, and the public members of these."""
    for name, value in public(module, module):
        yield name, value
        if inspect.isclass(value):
            yield from ((f"{name}.{member}", inner) for member, inner in public(value, module))


def modules_of_pyx():
    return {".".join(pyx.relative_to(ROOT).with_suffix("").parts) for pyx in ROOT.glob("streamgru/**/*.pyx")}


def test_every_extension_has_a_stub():
    assert set(MODULES) | INTERNAL == modules_of_pyx()
    for name in INTERNAL & modules_of_pyx():
        assert not dict(members(importlib.import_module(name)))


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_are_those_of_the_runtime(name):
    module = importlib.import_module(name)
    tree = ast.parse((ROOT / name.replace(".", "/")).with_suffix(".pyi").read_text())
    stub = documented(tree)
    assert ast.get_docstring(tree) == inspect.getdoc(module)
    runtime = dict(members(module))
    assert set(runtime) <= set(stub), "missing in the stub"
    for key, value in runtime.items():
        expected = inspect.getdoc(value) if callable(value) or inspect.isdatadescriptor(value) else None
        assert stub[key] == expected, key


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_that_can_be_called_has_a_docstring(name):
    for key, value in members(importlib.import_module(name)):
        assert not callable(value) or inspect.getdoc(value), key
