"""``streamgru verify``, as a process, against the differences counted in NumPy."""

import json
import subprocess
import time

import numpy as np
import pytest

import streamgru
from streamgru.formats import native
from streamgru.formats.builtin import recordings
from streamgru.model.spec import Dense, Gru, Output
from tests.cli.shell import COMMAND, INTERRUPT, MODEL, environment, one_line, run, told
from tests.networks import gru_tensors, spec_of, uniform
from tests.support import hear_interrupts

OUTPUTS = (Output(name="speed", stop=1), Output(name="side", start=1, labels=("left", "middle", "right")))
N_STEPS = (25, 7)


def write(path, n_out=4, outputs=OUTPUTS, n_in=3, moved=0.0):
    """A random network; *moved* is added to one weight of each output."""
    rng = np.random.default_rng(1)
    tensors = gru_tensors(rng, "gru", n_in, 5, bound=1.0)
    tensors |= {
        "head.weight": uniform(rng, n_out, 5) + np.float32(moved) * np.eye(n_out, 5, dtype=np.float32),
        "head.bias": uniform(rng, n_out),
    }
    native.write(path, spec_of(Gru(name="gru", n_hid=5), Dense(name="head", n_out=n_out), n_in=n_in,
                               outputs=outputs), tensors)  # fmt: skip
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two networks that differ, and two sequences."""
    folder = tmp_path_factory.mktemp("verify")
    data = []
    for i, n_steps in enumerate(N_STEPS):
        data.append(folder / f"{i}.npy")
        np.save(data[-1], np.random.default_rng(i).standard_normal((n_steps, 3)).astype(np.float32))
    return write(folder / "a.safetensors"), write(folder / "b.safetensors", moved=1.5), data


def verified(*arguments, code=0):
    """The report for programs."""
    done = run("verify", *arguments, "--json")
    assert (done.returncode, done.stderr) == (code, "")
    return json.loads(done.stdout)


def of(data):
    return [argument for path in data for argument in ("--data", path)]


def test_the_numbers(files):
    a, b, data = files
    found = verified(a, b, *of(data), code=1)
    y_a, y_b = ([streamgru.load(file).stream().run(np.load(path)) for path in data] for file in (a, b))
    apart = [np.abs(one.astype(np.float64) - other) for one, other in zip(y_a, y_b, strict=True)]
    worst = max((value, i, *index) for i, part in enumerate(apart) for index, value in np.ndenumerate(part))
    _, i, step, output = worst
    assert found["worst"] == {
        "difference": worst[0], "data": str(data[i]), "step": step, "output": output,
        "a": float(y_a[i][step, output]), "b": float(y_b[i][step, output]),
    }  # fmt: skip
    assert found["mean"] == pytest.approx(np.concatenate(apart).mean())
    sides = [[y[:, 1:].argmax(1) for y in ys] for ys in (y_a, y_b)]
    changed = [(k, t) for k in range(2) for t in range(N_STEPS[k]) if sides[0][k][t] != sides[1][k][t]]
    assert 0 < len(changed) < 32
    assert (found["steps"], found["decisions"], found["changed"]) == (32, 32, len(changed))
    k, t = changed[0]
    labels = OUTPUTS[1].labels
    assert found["first_changed"] == {
        "data": str(data[k]), "step": t, "output": "side", "a": labels[sides[0][k][t]], "b": labels[sides[1][k][t]],
    }  # fmt: skip
    tenths = [[] for _ in range(10)]
    for part in apart:
        for t, row in enumerate(part):
            tenths[10 * t // len(part)].append(row)
    for tenth, rows in zip(found["growth"], tenths, strict=True):
        assert tenth["mean"] == pytest.approx(np.mean(rows))
        assert tenth["worst"] == pytest.approx(np.max(rows))
    assert (found["same"], found["tolerance"], found["max_changed"]) == (False, 1e-5, None)


def test_a_model_is_the_same_as_itself(files):
    a, _, data = files
    found = verified(a, a, *of(data), "--tolerance", 0, "--max-changed", 0)
    assert (found["worst"]["difference"], found["mean"], found["changed"]) == (0, 0, 0)
    assert found["first_changed"] is None and found["same"]
    assert found["a"] == found["b"]


def test_each_side_has_its_kernel_and_dtype(files):
    a, _, data = files
    found = verified(a, a, *of(data), "--kernel-a", "packed", "--dtype-b", "float64", "--kernel-b", "blas")
    assert (found["a"]["kernel"], found["a"]["dtype"]) == ("packed", "float32")
    assert (found["b"]["kernel"], found["b"]["dtype"]) == ("blas", "float64")
    assert 0 < found["worst"]["difference"] < 1e-5


def test_thresholds_decide_the_exit_code(files):
    a, b, data = files
    found = verified(a, b, *of(data), code=1)
    worst, share = found["worst"]["difference"], found["changed"] / found["decisions"]
    for arguments, code in {
        ("--tolerance", worst): 0,
        ("--tolerance", worst * 0.99): 1,
        ("--max-changed", share): 0,
        ("--max-changed", share * 0.99): 1,
        ("--max-changed", share, "--tolerance", worst): 0,
        ("--max-changed", share, "--tolerance", worst / 2): 1,
        ("--max-changed", share / 2, "--tolerance", worst): 1,
    }.items():
        assert verified(a, b, *of(data), *arguments, code=code)["same"] == (code == 0), arguments


@pytest.mark.parametrize(("n_out", "outputs", "decisions"), [
    (1, (), 0), (3, (), 32), (1, (Output(name="y", labels=("only",)),), 0),
    (4, (Output(name="a", stop=2), Output(name="b", start=2)), 64), (3, (Output(name="a", stop=1),), 0),
])  # fmt: skip
def test_a_decision_is_which_of_several_numbers_is_largest(files, tmp_path, n_out, outputs, decisions):
    path = write(tmp_path / "m.safetensors", n_out, outputs)
    assert verified(path, path, *of(files[2]))["decisions"] == decisions


@pytest.mark.parametrize(("n_out", "outputs"), [
    (1, ()), (1, (Output(name="y", labels=("only",)),)), (2, (Output(name="a", stop=1), Output(name="b", start=1))),
])  # fmt: skip
def test_a_share_of_no_decisions_is_refused(files, tmp_path, n_out, outputs):
    a, b = write(tmp_path / "a.st", n_out, outputs), write(tmp_path / "b.st", n_out, outputs, moved=1.5)
    done = run("verify", a, b, *of(files[2]), "--max-changed", "0.1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "a.st decides nothing, each of its outputs is one number; use --tolerance" in " ".join(done.stderr.split())


def test_the_report_for_people(files):
    a, b, data = files
    done = run("verify", a, b, *of(data))
    assert (done.returncode, done.stderr) == (1, "")
    found = verified(a, b, *of(data), code=1)
    for text in (
        f"A  {a}", f"B  {b}", "32 steps", f"worst difference  {found['worst']['difference']:.3g}",
        f"at step {found['worst']['step']} of {found['worst']['data']}", f"{found['changed']} of 32 changed",
        f"{found['first_changed']['a']} became {found['first_changed']['b']}",
        "NOT the same within 1e-05 of difference",
    ):  # fmt: skip
        assert text in done.stdout
    assert sum("█" in line for line in done.stdout.splitlines()) >= 8
    same = run("verify", a, a, *of(data), "--max-changed", "0.01")
    assert (same.returncode, same.stdout.splitlines()[-1]) == (0, "the same within 0.01 of all decisions")


def test_recordings_that_come_along(tmp_path):
    small = tmp_path / "small.safetensors"
    run("convert", MODEL, small, "--weights", "int8")
    found = verified("builtin:shoulder", small, "--data", "builtin:3", "--data", "builtin:4", "--max-changed", "0.005")
    assert found["steps"] == sum(len(item.x) for item in recordings().items[2:4])
    assert 1e-4 < found["worst"]["difference"] < 0.05


def test_models_of_different_shapes(files, tmp_path):
    a, _, data = files
    other = write(tmp_path / "m.safetensors", n_out=3, outputs=())
    message = one_line(run("verify", a, other, *of(data)), 1)
    assert "expected two models of one shape, got A 3 -> 4 and B 3 -> 3 numbers" in message


@pytest.mark.parametrize("arguments", [
    ["builtin:shoulder"], ["builtin:shoulder", "builtin:shoulder"],
    ["builtin:shoulder", "builtin:shoulder", "--data", "builtin:1", "--tolerance", "-1"],
    ["builtin:shoulder", "builtin:shoulder", "--data", "builtin:1", "--max-changed", "2"],
    ["builtin:shoulder", "builtin:shoulder", "--data", "builtin:1", "--max-changed", "nan"],
    ["builtin:shoulder", "builtin:shoulder", "--data", "builtin:1", "--tolerance", "nan"],
])  # fmt: skip
def test_wrong_usage(arguments):
    done = run("verify", *arguments)
    assert (done.returncode, done.stdout) == (2, "")


def test_what_cannot_be_read(files, tmp_path):
    a, _, data = files
    assert "absent" in one_line(run("verify", a, tmp_path / "absent", *of(data)), 1)
    assert "builtin:9" in one_line(run("verify", a, a, "--data", "builtin:9"), 1)


@pytest.mark.parametrize("weights, dtypes, options, said", [
    ("int8", ["float16", "int8"], (), "float32 on weights of float16 and int8, kernel"),
    ("f16", ["float16"], (), "float32 on weights of float16, kernel"),
    ("f16", ["float16"], ("--dtype-b", "float64"), "float64 on weights of float16, kernel"),
])  # fmt: skip
def test_small_weights_are_called_so(tmp_path, weights, dtypes, options, said):
    small, data = tmp_path / "small.safetensors", ("--data", "builtin:1")
    run("convert", MODEL, small, "--weights", weights)
    found = verified(MODEL, small, *data, *options, "--tolerance", 1)
    assert (found["a"]["weights"], found["b"]["weights"]) == (["float32"], dtypes)
    a, b, *_ = run("verify", MODEL, small, *data, *options, "--tolerance", 1).stdout.splitlines()
    assert "   float32, kernel" in a and said in b
    assert told(small)["weights"] == dtypes and said.replace("float64", "float32") in run("inspect", small).stdout


def test_ctrl_c_is_heard_while_long_data_is_run(tmp_path, rng):
    """One call of run would take some seconds."""
    n_hid, n_steps = 512, 120_000
    spec = spec_of(Gru(name="gru", n_hid=n_hid), Dense(name="head", n_out=2), n_in=1)
    head = {"head.weight": uniform(rng, 2, n_hid), "head.bias": uniform(rng, 2)}
    native.write(tmp_path / "m.safetensors", spec, gru_tensors(rng, "gru", 1, n_hid) | head)
    np.save(tmp_path / "x.npy", np.zeros((n_steps, 1), np.float32))
    hear_interrupts()
    arguments = ["verify", tmp_path / "m.safetensors", tmp_path / "m.safetensors", "--data", tmp_path / "x.npy"]
    with subprocess.Popen([*COMMAND, *map(str, arguments)], env=environment(), stderr=subprocess.PIPE) as process:
        time.sleep(2)
        process.send_signal(INTERRUPT)
        sent_s = time.monotonic()
        assert process.wait(60) == 130
        assert time.monotonic() - sent_s < 1.5, "half a second, and what a busy machine adds"
