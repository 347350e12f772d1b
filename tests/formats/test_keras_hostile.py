"""Keras files made to hurt: a typed error, or a model of the same shapes, and nothing is executed."""

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from streamgru.errors import FormatError, LoadError
from streamgru.formats.read import read
from tests.formats.keras_files import GRU2, entry, h5, sequential, small

h5py = pytest.importorskip("h5py", reason="needs h5py")


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"a": 1, "a": 2}', b"[" * 200_000, b"\xff", b'"x"', b"{}"])
def test_a_config_that_is_no_json(text):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", text)
        archive.writestr("model.weights.h5", h5(None, {}))
    with pytest.raises(LoadError):
        read(file.getvalue())


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_truncations_and_flipped_bits(ending):
    """A typed error, or a model of the same shapes."""
    whole = small()[ending]
    shapes = {name: array.shape for name, array in read(whole).tensors.items()}
    for size in range(0, len(whole), 7 if ending == "keras" else 97):
        with pytest.raises(LoadError):
            read(whole[:size])
    refused = 0
    for bit in range(0, 8 * len(whole), 13 if ending == "keras" else 211):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            found = read(bytes(changed))
        except LoadError:
            refused += 1
            continue
        assert {name: array.shape for name, array in found.tensors.items()} == shapes
    assert refused > 20


def test_a_bomb_within(monkeypatch):
    """What the archive inflates to is an HDF5 file, which has limits of its own."""
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        opened.create_dataset("layers/gru/cell/vars/0", (1 << 34, 3), np.float32, chunks=(1 << 12, 3))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(sequential(entry("GRU", "g", **GRU2))))
        archive.writestr("model.weights.h5", file.getvalue())
    with pytest.raises(FormatError, match="expected at most"):
        read(outer.getvalue())


AUDIT = """
import sys
import h5py
import streamgru
streamgru.load(sys.argv[1])  # what is imported once is imported now
streamgru.load(sys.argv[2])
events = []

def hook(event, args):
    if event in ("exec", "compile", "import", "pickle.find_class", "os.system", "os.exec", "os.posix_spawn",
                 "subprocess.Popen", "marshal.loads", "ctypes.dlopen") or event.startswith("socket."):
        events.append((event, str(args)))
    if event == "open" and str(args[0]) not in {"/proc/self/maps", *sys.argv[1:]}:
        events.append((event, str(args)))

sys.addaudithook(hook)
for path in sys.argv[1:]:
    try:
        streamgru.load(path)
    except streamgru.LoadError:
        pass
if events:
    sys.exit(f"unexpected: {events}")
print(len(sys.argv) - 1, "files")
"""


def test_loading_executes_nothing(tmp_path):
    """Watched by an audit hook in a process of its own."""
    code = {"module": "os", "class_name": "system", "config": "true", "registered_name": "os>system"}
    external = io.BytesIO()
    with h5py.File(external, "w") as file:
        file["layers"] = h5py.ExternalLink(str(tmp_path / "keras"), "/")
    files = small() | {
        "torn": small()["h5"][:-9],
        "lambda": h5(sequential(entry("Lambda", "l", function=code, module="os")), {"l": {}}),
        "activation": h5(sequential(entry("GRU", "g", **{**GRU2, "activation": code})), {"g": {}}),
        "class": h5({"class_name": "os.system", "config": {"command": "true"}}, {}),
        "external": external.getvalue(),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-c", AUDIT, *(str(tmp_path / name) for name in files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == (f"{len(files)} files\n", "", 0)
