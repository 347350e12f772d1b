"""``streamgru generate``, as a process."""

import json
import subprocess

import numpy as np
import pytest

from streamgru.formats import native
from streamgru.stream.model import Model
from tests.cli.shell import COMMAND, INTERRUPT, MODEL, environment, one_line, run
from tests.networks_that_write import forecast, letters, reader_and_writer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of networks that write."""
    folder = tmp_path_factory.mktemp("writers")
    for name, network in (
        ("letters", letters()),
        ("drawn", letters(choose="sample")),
        ("begun", letters(start=None)),
        ("numbers", forecast()),
        ("started", forecast(start=(0.5, -0.5))),
        ("two", reader_and_writer()),
    ):
        native.write(folder / f"{name}.safetensors", *network)
    np.save(folder / "x.npy", np.linspace(-1, 1, 12).reshape(4, 3))
    np.save(folder / "pairs.npy", np.linspace(-1, 1, 8).reshape(4, 2))
    return folder


def written(folder, name, *arguments, given="", code=0):
    """What a network writes, on stdout and stderr."""
    done = subprocess.run(
        [*COMMAND, "generate", folder / f"{name}.safetensors", *map(str, arguments)],
        input=given, capture_output=True, text=True, timeout=60, env=environment(),
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def text(*arguments, network=letters, **options):
    return Model(*network()).generate(*arguments, **options).text


def test_by_itself(folder):
    assert written(folder, "letters") == (text() + "\n", "")


@pytest.mark.parametrize("way", [("--text", "dfc"), ("--tokens", "3 5 2"), ("--from", "-"), ("--from", "FILE")])
def test_from_a_text(folder, way, tmp_path):
    (tmp_path / "lines.txt").write_text("dfc\n")
    way = [str(tmp_path / "lines.txt") if word == "FILE" else word for word in way]
    assert written(folder, "letters", *way, given="dfc\n") == (text("dfc") + "\n", "")


def test_several(folder):
    both = f"{text('d', limit=5)}\n{text('e', limit=5)}\n"
    assert written(folder, "letters", "--text", "d", "--text", "e", "--limit", 5)[0] == both
    assert written(folder, "begun", "--limit", 5, given="ad\nae\n")[0] == both  # nothing to begin with but stdin


def test_drawing(folder):
    out, told = written(folder, "drawn")
    seed = told.split()[2]
    assert told == f"streamgru: --seed {seed} writes the same again\n"
    assert written(folder, "drawn", "--seed", seed) == (out, "")
    assert written(folder, "letters", "--temperature", 1, "--seed", seed) == (out, "")
    assert written(folder, "drawn", "--greedy") == (text() + "\n", "")
    assert written(folder, "drawn", "--temperature", 0, "--seed", 1)[0] == text() + "\n"
    assert int(seed) < 2**53


def test_json(folder):
    out, told = written(folder, "letters", "--text", "dfc", "--text", "a", "--json", "--seed", 4)
    found = [json.loads(line) for line in out.splitlines()]
    for prompt, seed, one in zip(("dfc", "a"), (4, 5), found, strict=True):
        expected = Model(*letters()).generate(prompt)
        assert one == {
            "tokens": expected.tokens.tolist(), "text": expected.text, "ended": expected.ended, "seed": seed
        }  # fmt: skip
    assert told == ""


def test_stop_is_a_label_or_a_number(folder):
    first = text()[1]
    assert written(folder, "letters", "--stop", first)[0] == text(stop="abcdefg".index(first)) + "\n"
    assert written(folder, "letters", "--stop", "abcdefg".index(first))[0] == text()[:1] + "\n"


def test_numbers(folder):
    model = Model(*forecast())
    x = np.load(folder / "pairs.npy")
    out, _ = written(folder, "numbers", "--from", folder / "pairs.npy", "--limit", 6)
    lines = [json.loads(line) for line in out.splitlines()]
    np.testing.assert_array_equal(np.float32(lines), model.generate(x, limit=6).values)
    out, _ = written(folder, "started", "--json", "--limit", 3)
    assert json.loads(out)["values"] == model.generate(start=[0.5, -0.5], limit=3).values.tolist()


def test_an_encoder_of_numbers(folder):
    expected = Model(*reader_and_writer()).generate(np.load(folder / "x.npy")).text
    assert written(folder, "two", "--from", folder / "x.npy")[0] == expected + "\n"
    assert "name a file of them, --from FILE" in written(folder, "two", code=2)[1]


def test_it_writes_as_it_goes(folder):
    """The first letters are there before the reader asks for more, and a line is answered before the next comes."""
    command = [*COMMAND, "generate", folder / "begun.safetensors", "--limit", "5"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:  # fmt: skip
        for prompt in ("d", "e"):
            process.stdin.write(f"a{prompt}\n")
            process.stdin.flush()
            assert process.stdout.readline() == text(prompt, limit=5) + "\n"
        process.send_signal(INTERRUPT)
        assert process.wait(10) == 130


def test_a_closed_pipe(folder):
    command = [*map(str, [*COMMAND, "generate", folder / "drawn.safetensors"]), "--stop", "a", "--limit", "65000"]
    done = subprocess.run(
        ["bash", "-c", '"$@" | head -c 1; exit ${PIPESTATUS[0]}', "bash", *command, "--from", "-"],
        input="b\n" * 100_000, capture_output=True, text=True, timeout=60, env=environment(),
    )  # fmt: skip
    assert done.returncode == 141, done.stderr


@pytest.mark.parametrize(
    "name, arguments, code, words",
    [
        ("letters", ["--text", "dxc"], 1, "text[1]: expected a label of 'letter', got 'x'"),
        ("letters", ["--tokens", "1 x"], 2, "expected tokens, whole numbers, in --tokens, got '1 x'"),
        ("letters", ["--tokens", "1 8"], 1, "an integer in [0, 7), got 8"),
        ("letters", ["--stop", "x"], 1, "expected a label or a token of 'letter', got 'x'"),
        ("letters", ["--text", "a", "--tokens", "1"], 2, "expected one of --text, --tokens and --from"),
        ("letters", ["--greedy", "--temperature", "1"], 2, "--greedy draws nothing"),
        ("letters", ["--from", "/nowhere"], 1, "/nowhere"),
        ("letters", ["--temperature", "nan"], 2, "expected a number, got nan"),
        ("numbers", ["--greedy", "--from", "x"], 2, "the model is fed numbers, and draws nothing"),
        ("started", ["--text", "a"], 1, "whose tokens have no labels"),
    ],
)
def test_refused(folder, name, arguments, code, words):
    done = run("generate", folder / f"{name}.safetensors", *arguments)
    assert done.returncode == code and done.stdout == "" and words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_network_that_is_fed_nothing():
    assert "fed its own answers, got 0" in one_line(run("generate", MODEL), 1)


@pytest.mark.parametrize("command", [["run"], ["bench"], ["verify", "FILE", "--data", "builtin:1"]])
def test_other_commands_need_one_program(folder, command):
    path = folder / "two.safetensors"
    done = run(command[0], path, *[path if word == "FILE" else word for word in command[1:]])
    assert "expected a network with one program, called main, got decoder, encoder" in one_line(done, 1)


def test_inspect_and_convert(folder, tmp_path):
    out = run("inspect", folder / "two.safetensors").stdout
    assert "program encoder" in out and "the largest of y is the next letter, start 0, stop 1, limit 40" in out
    assert "final state of reader (encoder) -> initial state of writer (decoder)" in out
    told = json.loads(run("inspect", folder / "two.safetensors", "--json").stdout)
    assert told["programs"]["decoder"]["feedback"]["input"] == "letter"
    assert [layer["name"] for layer in told["programs"]["encoder"]["layers"]] == ["reader"]
    small = tmp_path / "small.safetensors"
    assert run("convert", folder / "two.safetensors", small, "--weights", "int8").returncode == 0
    assert written(tmp_path, "small", "--from", folder / "x.npy")[0].strip()
