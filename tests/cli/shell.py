"""The command line as a user has it: a process of its own, in a pipe or in a terminal."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from streamgru.formats.builtin import builtin_path
from tests.support import hear_interrupts

MODEL = str(builtin_path("shoulder"))
INTERRUPT, TERMINATE = signal.SIGINT, signal.SIGTERM
COMMAND = [sys.executable, "-m", "streamgru"]
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def environment(**changes):
    """The environment of the tests without what would change how the commands look; None removes a name."""
    env = {key: value for key, value in os.environ.items() if key != "NO_COLOR" and not key.startswith("STREAMGRU_")}
    env |= {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"} | changes
    return {key: value for key, value in env.items() if value is not None}


def run(*arguments, timeout=60, cwd=None, **env):
    """Run a command to its end, with pipes."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, encoding="utf-8", errors="replace",
        timeout=timeout, stdin=subprocess.DEVNULL, env=environment(**env), cwd=cwd,
    )  # fmt: skip


def told(*arguments, **env):
    """What ``inspect --json`` says."""
    done = run("inspect", *arguments, "--json", **env)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def one_line(done, code):
    """The message of a command that failed as it should: one line, and nothing on stdout."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr.strip()


class Terminal:
    """A command in a terminal of some size, whose output is collected."""

    def __init__(self, *arguments, columns=80, rows=24, command=COMMAND, **env):
        hear_interrupts()
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.settings = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [*command, *map(str, arguments)], stdin=self.slave, stdout=self.slave, stderr=self.slave,
            env=environment(**env), start_new_session=True,
        )  # fmt: skip
        self._bytes = b""

    @property
    def output(self):
        """All that has come so far."""
        return self._bytes.decode("utf-8", "replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        """Take what has come within a tenth of a second."""
        if select.select([self.master], [], [], 0.1)[0]:
            with contextlib.suppress(OSError):
                self._bytes += os.read(self.master, 1 << 16)

    def wait_for(self, text, timeout=30):
        """Read until the output since this call holds *text*."""
        begin, end = len(self.output), time.monotonic() + timeout
        while text not in self.output[begin:]:
            assert time.monotonic() < end, f"{text!r} did not come: {self.output[-2000:]!r}"
            assert self.process.poll() is None, self.output[-2000:]
            self.read()

    def end(self, number=None, timeout=60):
        """Send a signal, if any, read to the end, and give the exit code."""
        if number is not None:
            self.process.send_signal(number)
        end = time.monotonic() + timeout
        while self.process.poll() is None:
            assert time.monotonic() < end
            self.read()
        while select.select([self.master], [], [], 0.1)[0]:
            self.read()
        return self.process.returncode

    def frames(self):
        """Every frame drawn so far: lists of lines without escape sequences."""
        drawn = re.findall(r"\x1b\[\?2026h(.*?)\x1b\[\?2026l", self.output, re.DOTALL)
        return [[line.rstrip("\r") for line in ESCAPE.sub("", frame).split("\n")] for frame in drawn]
