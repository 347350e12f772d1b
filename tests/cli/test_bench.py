"""``streamgru bench``: what it tells is of this model, and holds together; how fast it is is not tested."""

import itertools
import json
import os

import pytest

import streamgru
from streamgru.cli import timings
from streamgru.formats.native import write
from streamgru.kernels import packed
from streamgru.model.quantise import quantise
from streamgru.model.spec import Dense, Embedding, Gru, Input, Program, Spec
from streamgru.stream import timing
from tests.cli.shell import MODEL, one_line, run
from tests.networks import gru_tensors, spec_of, uniform

SHORT = ("--seconds", "0.3")
PERCENTILES = ["p50", "p99", "p99.9", "max"]


def measured(*arguments, **env):
    """What ``bench --json`` says."""
    done = run("bench", *arguments, *SHORT, "--json", **env)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def told():
    return measured(MODEL, "--threads", "2")


def test_json_tells_what_was_measured(told):
    model = streamgru.load(MODEL)
    assert list(told) == [
        "model", "kernel", "isa", "dtype", "weights", "core", "n_in", "n_out", "macs_per_step", "weight_bytes",
        "state_bytes", "step_ns", "back_to_back_ns", "read_once_ns", "read_once_over_step", "pools",
    ]  # fmt: skip
    assert told["model"] == MODEL
    assert (told["kernel"], told["dtype"], told["weights"]) == (model.kernel, "float32", ["float32"])
    assert told["isa"] == (packed.isa if model.kernel == "packed" else None)
    assert (told["n_in"], told["n_out"]) == (model.n_in, model.n_out)
    assert (told["macs_per_step"], told["state_bytes"]) == (model.plan.n_macs, model.plan.state_bytes)
    assert told["core"] in os.sched_getaffinity(0)


def test_percentiles_are_positive_and_in_order(told):
    assert list(told["step_ns"]) == ["c", "bound", "python"]
    for found in told["step_ns"].values():
        assert list(found) == [*PERCENTILES, "n_steps"]
        values = [found[key] for key in PERCENTILES]
        assert values[0] > 0
        assert values == sorted(values)
        assert found["n_steps"] >= 2


def test_a_step_and_reading_take_time(told):
    assert told["read_once_ns"] > 0
    assert told["back_to_back_ns"] > 0
    assert told["read_once_over_step"] > 0


def test_pools_of_every_size_on_one_thread_and_on_so_many(told):
    found = [(pool["threads"], pool["n_streams"]) for pool in told["pools"]]
    assert found == [(threads, n) for threads in (1, 2) for n in (1, 8, 32, 96, 256, 1024)]
    assert all(pool["steps_per_s"] > 0 for pool in told["pools"])


def test_bytes_of_weights_are_those_that_the_kernels_keep():
    """In panels of 16 rows the head of 7 outputs has 16; BLAS takes it as it is."""
    gru, head = (3 * 64 * (6 + 64), 7 * 64)
    assert measured(MODEL, "--kernel", "packed", "--threads", "1")["weight_bytes"] == 4 * (gru + 16 * 64)
    blas = measured(MODEL, "--kernel", "blas", "--threads", "1")
    assert (blas["kernel"], blas["isa"], blas["weight_bytes"]) == ("blas", None, 4 * (gru + head))
    assert measured(MODEL, "--dtype", "float64", "--threads", "1")["weight_bytes"] == 8 * (gru + head)


@pytest.mark.parametrize(
    "options, small, gru_bytes, head_bytes",
    [
        (("--kernel", "packed"), ("weight_ih", "weight_hh"), 1, 1),
        (("--kernel", "packed"), ("weight_hh",), 4, 1),  # both are widened to go together
        (("--kernel", "blas"), ("weight_ih", "weight_hh"), 4, 4),
        (("--kernel", "blas"), ("weight_ih",), 4, 4),
        (("--dtype", "float64"), ("weight_ih", "weight_hh"), 8, 8),
    ],
)
def test_weights_of_int8_have_the_bytes_that_are_read(tmp_path, rng, options, small, gru_bytes, head_bytes):
    """The integers where there are kernels for them, else what they were widened to."""
    tensors = gru_tensors(rng, "cell", 16, 16) | {"head.weight": uniform(rng, 16, 16)}
    for name in (*(f"cell.{key}" for key in small), "head.weight"):
        q8 = quantise(tensors.pop(name))
        tensors |= {f"{name}.q8": q8.q8, f"{name}.scale": q8.scale}
    path = tmp_path / "int8.safetensors"
    write(path, spec_of(Gru(name="cell", n_hid=16), Dense(name="head", n_out=16), n_in=16), tensors)
    told = measured(path, *options, "--threads", "1")
    assert told["weights"] == (["int8"] if len(small) == 2 else ["float32", "int8"])
    assert told["weight_bytes"] == gru_bytes * 48 * (16 + 16) + head_bytes * 16 * 16


