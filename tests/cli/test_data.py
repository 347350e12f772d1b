"""What ``inspect --gates`` reads: every format of inputs, and what cannot be taken."""

import io
import json
import zipfile

import numpy as np
import pytest

import streamgru
from streamgru.cli import data
from streamgru.errors import NonFiniteError
from streamgru.formats.native import write
from streamgru.model import spec as s
from streamgru.stream.model import Model
from tests.cli.shell import MODEL, one_line, run, told


@pytest.fixture
def x(rng):
    return rng.standard_normal((30, 6)).astype(np.float32)


def as_file(path, x):
    """The same numbers in the format of the name."""
    if path.suffix == ".npy":
        np.save(path, x)
    elif path.suffix == ".npz":
        np.savez(path, x=x, other=np.zeros(3))
    elif path.suffix == ".csv":
        np.savetxt(path, x, delimiter=",", fmt="%.9g")
    else:
        path.write_text("".join(json.dumps({"id": "a", "x": row}) + "\n" for row in x.tolist()))
    return path


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.csv", "x.ndjson", "x.jsonl"])
def test_files_of_inputs(tmp_path, x, name):
    found = told(MODEL, "--gates", as_file(tmp_path / name, x), "--rate", "25")
    expected = streamgru.load(MODEL).stream().trace(x).gates["gru.0"].z.mean(axis=0)
    assert (found["steps"], found["rate_hz"]) == (30, 25.0)
    assert [unit["mean_z"] for unit in found["units"]["gru.0"]] == pytest.approx(sorted(expected), rel=1e-6)


def test_a_large_text_file(tmp_path, rng):
    x = rng.standard_normal((3000, 6))
    assert told(MODEL, "--gates", as_file(tmp_path / "x.ndjson", x))["steps"] == 3000


@pytest.mark.parametrize("kind", ["npy", "csv", "ndjson"])
def test_nan_in_the_data(tmp_path, x, kind):
    x[7, 2] = np.nan
    path = as_file(tmp_path / f"x.{kind}", x)
    message = one_line(run("inspect", MODEL, "--gates", path), 1)
    assert "7" in message or "8" in message  # the step, or the line
    null = tmp_path / "null.ndjson"
    null.write_text("[1, 2, 3, 4, 5, null]\n")
    assert "finite" in one_line(run("inspect", MODEL, "--gates", null), 1)


