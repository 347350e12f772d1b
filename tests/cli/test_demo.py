"""``streamgru demo``, as a process, with and without a terminal."""

import json
import os
import re
import signal
import subprocess
import sys
import termios
import time

import pytest

from streamgru.formats.builtin import recordings
from tests.cli.shell import COMMAND, INTERRUPT, TERMINATE, Terminal, environment, run

SHOW_CURSOR, MAIN_SCREEN = "\x1b[?25h", "\x1b[?1049l"
COLOUR = re.compile(r"\x1b\[(?:\d+;)*3\d")


def test_without_a_terminal_it_ends_with_a_line_for_each_recording_and_a_summary():
    began = time.monotonic()
    done = run("demo")
    assert time.monotonic() - began < 60
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "\x1b" not in done.stdout
    items, labels = recordings().items, recordings().labels
    for number, (line, item) in enumerate(zip(lines[1:8], items, strict=True), 1):
        assert line.startswith(f"{number}  {item.subject:2} {item.side}")
        assert labels[item.label] in line
        assert " µs" in line
    steps = sum(len(item.x) for item in items)
    assert f"right of {steps}; 18.4 % by always saying 'forward elevation'" in done.stdout
    assert re.search(r"^recordings +[67] right of 7$", done.stdout, re.MULTILINE)
    assert re.search(r"^latency .* median, .* p99", done.stdout, re.MULTILINE)
    assert re.search(r"^speed +\d+ steps per second$", done.stdout, re.MULTILINE)


