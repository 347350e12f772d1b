"""``streamgru convert``, as a process."""

import json
import os

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import streamgru
from streamgru.formats.builtin import recordings
from streamgru.formats.read import read
from streamgru.stream.shrink import shrink
from tests.cli.shell import MODEL, one_line, run, told
from tests.formats.networks import torch_gru, torch_linear


def converted(*arguments):
    """The message of a conversion that succeeded."""
    done = run("convert", *arguments)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr


def test_a_native_file_is_the_same_model(tmp_path):
    out = tmp_path / "out.safetensors"
    message = converted("builtin:shoulder", out)
    assert message == f"streamgru: wrote {out}: 57,164 bytes of tensors, from 57,164\n"
    model, again = streamgru.load(MODEL), streamgru.load(out)
    assert again.fingerprint == model.fingerprint
    assert again.spec == model.spec


def test_a_file_of_pytorch_needs_no_guessing_afterwards(tmp_path):
    path, out = tmp_path / "torch.safetensors", tmp_path / "out.safetensors"
    tensors = torch_gru(3, 4, prefix="rnn.") | torch_linear(4, 2, "fc.")
    save_file(tensors, path)
    message = converted(path, out)
    assert "rnn.weight_ih_l0 (12, 3)" in message and "none was assumed" in message
    found = load_file(out)
    np.testing.assert_array_equal(found["rnn.0.weight_hh"], tensors["rnn.weight_hh_l0"])
    x = np.ones((5, 3), np.float32)
    np.testing.assert_array_equal(streamgru.load(out).stream().run(x), streamgru.load(path).stream().run(x))


def test_a_spec_goes_into_the_file(tmp_path):
    path, toml, out = tmp_path / "torch.safetensors", tmp_path / "spec.toml", tmp_path / "out.safetensors"
    save_file(torch_gru(3, 4, prefix="rnn."), path)
    toml.write_text(
        '[[programs.main.inputs]]\nname = "x"\nsize = 3\n'
        '[[programs.main.layers]]\nname = "rnn.0"\nkind = "gru"\nn_hid = 4\nclip = 2.5\n'
    )
    converted(path, out, "--spec", toml)
    assert streamgru.load(out).spec.main.layers[0].clip == 2.5


@pytest.mark.parametrize(("weights", "dtypes", "n_bytes"), [
    ("int8", {"gru.0.weight_ih": "int8", "gru.0.weight_hh": "int8", "head.weight": "float16"}, 17_484),
    ("f16", {"gru.0.weight_ih": "float16", "gru.0.weight_hh": "float16", "head.weight": "float16"}, 29_388),
])  # fmt: skip
def test_small_weights(tmp_path, weights, dtypes, n_bytes):
    out = tmp_path / "small.safetensors"
    message = converted("builtin:shoulder", out, "--weights", weights)
    assert f"{n_bytes:,} bytes of tensors, from 57,164" in message
    assert out.stat().st_size < n_bytes + 2500
    found = told(out)
    tensors = {f"{layer['name']}.{key}": item for layer in found["layers"] for key, item in layer["tensors"].items()}
    assert {name: tensors[name]["dtype"] for name in dtypes} == dtypes
    assert {item["dtype"] for name, item in tensors.items() if name not in dtypes} == {"float32"}
    assert (found["tensor_bytes"], found["parameters"] >= 14_291) == (n_bytes, True)
    spec, exact = read(MODEL).spec, read(MODEL).tensors
    expected = shrink(spec, exact, weights)
    assert load_file(out).keys() == expected.keys()
    for name, tensor in load_file(out).items():
        np.testing.assert_array_equal(tensor, expected[name], strict=True)


def test_it_is_calibrated_on_all_data(tmp_path):
    out = tmp_path / "small.safetensors"
    np.save(tmp_path / "x.npy", recordings().items[0].x)
    converted(
        "builtin:shoulder", out, "--weights", "int8", "--calibrate", tmp_path / "x.npy", "--calibrate", "builtin:2"
    )
    data = [item.x for item in recordings().items[:2]]
    expected = shrink(read(MODEL).spec, read(MODEL).tensors, "int8", data)
    for name, tensor in load_file(out).items():
        np.testing.assert_array_equal(tensor, expected[name], strict=True)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--calibrate", "builtin:1"], "--calibrate DATA needs --weights int8"),
    (["--weights", "f16", "--calibrate", "builtin:1"], "--calibrate DATA needs --weights int8"),
    (["--weights", "int4"], "'int4' is not one of 'int8', 'f16'"),
])  # fmt: skip
def test_wrong_usage(tmp_path, arguments, message):
    done = run("convert", "builtin:shoulder", tmp_path / "out.safetensors", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_of_what_cannot_be_read(tmp_path):
    bad, out = tmp_path / "bad.safetensors", tmp_path / "out.safetensors"
    bad.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "HDF5" in one_line(run("convert", bad, out), 1)
    assert "expected a readable file" in one_line(run("convert", tmp_path / "absent", out), 1)
    data = tmp_path / "x.csv"
    data.write_text("1,2\n")
    done = run("convert", "builtin:shoulder", out, "--weights", "int8", "--calibrate", data)
    assert "x.csv" in one_line(done, 1)
    assert not out.exists()


@pytest.mark.parametrize("dst", ["", "."])
def test_a_file_without_a_name_is_wrong_usage(dst):
    done = run("convert", "builtin:shoulder", dst)
    assert (done.returncode, done.stdout) == (2, "")
    assert "DST" in done.stderr and "unexpected" not in done.stderr


def test_a_folder_that_is_not_there(tmp_path):
    out = tmp_path / "absent" / "out.safetensors"
    message = one_line(run("convert", "builtin:shoulder", out), 1)
    assert message.endswith(f"{out}: no such folder")


def test_int8_of_a_file_that_lies_says_which_file(tmp_path):
    """A file whose int8 has no scale."""
    path, out = tmp_path / "small.safetensors", tmp_path / "out.safetensors"
    converted("builtin:shoulder", path, "--weights", "int8")
    tensors = load_file(path)
    del tensors["gru.0.weight_hh.scale"]
    size = int.from_bytes(path.read_bytes()[:8], "little")
    save_file(tensors, path, json.loads(path.read_bytes()[8 : 8 + size])["__metadata__"])
    message = one_line(run("convert", path, out), 1)
    assert str(path) in message and "'gru.0.weight_hh.scale': expected shape (192,)" in message
    assert not out.exists()


def test_weights_are_not_made_small_over_themselves(tmp_path):
    path = tmp_path / "m.safetensors"
    converted("builtin:shoulder", path)
    before = path.read_bytes()
    done = run("convert", path, path, "--weights", "int8")
    assert done.returncode == 2 and "name another file as DST" in done.stderr and path.read_bytes() == before
    converted(path, path)


def test_what_is_replaced_is_a_regular_file_and_keeps_its_permissions(tmp_path):
    pipe, private, link = tmp_path / "pipe", tmp_path / "private.safetensors", tmp_path / "link"
    os.mkfifo(pipe)
    done = run("convert", "builtin:shoulder", pipe)
    assert done.returncode == 1 and "expected a regular file to replace, got a pipe" in done.stderr and pipe.is_fifo()
    private.touch(0o600)
    link.symlink_to(private)
    converted("builtin:shoulder", link)
    assert link.is_symlink() and private.stat().st_mode & 0o777 == 0o600 and private.stat().st_size > 50_000
