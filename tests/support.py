"""Running the command line as a user does, talking to it, and telling what it should answer."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from streamgru.formats import native
from streamgru.model.spec import Dense, Gru, Output, Softmax
from streamgru.stream.load import load
from tests.networks import gru_tensors, spec_of, uniform

N_IN, N_OUT = 3, 4
LABELS = ("a", "b", "c", "d")


def write_model(path, outputs=(), n_in=N_IN, softmax=True, inputs=None):
    """A random network in a native file; the model that is loaded from it."""
    rng = np.random.default_rng(7)
    tensors = gru_tensors(rng, "gru", n_in, 8, bound=1.0)
    tensors |= {"head.weight": uniform(rng, N_OUT, 8), "head.bias": uniform(rng, N_OUT)}
    layers = [Gru(name="gru", n_hid=8), Dense(name="head", n_out=N_OUT), *([Softmax(name="p")] if softmax else [])]
    native.write(path, spec_of(*layers, n_in=n_in, outputs=outputs, inputs=inputs), tensors)
    return load(path)


def labelled():
    """One named output with labels."""
    return (Output(name="exercise", labels=LABELS),)


def numbers(n, seed=0, n_in=N_IN):
    """Rows of float32 that a few decimal digits write exactly."""
    return np.random.default_rng(seed).integers(-2000, 2000, (n, n_in)).astype(np.float32) / 1024


def bare(x):
    """Rows as bare arrays, a line each."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in x.tolist())


def objects(records):
    """Records as objects, a line each."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def parsed(data):
    """The lines of an answer, which must be strict JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in data.splitlines()]


def outputs(data):
    """The y of bare arrays."""
    return np.array(parsed(data), np.float32)


def interleaved(model, n_streams, n_steps, ids=str):
    """Records of many streams in turn, and the answers that streams of their own give."""
    data = {ids(k): numbers(n_steps, seed=k) for k in range(n_streams)}
    records = [{"id": id, "seq": i, "x": x[i].tolist()} for i in range(n_steps) for id, x in data.items()]
    return records, {id: model.stream().run(x) for id, x in data.items()}


def by_stream(answers):
    """Answers with an id: the outputs of each stream in the order of its ``seq``, which must be that of arrival."""
    streams = {}
    for answer in answers:
        streams.setdefault(answer["id"], []).append(answer)
    for id, own in streams.items():
        assert [answer["seq"] for answer in own] == list(range(len(own))), f"the answers of {id!r}: {own}"
    return {id: np.array([answer["y"] for answer in own], np.float32) for id, own in streams.items()}


def command(*arguments):
    """The command line of this installation, as arguments of a process."""
    return [sys.executable, "-c", "from streamgru.cli import main; main()", *map(str, arguments)]


def streamgru(*arguments, stdin=b"", env=None, timeout_s=30, **settings):
    """Run a command to its end."""
    if "stdin" not in settings and stdin is not None:
        settings["input"] = stdin
    settings.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(
        command(*arguments), env=os.environ | (env or {}), stderr=subprocess.PIPE, timeout=timeout_s, check=False,
        **settings,
    )  # fmt: skip


def complaint(finished, code):
    """The one line on stderr that a failed run must leave, without the line that tells what the model is."""
    text = finished.stderr.decode()
    assert finished.returncode == code, f"exit code {finished.returncode}, expected {code}; stderr: {text}"
    lines = [line for line in text.splitlines() if not line.endswith(": a native file")]
    assert len(lines) == 1, text
    return lines[0]


def hear_interrupts():
    """Let children end on SIGINT: in the background of a script it is ignored, and they would inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Running:
    """A command that goes on, with its stderr in a file; killed at the end."""

    def __init__(self, *arguments, env=None, **settings):
        hear_interrupts()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed in __exit__
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE} | settings
        self.process = subprocess.Popen(
            command(*arguments), env=os.environ | (env or {}), stderr=self._errors, bufsize=0, **settings
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self._errors.close()

    @property
    def stderr(self):
        self._errors.seek(0)
        return self._errors.read().decode()

    def until(self, pattern, timeout_s=20):
        """Wait until stderr matches; gives the match."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.stderr):
                return found
            assert self.process.poll() is None, f"it has ended: {self.stderr}"
            time.sleep(0.02)
        raise AssertionError(f"no {pattern!r} in {self.stderr!r}")

    def address(self):
        """Where a listener listens."""
        found = self.until(r"listening on (?:(?:tcp|udp)://([\d.]+):(\d+)|unix:(\S+))")
        return found[3] or (found[1], int(found[2]))

    def stop(self, number=signal.SIGTERM, timeout_s=10):
        """Send a signal and wait; gives the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout_s)

    def memory(self):
        """Resident bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def listener(model, uri="tcp+listen://127.0.0.1:0", *arguments, **settings):
    """``streamgru run`` with a listening source."""
    return Running("run", model, "--from", uri, *arguments, **settings)


def connected(address, timeout_s=20):
    """A connection to a listener."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    connection.connect(address)
    return connection


def rest(connection):
    """Everything until the other side closes."""
    pieces = []
    while piece := connection.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def exchange(address, *pieces):
    """Send pieces, half-close, and read to the end."""
    with connected(address) as connection:
        sender = threading.Thread(target=_send, args=(connection, pieces))
        sender.start()
        answer = rest(connection)
        sender.join()
        return answer


def _send(connection, pieces):
    for piece in pieces:
        connection.sendall(piece)
        if len(pieces) > 1:
            time.sleep(0.001)  # so that they arrive apart
    connection.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def server(path=None, serve=lambda connection: None):
    """A server of one connection after the other, for sources and sinks that connect; gives its URI's rest."""
    family, address = (socket.AF_UNIX, str(path)) if path else (socket.AF_INET, ("127.0.0.1", 0))
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.bind(address)
        listening.listen()

        def run():
            with contextlib.suppress(OSError):  # the end: it was shut down
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"unix:{path}" if path else "tcp://{}:{}".format(*listening.getsockname())
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
