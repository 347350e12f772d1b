"""``--map``, wherever a model is read."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

import streamgru
from tests.cli.shell import one_line, run, told
from tests.formats.foreign_grus import N_IN, Haiku, states

TOML = """
inputs = [{ name = "x", size = 3 }]

[[layers]]
kind = "gru"
name = "gru"
n_hid = 5
convention = "haiku"
arrays = { input = "w_i", recurrent = "w_h", bias = "b" }
"""


@pytest.fixture
def files(tmp_path):
    """An .npz file, its map, and inputs."""
    gru = Haiku()
    np.savez(tmp_path / "a.npz", **gru.arrays)
    (tmp_path / "map.toml").write_text(TOML)
    x = np.random.default_rng(0).uniform(-1, 1, (9, N_IN))
    np.save(tmp_path / "x.npy", x)
    return tmp_path, states(gru, x)


def test_run(files):
    folder, expected = files
    rows = "".join(json.dumps(row) + "\n" for row in np.load(folder / "x.npy").tolist())
    (folder / "in.ndjson").write_text(rows)
    arguments = ("run", folder / "a.npz", "--map", folder / "map.toml", "--dtype", "float64")
    done = run(*arguments, "--from", f"file:{folder / 'in.ndjson'}")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_inspect_and_the_environment(files):
    folder, _ = files
    by_flag = told(folder / "a.npz", "--map", folder / "map.toml")
    assert by_flag == told(folder / "a.npz", STREAMGRU_MAP=str(folder / "map.toml"))
    text = run("inspect", folder / "a.npz", "--map", folder / "map.toml").stdout
    assert "w_i (3, 15) -> gru, input: columns z | r | n" in text
    assert "the update gate writes" in text


def test_convert_and_verify(files):
    folder, expected = files
    native = folder / "native.safetensors"
    done = run("convert", folder / "a.npz", native, "--map", folder / "map.toml")
    assert done.returncode == 0 and "w_h (5, 15) -> gru, recurrent" in done.stderr
    found = streamgru.load(native, dtype="float64").stream().run(np.load(folder / "x.npy"))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    sides = (folder / "a.npz", native, "--map-a", folder / "map.toml", "--data", folder / "x.npy")
    assert run("verify", *sides, "--tolerance", "0").returncode == 0
    other = folder / "other.safetensors"
    save_file(dict(np.load(folder / "a.npz")), other)
    sides = (native, other, "--map-b", folder / "map.toml", "--data", folder / "x.npy")
    assert run("verify", *sides, "--tolerance", "0").returncode == 0


def test_bench(files):
    folder, _ = files
    done = run("bench", folder / "a.npz", "--map", folder / "map.toml", "--seconds", "0.1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_what_is_wrong_is_one_line(files):
    folder, _ = files
    assert "--map map.toml" in one_line(run("inspect", folder / "a.npz"), 1)
    path = folder / "map.toml"
    path.write_text(TOML.replace("w_i", "w_j"))
    message = one_line(run("inspect", folder / "a.npz", "--map", path), 1)
    assert f"{folder / 'a.npz'} has no array 'w_j'; did you mean 'w_i'" in message
    path.write_text("[")
    assert "map: " in one_line(run("convert", folder / "a.npz", folder / "out", "--map", path), 1)
    assert run("inspect", folder / "a.npz", "--map", folder / "absent.toml").returncode == 2
