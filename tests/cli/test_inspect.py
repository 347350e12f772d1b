"""``streamgru inspect``, as a process."""

import struct

import numpy as np
import pytest

import streamgru
from streamgru.formats.builtin import recordings
from streamgru.formats.native import write
from streamgru.model import spec as s
from tests.cli.shell import MODEL, one_line, run, told

TORCH = {
    "rnn.weight_ih_l0": (12, 3), "rnn.weight_hh_l0": (12, 4), "rnn.bias_ih_l0": (12,), "rnn.bias_hh_l0": (12,),
    "fc.weight": (2, 4), "fc.bias": (2,),
}  # fmt: skip


def test_the_builtin_model():
    model = streamgru.load(MODEL)
    done = run("inspect", "builtin:shoulder")
    assert (done.returncode, done.stderr) == (0, "")
    for text in (
        model.fingerprint, "14,291 in 57,164 bytes", "13,888 multiply-adds per step", "320 bytes per stream",
        "ax [g]", "wz [rad/s]", "bent over row", "reset after the product, sigmoid gates, tanh candidate, two biases",
        "192 × 64", "seglearn",
    ):  # fmt: skip
        assert text in done.stdout


def test_json():
    model = streamgru.load(MODEL)
    found = told(MODEL)
    assert found["fingerprint"] == model.fingerprint
    assert found["parameters"] == sum(tensor.size for tensor in model.tensors.values())
    assert found["tensor_bytes"] == sum(tensor.nbytes for tensor in model.tensors.values())
    assert found["macs_per_step"] == model.plan.n_macs
    assert found["state_bytes"] == model.plan.state_bytes
    assert (found["n_in"], found["n_out"], found["dtype"]) == (6, 7, "float32")
    assert found["outputs"][0]["labels"] == list(model.labels)
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert list(layers) == ["scale", "gru.0", "head", "softmax"]
    gru = layers["gru.0"]
    assert (gru["kind"], gru["variant"], gru["gate"], gru["candidate"]) == ("gru", "after", "sigmoid", "tanh")
    assert (gru["n_in"], gru["n_out"], gru["macs"]) == (6, 64, 13_440)
    assert gru["tensors"]["weight_hh"] == {"shape": [192, 64], "dtype": "float32", "bytes": 49_152}


def test_float64_has_a_larger_state():
    assert told(MODEL, "--dtype", "float64")["state_bytes"] == streamgru.load(MODEL, dtype="float64").plan.state_bytes


def test_what_was_found_in_a_file_of_pytorch(tmp_path, rng):
    from safetensors.numpy import save_file

    path = tmp_path / "torch.safetensors"
    save_file({name: rng.standard_normal(shape).astype(np.float32) for name, shape in TORCH.items()}, path)
    found = told(path)
    assert any("rnn.weight_ih_l0 (12, 3)" in line and "layer rnn.0: gru" in line for line in found["findings"])
    assert any("activation" in line for line in found["findings"])
    text = run("inspect", path).stdout
    assert "found in the file" in text
    assert all(line in text for line in found["findings"])


def test_every_kind_of_layer_and_output(tmp_path, rng):
    spec = s.Spec(programs={"main": s.Program(
        inputs=(s.Input(name="word", kind="token", vocab=5), s.Input(name="force", size=2, unit="N")),
        layers=(
            s.Embedding(name="table", n_out=3, inputs=("word",)),
            s.Concat(name="both", inputs=("table", "force")),
            s.Gru(name="cell", n_hid=4, variant="before", gate="hard_sigmoid", candidate="relu", clip=5.0,
                  initial="learned"),
            s.Activation(name="squash", function="tanh"),
        ),
        outputs=(s.Output(name="speed", start=0, stop=1, unit="m/s", factor=2.0),
                 s.Output(name="side", start=1, stop=3, labels=("left", "right"))),
    )})  # fmt: skip
    shapes = {"table.weight": (5, 3), "cell.weight_ih": (12, 5), "cell.weight_hh": (12, 4), "cell.h0": (4,)}
    path = tmp_path / "all.safetensors"
    write(path, spec, {name: rng.standard_normal(shape) for name, shape in shapes.items()})
    text = run("inspect", path).stdout
    for part in (
        "word: a token below 5", "force: 2 numbers [N]", "speed: y[0:1] [m/s]", "side: y[1:3] (left, right)",
        "reset before the product, hard_sigmoid gates, relu candidate, no bias, clip 5, learned start",
        "function tanh", "float64",
    ):  # fmt: skip
        assert part in text
    assert told(path)["macs_per_step"] == 12 * 5 + 12 * 4  # looking up a row multiplies nothing