def test_json():
    done = run("demo", "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    items = recordings().items
    assert told["steps"] == sum(len(item.x) for item in items)
    assert told["accuracy_per_step"] > 0.75 > told["majority_per_step"]
    assert told["accuracy_per_recording"] >= 6 / 7
    assert told["majority_class"] == "forward elevation"
    assert 0 < told["step_p50_us"] <= told["step_p99_us"]
    assert told["steps_per_s"] > 0
    assert [record["number"] for record in told["recordings"]] == [1, 2, 3, 4, 5, 6, 7]
    assert [record["steps"] for record in told["recordings"]] == [len(item.x) for item in items]
    right = sum(record["accuracy"] * record["steps"] for record in told["recordings"])
    assert right == pytest.approx(told["accuracy_per_step"] * told["steps"])


def test_chosen_recordings_in_their_order():
    told = json.loads(run("demo", "--json", "--recordings", "5,2").stdout)
    assert [record["number"] for record in told["recordings"]] == [5, 2]


def test_a_short_time_is_enough_for_something():
    told = json.loads(run("demo", "--json", "--seconds", "0.000001").stdout)
    assert len(told["recordings"]) == 1
    assert 0 < told["steps"] < 1000


@pytest.mark.parametrize(
    "arguments",
    [("--recordings", "8"), ("--recordings", "0"), ("--recordings", "a"), ("--recordings", ""), ("--speed", "0"),
     ("--speed", "nan"), ("--speed", "fast"), ("--seconds", "0"), ("--seconds", "-1"), ("surplus",)],
)  # fmt: skip
def test_wrong_usage(arguments):
    done = run("demo", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "Error" in done.stderr


def test_an_encoding_without_all_characters():
    done = run("demo", "--recordings", "1", PYTHONIOENCODING="iso8859-2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "?s" in done.stdout


def test_a_reader_that_goes_away():
    command = f"{sys.executable} -m streamgru demo | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode in (0, 141)  # 0 if all of it was written before
    assert done.stderr == ""


def test_help_loads_neither_numpy_nor_the_core():
    script = (
        "import sys\nfrom streamgru.cli import main\n"
        "try:\n    main([sys.argv[1], '--help'])\n"
        "except SystemExit:\n"
        "    print([name for name in ('numpy', 'streamgru.model', 'asyncio') if name in sys.modules])"
    )
    for command in ("demo", "inspect"):
        done = subprocess.run([sys.executable, "-c", script, command], capture_output=True, text=True, timeout=60)
        assert done.stdout.splitlines()[-1] == "[]", done.stdout


def assert_left_as_it_was(terminal):
    """Cursor, colours, wrapping, screen and keyboard."""
    last = terminal.output.rindex("\x1b[?25l")
    for sequence in ("\x1b[0m", "\x1b[?7h", SHOW_CURSOR, MAIN_SCREEN):
        assert sequence in terminal.output[last:]
    assert "\x1b[?25l" not in terminal.output[terminal.output.rindex(SHOW_CURSOR) :]
    assert termios.tcgetattr(terminal.slave) == terminal.settings


@pytest.mark.parametrize(("number", "code"), [(INTERRUPT, 130), (TERMINATE, 143)])
def test_a_signal_leaves_the_terminal_as_it_was(number, code):
    with Terminal("demo", "--speed", "1") as terminal:
        terminal.wait_for("Ctrl-C ends")
        assert termios.tcgetattr(terminal.slave) != terminal.settings  # nothing typed is shown
        assert terminal.end(number) == code
        assert_left_as_it_was(terminal)
        assert "Traceback" not in terminal.output


def test_an_interrupt_is_heard_in_the_background_of_a_script():
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *COMMAND]  # as such a shell starts it
    with Terminal("demo", "--speed", "1", command=ignoring) as terminal:
        terminal.wait_for("Ctrl-C ends")
        assert terminal.end(INTERRUPT) == 130
        assert_left_as_it_was(terminal)


def test_ctrl_z_gives_the_terminal_back_for_a_while():
    with Terminal("demo", "--speed", "1") as terminal:
        terminal.wait_for("Ctrl-C ends")
        terminal.process.send_signal(signal.SIGTSTP)
        assert os.WIFSTOPPED(os.waitpid(terminal.process.pid, os.WUNTRACED)[1])
        terminal.wait_for(MAIN_SCREEN)
        assert_left_as_it_was(terminal)
        terminal.process.send_signal(signal.SIGCONT)
        terminal.wait_for("Ctrl-C ends")
        assert terminal.end(INTERRUPT) == 130
        assert_left_as_it_was(terminal)


def test_live_to_the_end():
    with Terminal("demo", "--speed", "max", "--recordings", "1,5", columns=100, rows=40) as terminal:
        assert terminal.end() == 0
        assert_left_as_it_was(terminal)
        first, last = terminal.frames()[0], terminal.frames()[-1]
        assert any("pendulum  person 8, left arm" in line for line in first)
        text = "\n".join(last)
        for name in ("ax", "ay", "az", "wx", "wy", "wz"):
            assert re.search(rf"^ {name} ", text, re.MULTILINE)
        for label in recordings().labels:
            assert label in text
        assert "▸ external rotation with band" in text  # the truth
        assert "✗" in text  # told by more than a colour
        assert re.search(r"µs median   [\d.]+ µs p99", text)
        assert COLOUR.search(terminal.output)
        after = terminal.output[terminal.output.rindex(MAIN_SCREEN) :]
        assert "recordings  1 right of 2" in after


def test_no_color():
    with Terminal("demo", "--speed", "max", "--recordings", "5", NO_COLOR="1") as terminal:
        assert terminal.end() == 0
        assert not COLOUR.search(terminal.output)
        assert "✗" in terminal.output


@pytest.mark.parametrize(("columns", "rows"), [(40, 24), (47, 12), (80, 24), (200, 60), (20, 5), (2, 2), (1, 1)])
def test_frames_fit(columns, rows):
    with Terminal("demo", "--speed", "max", "--recordings", "1", columns=columns, rows=rows) as terminal:
        assert terminal.end() == 0
        frames = terminal.frames()
        assert len(frames) > 10
        assert all(len(frame) <= rows and all(len(line) <= columns for line in frame) for frame in frames)
        if columns >= 40 and rows >= 24:
            text = "\n".join(frames[-1])
            assert "pendulum" in text
            assert "p99" in text


def test_another_size_while_it_runs():
    with Terminal("demo", "--speed", "1", columns=100, rows=30) as terminal:
        terminal.wait_for("Ctrl-C ends")
        terminal.resize(50, 20)
        terminal.wait_for("\x1b[2J")
        terminal.wait_for("\x1b[?2026l")
        terminal.wait_for("\x1b[?2026l")
        assert all(len(line) <= 50 for line in terminal.frames()[-1])
        assert terminal.end(INTERRUPT) == 130


def test_speed_and_seconds():
    began = time.monotonic()
    with Terminal("demo", "--speed", "1", "--seconds", "1.5") as terminal:
        assert terminal.end() == 0
        assert 1.4 < time.monotonic() - began < 20
        steps = int(re.search(r"right of (\d+);", terminal.output)[1])
        assert 25 <= steps <= 80  # 50 a second, and the start takes its time


def test_a_dumb_terminal_gets_plain_lines():
    with Terminal("demo", "--recordings", "1", TERM="dumb") as terminal:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.output
        assert "recordings  1 right of 1" in terminal.output


def test_a_module_is_run_like_the_script():
    assert COMMAND[1:] == ["-m", "streamgru"]
    assert run("demo", "--help").stdout.startswith("Usage: streamgru demo [OPTIONS]")