def test_no_more_steps_are_kept_than_fit(monkeypatch):
    """However long it measures."""
    monkeypatch.setattr(timings, "MOST_STEPS", 10)
    steps = timings.measure(streamgru.load(MODEL), MODEL, 0.3, 1)["step_ns"]
    assert {door: found["n_steps"] for door, found in steps.items()} == {"c": 10, "bound": 10, "python": 10}


def test_pools_are_medians_and_one_thread_stays_on_one_core(monkeypatch):
    cores, rates = [], itertools.cycle([1.0, 9.0, 2.0, 3.0, 4.0])

    def rate(call, seconds):
        cores.append(len(os.sched_getaffinity(0)))
        return next(rates)

    monkeypatch.setattr(timings, "_rate", rate)
    told = timings.measure(streamgru.load(MODEL), MODEL, 0.3, 2)
    assert [pool["steps_per_s"] / pool["n_streams"] for pool in told["pools"]] == [3.0] * 12
    assert cores == [1] * 30 + [len(os.sched_getaffinity(0))] * 30


def test_a_network_of_tokens(tmp_path, rng):
    """It is fed one, and its table is not what a step reads."""
    spec = Spec(programs={"main": Program(
        inputs=(Input(name="word", kind="token", vocab=50),),
        layers=(Embedding(name="table", n_out=3), Gru(name="cell", n_hid=16), Dense(name="head", n_out=16)),
    )})  # fmt: skip
    tensors = gru_tensors(rng, "cell", 3, 16) | {"table.weight": uniform(rng, 50, 3)}
    path = tmp_path / "tokens.safetensors"
    write(path, spec, tensors | {"head.weight": uniform(rng, 16, 16)})
    assert measured(path, "--threads", "1")["weight_bytes"] == 4 * (48 * 3 + 48 * 16 + 16 * 16)


def test_text():
    done = run("bench", MODEL, *SHORT, "--threads", "2")
    assert (done.returncode, done.stderr) == (0, "")
    for text in ("float32, kernel", "weights", "320 bytes per stream", "from Python, bound", "p99.9",
                 "reading the weights once ÷ a step", "1 thread", "2 threads", "1,024"):  # fmt: skip
        assert text in done.stdout
    assert "reading the weights once ? a step" in run("bench", MODEL, *SHORT, PYTHONIOENCODING="iso8859-5").stdout


def test_options_from_the_environment():
    assert {pool["threads"] for pool in measured(MODEL, STREAMGRU_THREADS="3")["pools"]} == {1, 3}


@pytest.mark.parametrize(
    "arguments",
    [(), (MODEL, "--seconds", "0"), (MODEL, "--seconds", "nan"), (MODEL, "--threads", "0"), (MODEL, "--kernel", "gpu")],
)
def test_wrong_usage(arguments):
    done = run("bench", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "Error: " in done.stderr


def test_a_model_that_is_not_there(tmp_path):
    assert str(tmp_path / "absent") in one_line(run("bench", tmp_path / "absent"), 1)


def test_steps_are_timed_in_parts(monkeypatch):
    """A call into C hears no Ctrl-C."""
    calls, step_ns = [], timing.step_ns

    def counted(stream, x, n_steps):
        calls.append(n_steps)
        return step_ns(stream, x, n_steps)

    monkeypatch.setattr(timing, "step_ns", counted)
    monkeypatch.setattr(timings, "CALL_S", 0.01)
    told = timings.measure(streamgru.load(MODEL), MODEL, 1, 1)
    assert sum(calls) == told["step_ns"]["c"]["n_steps"]
    assert 5 <= len(calls) <= 50
    assert calls == [*[calls[0]] * (len(calls) - 1), calls[-1]] and 0 < calls[-1] <= calls[0]