def test_an_encoding_without_all_characters():
    done = run("inspect", MODEL, PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "64 ? 7" in done.stdout


def test_gates_in_the_terminal():
    done = run("inspect", MODEL, "--gates", "builtin:3", COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "forward elevation, person 10, left arm" in lines
    assert "gru.0: 64 units, steps 0 to 2300, 0 s to 46 s" in lines
    assert any("sorted by mean update gate" in line for line in lines)
    for gate in ("reset gate r", "update gate z", "candidate n", "state h"):
        assert any(line.startswith(gate) for line in lines)
    assert sum(len(line) == 80 and not line.strip(" ░▒▓█") for line in lines) >= 4 * 8 - 4
    assert all(len(line) <= 90 for line in lines)


def test_the_table_of_units_is_that_of_the_trace():
    item = recordings().items[2]
    gates = streamgru.load(MODEL).stream().trace(item.x).gates["gru.0"]
    found = told(MODEL, "--gates", "builtin:3")
    assert (found["steps"], found["rate_hz"]) == (2300, 50.0)
    units = found["units"]["gru.0"]
    assert sorted(unit["unit"] for unit in units) == list(range(64))
    z = [unit["mean_z"] for unit in units]
    assert z == sorted(z)
    for unit in units:
        assert unit["mean_z"] == pytest.approx(gates.z[:, unit["unit"]].mean(), rel=1e-5)
        assert unit["memory_steps"] == pytest.approx(1 / (1 - unit["mean_z"]))


def test_raw(tmp_path):
    path = tmp_path / "gates.npz"
    done = run("inspect", MODEL, "--gates", "builtin:1", "--steps", "100:150", "--raw", path)
    assert done.returncode == 0
    assert str(path) in done.stderr
    item = recordings().items[0]
    trace = streamgru.load(MODEL).stream().trace(item.x[:150])
    with np.load(path, allow_pickle=False) as file:
        assert sorted(file.files) == ["gru.0.h", "gru.0.n", "gru.0.r", "gru.0.z", "x", "y"]
        np.testing.assert_array_equal(file["x"], item.x[100:150])
        np.testing.assert_array_equal(file["y"], trace.y[100:])
        for key, part in trace.gates["gru.0"]._asdict().items():
            np.testing.assert_array_equal(file[f"gru.0.{key}"], part[100:])


@pytest.mark.parametrize(
    "arguments",
    [(), (MODEL, "-o", "x.png"), (MODEL, "--raw", "x.npz"), (MODEL, "--steps", "1:2"), (MODEL, "--rate", "5"),
     (MODEL, "--gates", "builtin:1", "-o", "x.pdf"), (MODEL, "--gates", "builtin:1", "--raw", "x.txt"),
     (MODEL, "--gates", "builtin:1", "--steps", "5"), (MODEL, "--gates", "builtin:1", "--steps", "-1:5"),
     (MODEL, "--gates", "builtin:1", "--steps", "0:0"), (MODEL, "--gates", "builtin:1", "--rate", "0"),
     (MODEL, "--dtype", "int8")],
)  # fmt: skip
def test_wrong_usage(arguments):
    done = run("inspect", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "Error: " in done.stderr


def test_places_that_cannot_be_written_to(tmp_path):
    message = one_line(run("inspect", MODEL, "--gates", "builtin:1", "--raw", tmp_path / "absent" / "x.npz"), 1)
    assert "No such file" in message


def test_without_matplotlib(tmp_path):
    (tmp_path / "matplotlib").mkdir()
    (tmp_path / "matplotlib" / "__init__.py").write_text("raise ImportError('not here')\n")
    done = run("inspect", MODEL, "--gates", "builtin:1", "-o", tmp_path / "x.png", PYTHONPATH=str(tmp_path))
    assert "pip install 'streamgru[plots]'" in one_line(done, 1)
    assert not (tmp_path / "x.png").exists()


@pytest.fixture
def _matplotlib():
    pytest.importorskip("matplotlib", reason="needs matplotlib")


@pytest.mark.usefixtures("_matplotlib")
def test_a_picture_is_1200_pixels_wide(tmp_path):
    path = tmp_path / "gates.png"
    done = run("inspect", MODEL, "--gates", "builtin:3", "--steps", "250:750", "-o", path)
    assert (done.returncode, done.stdout) == (0, "")
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    assert width == 1200
    assert 600 < height < 1500


@pytest.mark.usefixtures("_matplotlib")
def test_the_same_picture_again(tmp_path, rng):
    data = tmp_path / "x.npy"
    np.save(data, rng.standard_normal((30, 6)))
    for kind in ("svg", "png"):
        paths = [tmp_path / f"{i}.{kind}" for i in range(2)]
        for path in paths:
            assert run("inspect", MODEL, "--gates", data, "-o", path).returncode == 0
        assert paths[0].read_bytes() == paths[1].read_bytes()
    assert "<svg" in (tmp_path / "0.svg").read_text()


@pytest.mark.usefixtures("_matplotlib")
def test_a_picture_that_cannot_be_written(tmp_path):
    done = run("inspect", MODEL, "--gates", "builtin:1", "--steps", ":50", "-o", tmp_path / "absent" / "x.png")
    assert "No such file" in one_line(done, 1)
