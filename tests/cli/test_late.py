"""The commands on a network that does not answer at every step."""

import json

import numpy as np
import pytest

import streamgru
from streamgru.formats import native
from streamgru.model import spec as s
from tests.cli.shell import one_line, run, told
from tests.networks import gru_tensors, spec_of, uniform
from tests.support import N_IN, bare, complaint, numbers, objects, outputs, parsed
from tests.support import streamgru as command

N_STEPS = 40


def write(path, stride=2):
    """Answers at step 3 first, and then at every *stride*-th."""
    rng = np.random.default_rng(11)
    layers = (
        s.Conv1d(name="conv", n_out=5, size=5, before=2, after=2),
        s.Gru(name="gru", n_hid=6),
        s.MaxPool1d(name="pool", size=2, stride=stride),
    )
    tensors = gru_tensors(rng, "gru", 5, 6) | {"conv.weight": uniform(rng, 5, 5 * N_IN)}
    native.write(path, spec_of(*layers, n_in=N_IN), tensors)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("late") / "m.safetensors")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "x.npy"
    np.save(path, numbers(N_STEPS))
    return path


def test_inspect(file):
    found = told(file)
    assert (found["stride"], found["delay"]) == (2, 3)
    assert found["layers"][0]["n_in"] == N_IN and found["layers"][0]["macs"] == 5 * 5 * N_IN
    text = run("inspect", file).stdout
    assert "at 1 of 2 steps, step 3 the first (the count is from 0)" in text
    assert "multiply-adds per step, where all is due" in text
    assert "size 5, stride 1, dilation 1, before 2, after 2, function linear" in text
    plain = run("inspect", "builtin:shoulder").stdout
    assert "answers" not in plain and "due" not in plain


def test_inspect_shows_no_gates(file, data):
    assert "does not answer at every step" in one_line(run("inspect", file, "--gates", data), 1)


@pytest.mark.parametrize("single", [True, False])
def test_run(file, single):
    """Nothing goes out for a record without an answer; what does bears the number of the record that made it due."""
    model, x = streamgru.load(file), numbers(N_STEPS)
    y = model.stream().run(x)
    if single:
        finished = command("run", file, stdin=bare(x))
        np.testing.assert_array_equal(outputs(finished.stdout), y)
    else:
        records = [{"id": id, "seq": i, "x": row.tolist()} for i, row in enumerate(x) for id in "ab"]
        finished = command("run", file, stdin=objects(records))
        lines = parsed(finished.stdout)
        assert [line["seq"] for line in lines if line["id"] == "a"] == list(range(3, N_STEPS, 2))
        np.testing.assert_array_equal(np.float32([line["y"] for line in lines if line["id"] == "b"]), y)
    assert finished.returncode == 0


def test_the_last_answer_of_a_sequence_that_ends_between_two(file):
    x = numbers(7)
    records = [{"x": row.tolist(), "seq": i, "end": i == 6} for i, row in enumerate(x)]
    (line,) = parsed(command("run", file, "--emit", "last", stdin=objects(records)).stdout)
    assert line["seq"] == 5
    np.testing.assert_array_equal(np.float32(line["y"]), streamgru.load(file).stream().run(x)[-1])
    nothing = command("run", file, "--emit", "last", stdin=objects(records[:3]))
    assert (nothing.returncode, nothing.stdout) == (0, b"")


def test_a_refused_record_is_no_step(file):
    x = numbers(8)
    data = bare(x[:4]) + b"[1,2]\n" + bare(x[4:])
    lines = parsed(command("run", file, "--on-error", "report", stdin=data).stdout)
    assert ["error" in line for line in lines] == [False, True, False, False]
    np.testing.assert_array_equal(np.float32([lines[i] for i in (0, 2, 3)]), streamgru.load(file).stream().run(x))
    assert "line 5" in complaint(command("run", file, "--on-error", "fail", stdin=data), 1)


def test_verify(file, data, tmp_path):
    small = tmp_path / "small.safetensors"
    assert run("convert", file, small, "--weights", "int8", "--calibrate", data).returncode == 0
    done = run("verify", file, small, "--data", data, "--tolerance", "0.1", "--json")
    found = json.loads(done.stdout)
    x = np.load(data)
    apart = np.abs(streamgru.load(file).stream().run(x) - streamgru.load(small).stream().run(x))
    step, output = np.unravel_index(apart.argmax(), apart.shape)
    assert (found["worst"]["step"], found["worst"]["output"]) == (3 + 2 * step, output)
    assert found["worst"]["difference"] == pytest.approx(float(apart.max()), abs=1e-6)
    assert found["mean"] == pytest.approx(float(apart.mean()), abs=1e-6)
    assert (found["steps"], found["decisions"]) == (N_STEPS, len(apart))
    assert done.returncode == 0


def test_verify_needs_the_same_steps_and_enough_of_them(file, data, tmp_path):
    other, short = write(tmp_path / "other.safetensors", stride=3), tmp_path / "short.npy"
    np.save(short, numbers(3))
    message = one_line(run("verify", file, other, "--data", data), 1)
    assert "expected two models that answer at the same steps, got A at step 3 and at every 2. from" in message
    message = one_line(run("verify", file, file, "--data", short), 1)
    assert "3 steps are too few, the first answer comes at step 3" in message
    np.save(short, numbers(2))  # not even the convolution has an answer
    done = run("convert", file, tmp_path / "small.safetensors", "--weights", "int8", "--calibrate", short)
    assert "calibration: expected sequences that are long enough for an answer" in one_line(done, 1)


def test_bench(file):
    done = run("bench", file, "--seconds", "0.3", "--threads", "1", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(pool["steps_per_s"] > 0 for pool in json.loads(done.stdout)["pools"])
