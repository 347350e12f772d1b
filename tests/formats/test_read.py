import io
import pickle
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save

from streamgru.errors import FormatError, SpecError, UnsupportedError
from streamgru.formats import native
from streamgru.formats.read import read, read_spec
from streamgru.model.spec import to_json
from tests.formats import networks

TOML = """
[[programs.main.inputs]]
name = "x"
size = 3
[[programs.main.layers]]
name = "gru.0"
kind = "gru"
n_hid = 4
[[programs.main.layers]]
name = "head"
kind = "dense"
n_out = 2
"""


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, bytes(100))
    return file.getvalue()


def npz():
    file = io.BytesIO()
    np.savez(file, a=np.ones(3))
    return file.getvalue()


def zipped_pickle():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02cmodule\nwhole_module\n.")
    return file.getvalue()


FOREIGN = {
    "torch": (zipped_pickle(), "whole_module.*more than the tensors.*torch.save.*from_torch"),
    "pickle": (pickle.dumps({"a": 1}), "pickle.*save_file"),
    "npz": (npz(), "NumPy archive.*--map map.toml"),
    "zip": (zipped("readme"), "zip"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(100), "TensorFlow Lite"),
    "gguf": (b"GGUF\x03\0\0\0" + bytes(100), "GGUF"),
    "npy": (b"\x93NUMPY\x01\0" + bytes(100), "NumPy"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "git lfs pull"),
}


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a"])
def test_contents_decide_not_the_name(tmp_path, what, name):
    data, message = FOREIGN[what]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UnsupportedError, match=message) as caught:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"x", b"some text, nothing more", bytes(1000), b"[[programs.main.inputs]]"])
def test_anything_else_is_no_file_of_ours(data):
    with pytest.raises(FormatError, match=r"expected a \.safetensors file"):
        read(data)


def test_a_path_and_its_bytes_are_the_same(tmp_path):
    native.write(tmp_path / "a.bin", networks.spec(), networks.tensors())
    by_path, by_bytes = read(tmp_path / "a.bin"), read((tmp_path / "a.bin").read_bytes())
    assert by_path.spec == by_bytes.spec == networks.spec()
    assert by_path.tensors.keys() == by_bytes.tensors.keys()
    assert read(str(tmp_path / "a.bin")).spec == networks.spec()


@pytest.mark.parametrize("kind", ["toml", "json", "spec"])
def test_a_spec_from_outside(tmp_path, kind):
    given = {"toml": tmp_path / "t", "json": str(tmp_path / "j"), "spec": networks.spec()}[kind]
    (tmp_path / "t").write_text(TOML)
    (tmp_path / "j").write_bytes(b"\n " + to_json(networks.spec()))
    names = {"gru.0.weight_ih": "gru.weight_ih_l0", "gru.0.weight_hh": "gru.weight_hh_l0"}
    tensors = {names.get(name, name): tensor for name, tensor in networks.tensors().items()}
    found = read(save(tensors), given)
    assert found.spec == networks.spec()
    assert found.tensors.keys() == networks.tensors().keys()
    assert "gru.weight_ih_l0 -> gru.0.weight_ih" in found.findings


@pytest.mark.parametrize("text", ["", "{", "x = ", "\xff", "a.b.c = 1", "[" * 100_000])
def test_a_spec_that_is_none(tmp_path, text):
    (tmp_path / "s").write_bytes(text.encode("latin-1"))
    with pytest.raises(SpecError):
        read_spec(tmp_path / "s")


def test_a_spec_too_large(tmp_path):
    (tmp_path / "s").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(FormatError, match="at most 1048576"):
        read_spec(tmp_path / "s")
