"""Exit codes, the configuration file, the environment, and what the command line costs to start."""

import subprocess
import sys

import pytest

from streamgru.kernels import packed
from tests.support import bare, complaint, numbers, streamgru


def n_lines(finished):
    assert finished.returncode == 0, finished.stderr
    return len(finished.stdout.splitlines())


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], ["run", "--help"], ["plugins", "--help"]])
def test_help_and_version(arguments):
    finished = streamgru(*arguments)
    assert finished.returncode == 0 and finished.stdout and not finished.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["plugins", "--help"]])
def test_help_imports_neither_numpy_nor_the_core(arguments):
    code = (
        "import sys\nfrom streamgru.cli import main\n"
        f"try: main({arguments})\n"
        "finally: print(*sorted(sys.modules), sep='\\n', file=sys.stderr)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = finished.stderr.split()
    assert "streamgru.cli" in modules
    heavy = ("numpy", "scipy", "msgspec", "safetensors", "streamgru.stream", "streamgru.pipeline", "streamgru.model")
    assert not [name for name in modules if name.startswith(heavy)]


def test_every_option_of_run_has_an_environment_variable():
    text = streamgru("run", "--help").stdout.decode()
    for name in ("FROM", "TO", "CODEC", "TO_CODEC", "EMIT", "ON_ERROR", "MAX_STREAMS", "RETRY_FOR", "SPEC", "DTYPE"):
        assert f"STREAMGRU_{name}" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"], ["run"], ["run", "{file}", "--nothing"], ["run", "{file}", "--on-error", "maybe"],
        ["run", "{file}", "--from", "nothing:"], ["run", "{file}", "--from", "tcp://localhost"],
        ["run", "{file}", "--from", "tcp+listen://127.0.0.1:70000"],
        ["run", "{file}", "--from", "stdin:?nothing=1"],
        ["run", "{file}", "--emit", "sometimes"],
        ["run", "{file}", "--codec", "xml"], ["run", "{file}", "--max-streams", "0"],
        ["run", "{file}", "--spec", "no such file"],
        ["run", "{file}", "--from", "file:${NOT_SET_ANYWHERE}"], ["--config", "no such file", "run", "{file}"],
    ],
)  # fmt: skip
def test_wrong_usage(file, model, arguments):
    finished = streamgru(*(argument.format(file=file) if argument == "{file}" else argument for argument in arguments))
    assert finished.returncode == 2
    assert finished.stderr and b"Traceback" not in finished.stderr and not finished.stdout


def test_a_missing_model_is_a_failure(tmp_path):
    assert "missing.safetensors" in complaint(streamgru("run", tmp_path / "missing.safetensors"), 1)


@pytest.fixture
def config(tmp_path):
    def write(text):
        (tmp_path / "streamgru.toml").write_text(text)
        return tmp_path / "streamgru.toml"

    return write


def test_a_flag_beats_the_environment_which_beats_the_file(file, model, config):
    x = bare(numbers(60))
    path = config("[run]\nemit = '2'\n")
    environment = {"STREAMGRU_EMIT": "3"}
    assert n_lines(streamgru("run", file, stdin=x)) == 60
    assert n_lines(streamgru("--config", path, "run", file, stdin=x)) == 30
    assert n_lines(streamgru("--config", path, "run", file, stdin=x, env=environment)) == 20
    assert n_lines(streamgru("--config", path, "run", file, "--emit", "4", stdin=x, env=environment)) == 15
    assert n_lines(streamgru("run", file, stdin=x, env=environment)) == 20
    assert n_lines(streamgru("run", file, stdin=x, env={"STREAMGRU_CONFIG": str(path)})) == 30


def test_the_file_has_the_names_of_the_options(file, model, config, tmp_path):
    x = numbers(10)
    (tmp_path / "x.f32").write_bytes(x.tobytes())
    settings = {"from": tmp_path / "x.f32", "to": f"file:{tmp_path / 'y'}", "to-codec": "csv", "on_error": "skip"}
    path = config("[plugins]\n[run]\nmax-streams = 5\n" + "".join(f"{k} = '{v}'\n" for k, v in settings.items()))
    assert streamgru("--config", path, "run", file).returncode == 0
    assert len((tmp_path / "y").read_text().splitlines()[0].split(",")) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run]\nemitt = '2'\n", "emitt"),
        ("[walk]\nemit = '2'\n", "walk"),
        ("emit = '2'\n", "emit"),
        ("[run\n", "streamgru.toml"),
        ("[run]\nmax-streams = 0\n", "max-streams"),
        ("[run]\nmax-streams = 'many'\n", "max-streams"),
        ("[run]\non-error = 'maybe'\n", "on-error"),
    ],
)
def test_a_wrong_file_is_wrong_usage(file, model, config, text, message):
    finished = streamgru("--config", config(text), "run", file)
    assert finished.returncode == 2 and message in finished.stderr.decode(), finished.stderr
    assert b"Traceback" not in finished.stderr


def test_a_file_that_is_no_text_is_wrong_usage(file, model, tmp_path):
    (tmp_path / "c.toml").write_bytes(b"\xff\xfe")
    finished = streamgru("--config", tmp_path / "c.toml", "run", file)
    assert finished.returncode == 2 and b"Traceback" not in finished.stderr


@pytest.mark.parametrize("command", ["run", "inspect", "bench"])
def test_an_instruction_set_that_is_not_there_is_wrong_usage(command):
    finished = streamgru(command, "builtin:shoulder", env={"STREAMGRU_ISA": "mmx"})
    message = f"STREAMGRU_ISA: expected one of {', '.join(packed.isas())}, got 'mmx'"
    assert complaint(finished, 2) == f"streamgru: {message}"


@pytest.mark.parametrize("value", ['["builtin:1", "builtin:2"]', '"builtin:1"'])
def test_an_option_that_may_be_given_several_times_can_be_a_list(config, value):
    path = config(f"[verify]\ndata = {value}\n")
    told = streamgru("--config", path, "verify", "builtin:shoulder", "builtin:shoulder").stdout.decode()
    assert f"on {value.strip('[]').replace(chr(34), '')}: " in told
    told = streamgru("--config", path, "verify", *["builtin:shoulder"] * 2, "--data", "builtin:3").stdout.decode()
    assert "on builtin:3: " in told


def test_no_other_option_can_be_a_list(file, model, config):
    finished = streamgru("--config", config("[run]\nemit = ['2', '3']\n"), "run", file)
    assert finished.returncode == 2 and b"emit: expected a text, a number or a boolean, got" in finished.stderr
    finished = streamgru("--config", config("[verify]\ndata = [['a']]\n"), "verify", "a", "b")
    assert finished.returncode == 2 and b"or a list of them" in finished.stderr
