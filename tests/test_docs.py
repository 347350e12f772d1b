"""The documentation is run, and names everything that there is.

On every page, from top to bottom, in one temporary folder:

- a ``python`` block is executed, all of a page in one namespace, and writes nothing to stderr; a
  ``text`` block right behind it is what it prints;
- in a ``console`` block what follows ``$`` is run by bash; the other lines are its output;
- ``...`` in an output stands for anything.

A comment before a block changes this: ``<!-- file: NAME -->`` writes the block to a file instead,
``<!-- background -->`` runs it until the end of the page, beginning when it listens, ``<!-- needs:
torch -->`` leaves it out where torch is not installed (or any of several, with commas), ``<!-- not run: WHY -->``
everywhere.
"""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import io
import logging
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from safetensors.numpy import save_file

import streamgru
from streamgru.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)]
BLOCK = re.compile(r"(?:^<!-- (?P<note>[^\n]*) -->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S)


def blocks(page):
    """The blocks of a page that are run or are output: (note, kind, text) each."""
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [(match["note"] or "", match["kind"], match["text"]) for match in found]


def needed(note):
    """The packages that a block cannot do without."""
    return note.removeprefix("needs: ").split(", ") if note.startswith("needs: ") else []


def matches(expected, actual):
    """Whether an output is the one that is shown, with ``...`` for anything."""
    parts = [re.escape(part) for part in "\n".join(expected.split()).split("...")]
    return re.fullmatch(".*".join(parts), "\n".join(actual.split()), re.S) is not None


class Page:
    """Runs the blocks of one page, in the current folder."""

    def __init__(self):
        self.names = {"__name__": "__main__"}
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]  # in place of 9000, which may be in use
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(Path(streamgru.__file__).parents[1]),  # Cython does not see an editable installation
        }
        self.running = []

    def run(self, note, kind, text):
        """Run one block; what it printed, or None if it is not run."""
        text = re.sub(r"\b9000\b", str(self.port), text)
        if note.startswith("file: "):
            Path(note.removeprefix("file: ")).write_text(text)
        elif note.startswith("not run") or not all(map(importlib.util.find_spec, needed(note))):
            pass
        elif kind == "python":
            printed, complaints = io.StringIO(), io.StringIO()
            logged = logging.StreamHandler(complaints)  # as without pytest, which takes the log for itself
            logged.setLevel(logging.WARNING)
            logging.getLogger().addHandler(logged)
            try:
                with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaints):
                    exec(compile(text, "<docs>", "exec"), self.names)
            finally:
                logging.getLogger().removeHandler(logged)
            assert complaints.getvalue() == "", f"on stderr after\n{text}\n{complaints.getvalue()}"
            return printed.getvalue()
        elif kind == "console":
            return self._shell(commands(text), note == "background")
        return None

    def _shell(self, script, background):
        process = subprocess.Popen(
            ["bash", "-ec", f"exec {script}" if background else script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment,
        )  # fmt: skip
        if background:
            self.running.append(process)
            assert any("listening" in line for line in process.stderr), script
            return None
        output, complaints = process.communicate(timeout=60)
        assert process.returncode == 0, f"{script}: exit code {process.returncode}\n{output}\n{complaints}"
        return output

    def end(self):
        """End what runs in the background."""
        for process in self.running:
            process.terminate()
            process.communicate(timeout=10)


def commands(text):
    """The commands of a console block, without the prompts; a line that ends with a backslash goes on."""
    taken, goes_on = [], False
    for line in text.splitlines():
        if goes_on or line.startswith("$ "):
            taken.append(line if goes_on else line.removeprefix("$ "))
            goes_on = line.endswith("\\")
    return "\n".join(taken)


def output_shown(kind, text, following):
    """The output that the page shows for a block; None if it shows none."""
    if kind == "console":
        lines, script = text.splitlines(), commands(text).splitlines()
        shown = [line for line in lines if line.removeprefix("$ ") not in script]
        return "\n".join(shown) if shown else None
    return following[0][2] if following and following[0][:2] == ("", "text") else None


def torch_files():
    """What the blocks that need torch would write: the same names and shapes, other numbers."""
    rng = np.random.default_rng(0)

    def gru(n_in, n_hid, k=0):
        rows = 3 * n_hid
        shapes = {"weight_ih": (rows, n_in), "weight_hh": (rows, n_hid), "bias_ih": rows, "bias_hh": rows}
        return {f"gru.{name}_l{k}": rng.uniform(-0.3, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}

    head = {"head.weight": np.ones((2, 16), np.float32), "head.bias": np.zeros(2, np.float32)}
    save_file(gru(2, 16) | head, "pace.safetensors")
    save_file(gru(6, 32) | gru(32, 32, 1), "weights.safetensors")


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch_files()
    running = Page()
    found = blocks(page)
    try:
        for i, (note, kind, text) in enumerate(found):
            printed = running.run(note, kind, text)
            shown = output_shown(kind, text, found[i + 1 : i + 2])
            if printed is not None and shown is not None:
                assert matches(shown, printed), f"after\n{text}\nexpected\n{shown}\ngot\n{printed}"
    finally:
        running.end()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_pages_and_pictures(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), target


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def reference(name):
    return (DOCS / "reference" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", streamgru.__all__)
def test_public_name_has_its_place(name):
    thing = getattr(streamgru, name)
    if isinstance(thing, type) and issubclass(thing, Exception):
        assert ".. automodule:: streamgru.errors\n   :members:" in reference("errors")
        assert thing.__module__ == "streamgru.errors"
        assert name in streamgru.errors.__doc__
    else:
        home = rf":: (streamgru|{re.escape(thing.__module__)})\.{name}\n"
        assert re.search(home, reference("api") + reference("spec"))
    assert thing.__doc__


@pytest.mark.parametrize("name", COMMANDS)
def test_command_and_its_options_have_their_place(name):
    assert f".. click:: streamgru.cli.{name}:{name}\n   :prog: streamgru {name}\n" in reference("command-line")
    command = cli.get_command(click.Context(cli), name)
    assert command.help
    assert [item.name for item in command.params if isinstance(item, click.Option) and not item.help] == []


@pytest.mark.parametrize("group", ["sources", "sinks", "codecs"])
def test_adapter_has_its_place(group):
    for point in importlib.metadata.entry_points(group=f"streamgru.{group}"):
        if point.dist.name != "streamgru":
            continue
        if group == "codecs":
            assert f"## `{point.name}`" in reference("records")
        else:
            assert f"```{{options}} {group} {point.name}\n" in reference("uris")


def test_layer_has_its_place():
    from streamgru.model.spec import LAYER_KINDS

    for cls in LAYER_KINDS.values():
        assert f".. autoclass:: {cls.__name__}\n" in reference("spec")


def test_cimported_name_has_its_place():
    declared = (ROOT / "streamgru" / "__init__.pxd").read_text().partition("cimport (")[2]
    names = re.findall(r"\w+", declared)
    assert "sg_step" in names
    assert [name for name in names if not re.search(rf"\b{name}\b", reference("cython"))] == []


def test_conventions_are_those_of_the_code():
    from streamgru.formats.conventions import PRESETS

    shown = {}
    for line in reference("map").splitlines():
        cells = [cell.strip(" `") for cell in line.strip("|").split("|")]
        if cells[0] in PRESETS:
            shown[cells[0]] = cells[1:]
    assert set(shown) == set(PRESETS)
    for name, preset in PRESETS.items():
        besides = {"stacked": "stacked", "flat": "flat, scale 1/256", "joined": "joined xh"}
        told = [text for key, text in besides.items() if key in preset]
        fields = [preset.get(key, "one") for key in ("order", "rows", "variant", "update", "biases")]
        assert shown[name] == [*fields, f"{preset['gate']}, {preset['candidate']}", *(told or [""])], name


def test_exit_code_has_its_place():
    for code in (0, 1, 2, 130, 141, 143):
        assert f"| {code} |" in reference("exit-codes")


def test_limits_are_those_of_the_code():
    from streamgru.formats import files
    from streamgru.formats import safetensors_file as limits

    page = reference("file-format")
    assert f"| file | {files.MAX_BYTES >> 30} GiB |" in page
    assert f"| header | {limits.MAX_HEADER_BYTES >> 20} MiB |" in page
    assert f"| tensors | {limits.MAX_TENSORS}, of at most {limits.MAX_RANK} dimensions |" in page
    assert f"| name | {limits.MAX_NAME_BYTES} bytes |" in page
