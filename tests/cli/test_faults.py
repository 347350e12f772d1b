"""What must not be destroyed, blocked or eaten up when something is wrong around a run."""

import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from streamgru.formats import native
from streamgru.model.spec import Dense, Embedding, Gru, Input, sequential
from tests.support import Running, bare, command, complaint, numbers, outputs, streamgru

pytestmark = pytest.mark.usefixtures("model")  # it is in file


def test_a_missing_source_leaves_the_old_output(file, tmp_path):
    old = tmp_path / "results.ndjson"
    old.write_bytes(b"precious\n")
    complaint(streamgru("run", file, "--from", tmp_path / "typo", "--to", old), 1)
    assert old.read_bytes() == b"precious\n"


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_an_output_that_is_the_input_is_refused(file, tmp_path, way):
    same = tmp_path / "same.ndjson"
    same.write_bytes(bare(numbers(3)))
    before = same.read_bytes()
    source = ["--from", same] if way == "file" else []
    with same.open("rb") as stdin:
        arguments = command("run", file, *source, "--to", same)
        told = complaint(subprocess.run(arguments, stdin=stdin, capture_output=True, check=False), 2)
    assert "the source reads this file" in told
    assert same.read_bytes() == before


def test_descriptors_run_out_and_come_back(file):
    """Whoever fills the process with connections keeps others out only while they last."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))  # noqa: E731
    with Running("run", file, "--from", "tcp+listen://127.0.0.1:0", preexec_fn=limit) as running:
        host, port = running.address()
        crowd = [socket.create_connection((host, port)) for _ in range(150)]
        time.sleep(1.5)
        for client in crowd:
            client.close()
        deadline = time.monotonic() + 10
        while True:  # the first may come while the crowd is still being swept out
            with socket.create_connection((host, port), timeout=5) as client:
                client.sendall(b"[1,2,3]\n")
                answer = client.makefile("rb").readline()
            if answer or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert outputs(answer).shape == (1, 4)
        assert "Traceback" not in running.stderr
        assert len(running.stderr.splitlines()) < 50
        assert running.stop() == 143


def test_a_live_socket_whose_queue_is_full_is_in_use(file, tmp_path):
    path = tmp_path / "full.sock"
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as waiting:
        other.bind(str(path))
        other.listen(0)
        waiting.connect(str(path))
        told = complaint(streamgru("run", file, "--from", f"unix+listen:{path}", timeout_s=20), 1)
    assert "in use" in told
    assert path.exists()


def test_many_small_records_of_a_wide_network_stay_small(tmp_path):
    """64 KiB of tokens become 16,384 rows of 4,096 numbers: they are stepped in pieces."""
    wide = 4096
    tensors = {
        "table.weight": np.zeros((4, 4), np.float32),
        "gru.weight_ih": np.zeros((6, 4), np.float32),
        "gru.weight_hh": np.zeros((6, 2), np.float32),
        "head.weight": np.ones((wide, 2), np.float32),
    }
    layers = Embedding(name="table", n_out=4), Gru(name="gru", n_hid=2), Dense(name="head", n_out=wide)
    spec = sequential(*layers, inputs=(Input(name="token", kind="token", vocab=4),))
    native.write(tmp_path / "m.safetensors", spec, tensors)
    (tmp_path / "tokens").write_bytes(b"[3]\n" * 16_384)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    arguments = "run", tmp_path / "m.safetensors", "--from", tmp_path / "tokens", "--to", "file:/dev/null"
    assert streamgru(*arguments, timeout_s=100).returncode == 0
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert peak == before or peak < 300 * 1024, f"{peak} KiB"


@pytest.mark.parametrize("value", ["[1, 2]", "2026-01-01", "{ a = 1 }"])
def test_a_configuration_of_the_wrong_type(file, tmp_path, value):
    (tmp_path / "c.toml").write_text(f"[run]\nmax-streams = {value}\n")
    finished = streamgru("--config", tmp_path / "c.toml", "run", file)
    assert finished.returncode == 2
    assert b"max-streams: expected a text, a number or a boolean" in finished.stderr


def test_a_fault_of_ours_is_one_line():
    code = "import streamgru.cli, streamgru.cli.run\ndef broken(*_): raise KeyError('x')\n"
    code += "streamgru.cli.run.load_model = broken\nstreamgru.cli.main(['run', 'model'])"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert finished.returncode == 1
    assert finished.stderr.decode() == "streamgru: unexpected KeyError: 'x' (STREAMGRU_DEBUG=1 shows where)\n"


@pytest.mark.skipif(sys.platform != "linux", reason="looks in /proc")
def test_a_record_by_tcp_asks_the_system_for_no_memory(file):
    """Pages that come anew for every read would show as faults."""
    with Running("run", file, "--from", "tcp+listen://127.0.0.1:0") as running:
        faults = lambda: int(Path(f"/proc/{running.process.pid}/stat").read_text().rsplit(")")[1].split()[7])  # noqa: E731
        with socket.create_connection(running.address()) as client, client.makefile("rb") as answers:

            def exchange(n):
                for _ in range(n):
                    client.sendall(bare(numbers(1)))
                    answers.readline()

            exchange(100)
            before = faults()
            exchange(300)
            assert faults() - before < 100
