"""Every way in which a run can go wrong: one clear line, the right exit code, nothing lost before it."""

import fcntl
import json
import os
import pickle
import re
import signal
import socket
import struct
import subprocess
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests import support
from tests.support import Running, bare, complaint, listener, numbers, objects, outputs, parsed, streamgru

X = numbers(3)


# ---- weights


def damaged(how, good, path):
    """A file that is no model, made of one that is."""
    n_header = struct.unpack("<Q", good[:8])[0]
    header = json.loads(good[8 : 8 + n_header])
    if how == "directory":
        path.mkdir()
        return
    if how == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("model/data.pkl", pickle.dumps({}))
        return
    if how == "sparse":
        path.write_bytes(good)
        os.truncate(path, 5 << 30)
        return
    if how == "other shape":
        header["gru.weight_hh"]["shape"] = header["gru.weight_hh"]["shape"][::-1]
    if how == "spec for something else":
        header["__metadata__"] = {k: v.replace('"n_hid":8', '"n_hid":9') for k, v in header["__metadata__"].items()}
    text = json.dumps(header).encode()
    path.write_bytes(
        {
            "empty": b"",
            "half a header": good[: 8 + n_header // 2],
            "one byte short": good[:-1],
            "header of exabytes": struct.pack("<Q", 1 << 63) + good[8:],
            "pickle": pickle.dumps({"weight": [1.0]}, protocol=2),
            "not a number": good[:-4] + struct.pack("<f", float("nan")),
        }.get(how, struct.pack("<Q", len(text)) + text + good[8 + n_header :])
    )


@pytest.mark.parametrize(
    "how",
    [
        "directory", "zip", "sparse", "other shape", "spec for something else", "empty", "half a header",
        "one byte short", "header of exabytes", "pickle", "not a number",
    ],
)  # fmt: skip
def test_weights(file, model, tmp_path, how):
    path = tmp_path / "bad.safetensors"
    damaged(how, file.read_bytes(), path)
    finished = streamgru("run", path, stdin=bare(X))
    assert "bad.safetensors" in complaint(finished, 1)
    assert finished.stdout == b""


# ---- records on stdin

BAD = {
    "no JSON": b"hello",
    "wrong length": b"[1,2]",
    "NaN": b"[1,2,NaN]",
    "infinity": b"[1,2,-Infinity]",
    "1e999": b"[1,2,1e999]",
    "1e39": b"[1,2,1e39]",
    "bad UTF-8": b'{"x":[1,2,3],"id":"\xff"}',
    "too long": b"[1,2,3" + b" " * 100_000 + b"]",
    "null": b"[1,2,null]",
    "duplicate": b'{"x":[1,2,3],"x":[1,2,3]}',
    "unknown": b'{"x":[1,2,3],"y":0}',
    "bomb": b"[" * 100_000,
    "huge integer": b"[1,2," + b"9" * 4000 + b"]",
    "huge seq": b'{"x":[1,2,3],"seq":99999999999999999999}',
    "huge id": b'{"x":[1,2,3],"id":99999999999999999999}',
    "lone surrogate": b'{"x":[1,2,3],"id":"\\ud800"}',
}


@pytest.mark.parametrize("what", ["no JSON", "1e39", "bad UTF-8", "too long", "huge seq"])
def test_failing_on_a_bad_record(file, model, what):
    finished = streamgru("run", file, stdin=bare(X[:2]) + BAD[what] + b"\n" + bare(X[2:]))
    assert complaint(finished, 1).startswith("streamgru: stdin: line 3: ")
    np.testing.assert_array_equal(outputs(finished.stdout), model.stream().run(X[:2]))


@pytest.mark.parametrize("on_error", ["skip", "report"])
def test_going_on_behind_bad_records(file, model, on_error):
    x = numbers(len(BAD))
    data = b"".join(bad + b"\n" + bare(row[None]) for bad, row in zip(BAD.values(), x, strict=True))
    finished = streamgru("run", file, "--on-error", on_error, stdin=data)
    assert finished.returncode == 0, finished.stderr
    lines = parsed(finished.stdout)
    errors = [line["error"] for line in lines if isinstance(line, dict)]
    assert len(errors) == (len(BAD) if on_error == "report" else 0)
    for i, error in enumerate(errors):
        assert error.startswith(f"line {2 * i + 1}: ")
    y = np.float32([line for line in lines if isinstance(line, list)])
    np.testing.assert_array_equal(y, model.stream().run(x))


def test_a_line_without_an_end_takes_no_memory(file, model):
    with Running("run", file, "--on-error", "report", stdin=-1) as running:
        running.process.stdin.write(bare(X[:1]))
        running.process.stdout.readline()
        before = running.memory()
        for _ in range(100):
            running.process.stdin.write(b"1," * (1 << 18))
        assert running.memory() - before < 4 << 20
        running.process.stdin.write(b"\n" + bare(X[1:]))
        running.process.stdin.close()
        lines = parsed(running.process.stdout.read())
    assert lines[0] == {"error": "line 2: expected a line of at most 65536 bytes, got a longer one"}
    np.testing.assert_array_equal(np.float32(lines[1:]), model.stream().run(X)[1:])


def test_a_torn_raw_row(file, model):
    finished = streamgru("run", file, "--codec", "raw", stdin=X.tobytes()[:-1])
    assert "got 11 bytes at the end" in complaint(finished, 1)
    np.testing.assert_array_equal(np.frombuffer(finished.stdout, "<f4").reshape(-1, 4), model.stream().run(X[:2]))


def test_a_full_pool(file, model):
    records = [{"id": id, "x": row.tolist()} for row in X for id in ("a", "b", "c")]
    finished = streamgru("run", file, "--max-streams", "2", "--on-error", "report", stdin=objects(records))
    lines = parsed(finished.stdout)
    assert finished.returncode == 0 and len(lines) == 9
    assert all(("error" in line) == (line["id"] == "c") for line in lines)
    for id in "ab":
        y = np.float32([line["y"] for line in lines if line["id"] == id])
        np.testing.assert_array_equal(y, model.stream().run(X), err_msg="nobody was evicted")
    finished = streamgru("run", file, "--max-streams", "2", stdin=objects(records))
    assert "line 3: all 2 streams of the pool are open" in complaint(finished, 1)
    assert len(parsed(finished.stdout)) == 2


# ---- places


def test_a_port_in_use(file, model, tmp_path):
    for kind, scheme in ((socket.SOCK_STREAM, "tcp+listen"), (socket.SOCK_DGRAM, "udp+listen")):
        with socket.socket(socket.AF_INET, kind) as taken:
            taken.bind(("127.0.0.1", 0))
            uri = "{}://{}:{}".format(scheme, *taken.getsockname())
            if kind == socket.SOCK_STREAM:
                taken.listen()
            assert complaint(streamgru("run", file, "--from", uri), 1).endswith(": Address already in use")
    (tmp_path / "file").write_text("mine")
    with support.server(tmp_path / "s"):
        for name in ("file", "s"):
            finished = streamgru("run", file, "--from", f"unix+listen:{tmp_path / name}")
            assert complaint(finished, 1).endswith(": Address already in use")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("uri", ["tcp+listen://no.such.host.invalid:0", "udp+listen://no.such.host.invalid:0"])
def test_a_host_that_does_not_exist(file, model, uri):
    message = complaint(streamgru("run", file, "--from", uri), 1)
    assert "no.such.host.invalid" in message and "Unknown error" not in message


def test_a_socket_that_a_killed_run_left_behind(file, model, tmp_path):
    uri = f"unix+listen:{tmp_path / 's'}"
    with listener(file, uri) as running:
        running.address()
        running.stop(signal.SIGKILL)
    assert (tmp_path / "s").exists()
    with listener(file, uri) as running:
        np.testing.assert_array_equal(outputs(support.exchange(running.address(), bare(X))), model.stream().run(X))


def test_files_that_cannot_be_opened(file, model, tmp_path):
    for source, sink in ((tmp_path / "missing", tmp_path / "y"), (tmp_path, tmp_path / "y"), (file, tmp_path / "no/y")):
        finished = streamgru("run", file, "--from", f"file:{source}", "--to", f"file:{sink}")
        assert str(tmp_path) in complaint(finished, 1)


def test_a_file_whose_name_is_no_text(file, model, tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.ndjson")
    path.write_bytes(bare(X))
    finished = streamgru("run", file, "--from", path)
    assert finished.returncode == 0, finished.stderr
    np.testing.assert_array_equal(outputs(finished.stdout), model.stream().run(X))


def test_nobody_to_connect_to(file, model):
    with socket.socket() as bound:  # but not listening
        bound.bind(("127.0.0.1", 0))
        uri = "tcp://{}:{}".format(*bound.getsockname())
        for arguments in (["--from", uri], ["--to", uri]):
            finished = streamgru("run", file, *arguments, "--retry-for", "0", "-q")
            assert "Connect call failed" in complaint(finished, 1) or "Connection refused" in complaint(finished, 1)


@pytest.mark.parametrize("codec", ["ndjson", "csv"])
def test_a_server_that_vanishes_in_mid_record(file, model, codec):
    x = numbers(3)
    lines = bare(x) if codec == "ndjson" else "".join(f"{a},{b},{c}\n" for a, b, c in x.tolist()).encode()

    def run(*arguments):
        with support.server(serve=lambda connection: connection.sendall(lines[:-3])) as uri:
            return streamgru("run", file, "--from", uri, "--codec", codec, "--to-codec", "ndjson", *arguments)

    finished = run()
    assert finished.returncode == 0, finished.stderr
    *good, error = parsed(finished.stdout)
    assert error["error"].startswith("line 3: ")
    np.testing.assert_array_equal(np.float32(good), model.stream().run(x[:2]))
    finished = run("--on-error", "fail")
    assert "line 3: " in complaint(finished, 1)
    np.testing.assert_array_equal(outputs(finished.stdout), model.stream().run(x[:2]))


@pytest.mark.parametrize("codec", ["ndjson", "raw"])
def test_a_full_disk(file, model, codec):
    x = {"ndjson": bare(X), "raw": X.tobytes()}[codec]
    with Path("/dev/full").open("wb") as full:
        finished = streamgru("run", file, "--codec", codec, stdin=x, stdout=full)
    assert complaint(finished, 1) == "streamgru: stdout: No space left on device"
    finished = streamgru("run", file, "--codec", codec, "--to", "file:/dev/full", stdin=x)
    assert complaint(finished, 1) == "streamgru: file:/dev/full: No space left on device"


def test_a_pipe_whose_reader_is_gone(file, model):
    read, write = os.pipe()
    os.close(read)
    finished = streamgru("run", file, "-q", stdin=bare(X), stdout=write)
    os.close(write)
    assert (finished.returncode, finished.stderr) == (141, b"")


def test_standard_streams_that_are_closed(file, model, tmp_path):
    def without(*numbers):
        return {"preexec_fn": lambda: [os.close(number) for number in numbers]}

    assert "stdin: it was closed" in complaint(streamgru("run", file, stdin=None, **without(0)), 1)
    finished = streamgru("run", file, stdin=bare(X), **without(1))
    assert "stdout: it was closed" in complaint(finished, 1)
    (tmp_path / "x").write_bytes(bare(X))
    arguments = "run", file, "--from", tmp_path / "x", "--to", f"file:{tmp_path / 'y'}"
    for closed in ((0,), (1,), (2,), (0, 1, 2)):
        assert streamgru(*arguments, stdin=None, **without(*closed)).returncode == 0
        np.testing.assert_array_equal(outputs((tmp_path / "y").read_bytes()), model.stream().run(X))
    assert streamgru("plugins", **without(1)).returncode == 0


# ---- being stopped

SIGNALS = ((signal.SIGINT, 130), (signal.SIGTERM, 143))


def stopped(running, number):
    """The exit code after a signal; it must come soon, and without a word."""
    before = running.stderr
    started = time.monotonic()
    code = running.stop(number)
    assert time.monotonic() - started < 2
    assert running.stderr == before
    return code


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_reading(file, model, number, code):
    with Running("run", file, stdin=-1) as running:
        running.process.stdin.write(bare(X[:1]))
        assert outputs(running.process.stdout.readline()).shape == (1, 4)
        assert stopped(running, number) == code
    with listener(file) as running, support.connected(running.address()) as client:
        client.sendall(b"[1,")
        assert stopped(running, number) == code


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_there_is_always_something_to_read(file, model, number, code):
    arguments = "run", file, "--emit", "above=2"  # so that writing never waits either
    with subprocess.Popen(["yes", "[1,2,3]"], stdout=subprocess.PIPE) as yes:
        with Running(*arguments, "-v", stdin=yes.stdout) as running:
            yes.stdout.close()
            time.sleep(1)
            assert running.stop(number) == code
            assert int(re.search(r"(\d+) records", running.stderr)[1]) > 1000
        yes.wait()


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_writing_to_a_full_pipe(file, model, tmp_path, number, code):
    (tmp_path / "x").write_bytes(bare(numbers(50_000)))
    with Running("run", file, "--from", tmp_path / "x") as running:
        running.process.stdout.read(1)
        n_waiting, waited = -1, bytearray(4)
        while n_waiting != (n_waiting := int.from_bytes(waited, "little")) or not n_waiting:
            time.sleep(0.1)
            fcntl.ioctl(running.process.stdout, 0x541B, waited)  # FIONREAD
        assert stopped(running, number) == code


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_writing_to_a_server_that_does_not_read(file, model, tmp_path, number, code):
    (tmp_path / "x").write_bytes(bare(numbers(200_000)))
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        uri = "tcp://{}:{}".format(*deaf.getsockname())
        with Running("run", file, "--from", tmp_path / "x", "--to", uri) as running:
            accepted, _ = deaf.accept()
            with accepted:
                time.sleep(0.4)  # more than it takes to fill what the system keeps for the two
                assert stopped(running, number) == code


def test_a_signal_while_waiting_for_the_reader_of_a_named_pipe(file, model, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with Running("run", file, "--to", f"file:{tmp_path / 'fifo'}", stdin=-1) as running:
        running.until("nobody reads the pipe")
        assert running.stop(signal.SIGINT) == 130


def test_a_named_pipe_at_both_ends(file, model, tmp_path):
    os.mkfifo(tmp_path / "in")
    os.mkfifo(tmp_path / "out")
    with Running("run", file, "--from", tmp_path / "in", "--to", f"file:{tmp_path / 'out'}") as running:
        with (tmp_path / "out").open("rb") as answers, (tmp_path / "in").open("wb") as questions:
            questions.write(bare(X))
            questions.flush()
            np.testing.assert_array_equal(
                outputs(b"".join(answers.readline() for _ in X)), model.stream().run(X), err_msg="without waiting"
            )
        assert running.process.wait(10) == 0