def hostile():
    """Files of inputs that cannot be taken, and a part of what is said of each."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", b"no array")
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], object), allow_pickle=True)
    squeezed = io.BytesIO()
    np.savez_compressed(squeezed, x=np.random.default_rng(1).standard_normal((30, 6)))
    torn = bytearray(squeezed.getvalue())
    torn[200:260] = bytes(60)
    cut = io.BytesIO()
    np.save(cut, np.zeros((30, 6)))
    two = io.BytesIO()
    np.savez(two, a=np.zeros((30, 6)), b=np.zeros((30, 6)))
    five, empty, text = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(five, np.zeros((30, 5)))
    np.save(empty, np.zeros((0, 6)))
    np.save(text, np.array([["a"] * 6]))
    return {
        "garbage.npy": (b"garbage", "as NumPy writes it"),
        "empty.npy": (b"", "as NumPy writes it"),
        "garbage.npz": (b"garbage", "as NumPy writes it"),
        "zip.npz": (b"PK\x03\x04 no zip", "zip archive"),
        "inside.npz": (buffer.getvalue(), "expected"),
        "torn.npz": (bytes(torn), "Bad CRC"),
        "huge.npy": (cut.getvalue().replace(b"(30, 6), }      ", b"(99999999, 6), }", 1), "got 1440 bytes"),
        "pickled.npy": (pickled.getvalue(), "a pickle, which is never opened"),
        "cut.npy": (cut.getvalue()[:400], "got 272 bytes"),
        "sizes.npy": (
            cut.getvalue().replace(b"(30, 6), }", b"(10000000000000000000, 6), }", 1),
            "expected",
        ),
        "header.npy": (cut.getvalue().replace(b"{'descr'", b"((((((((", 1), "expected"),
        "zero.npy": (
            cut.getvalue().replace(b"(30, 6), }                ", b"(0, 999999999999, 999999), }", 1),
            "expected",
        ),
        "two.npz": (two.getvalue(), "expected an array called x, got a, b"),
        "five.npy": (five.getvalue(), "(n_steps, 6)"),
        "none.npy": (empty.getvalue(), "(n_steps, 6)"),
        "text.npy": (text.getvalue(), "expected floats"),
        "five.csv": (b"1,2,3,4,5\n", "line 1"),
        "words.csv": (b"1,2,3,4,5,6\n1,2,3,4,5,six\n", "line 2"),
        "none.csv": (b"", "(n_steps, 6)"),
        "five.ndjson": (b"[1,2,3,4,5,6]\n[1,2,3,4,5]\n", "line 2"),
        "broken.ndjson": (b"[1,2,3\n", "line 1"),
        "ids.ndjson": (b'{"id":"a","x":[1,2,3,4,5,6]}\n{"id":"b","x":[1,2,3,4,5,6]}\n', "one stream"),
        "utf8.ndjson": (b'{"id":"\xff","x":[1,2,3,4,5,6]}\n', "line 1"),
        "what.txt": (b"1 2 3", ".npy"),
    }


@pytest.mark.parametrize("name", hostile())
def test_inputs_that_cannot_be_taken(tmp_path, name):
    content, said = hostile()[name]
    path = tmp_path / name
    path.write_bytes(content)
    message = one_line(run("inspect", MODEL, "--gates", path), 1)
    assert message.startswith("streamgru: ")
    assert said in message
    assert name in message


def test_more_that_cannot_be_taken(tmp_path):
    assert "No such file" in one_line(run("inspect", MODEL, "--gates", tmp_path / "absent.npy"), 1)
    (tmp_path / "folder.npy").mkdir()
    assert "folder.npy" in one_line(run("inspect", MODEL, "--gates", tmp_path / "folder.npy"), 1)
    assert "builtin:1 to builtin:7" in one_line(run("inspect", MODEL, "--gates", "builtin:8"), 1)
    assert "1540 steps" in one_line(run("inspect", MODEL, "--gates", "builtin:1", "--steps", "1540:"), 1)
    assert "absent" in one_line(run("inspect", tmp_path / "absent.safetensors"), 1)
    assert "expected one of shoulder" in one_line(run("inspect", "builtin:elbow"), 1)
    garbage = tmp_path / "garbage.safetensors"
    garbage.write_bytes(b"\x00\x01garbage")
    assert "safetensors" in one_line(run("inspect", garbage), 1)
    write(
        tmp_path / "dense.safetensors",
        s.sequential(s.Dense(name="head", n_out=1), inputs=(s.Input(name="x", size=6),)),
        {"head.weight": np.zeros((1, 6))},
    )
    assert "no GRU" in one_line(run("inspect", tmp_path / "dense.safetensors", "--gates", "builtin:1"), 1)


@pytest.mark.parametrize("command", [
    ["verify", MODEL, MODEL, "--data"], ["convert", MODEL, "{tmp}/out", "--weights", "int8", "--calibrate"],
    ["inspect", MODEL, "--gates"],
])  # fmt: skip
@pytest.mark.parametrize("bad, said", [(np.nan, "x[2]: expected a finite float32, got nan"), (1e39, "x[2]")])
def test_a_bad_row_is_named_with_its_file(tmp_path, rng, command, bad, said):
    x = rng.standard_normal((9000, 6))
    x[8123, 2] = bad
    np.save(tmp_path / "x.npy", x)
    message = one_line(run(*(part.format(tmp=tmp_path) for part in command), tmp_path / "x.npy"), 1)
    assert "x.npy: row 8123: " in message and said in message


def test_a_row_that_diverges_is_named_with_its_file():
    spec = s.sequential(s.Dense(name="head", n_out=1), inputs=(s.Input(name="x", size=1),))
    model = Model(spec, {"head.weight": np.full((1, 1), 1e30, np.float32)})
    x = np.ones((2000, 1), np.float32)
    x[1234] = 1e10
    with pytest.raises(NonFiniteError, match=r"^some.csv: row 1234: the new state or the output would not be finite"):
        data.outputs(model, "some.csv", x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_of_a_sequence_are_the_whole(monkeypatch, rng, dtype):
    model, x = streamgru.load(MODEL, dtype=dtype), rng.standard_normal((100, 6)).astype(dtype)
    monkeypatch.setattr(data, "BLOCK_MACS", 7 * (model.plan.n_macs + data.STEP_MACS))
    np.testing.assert_array_equal(data.outputs(model, "x.npy", x), model.stream().run(x))
