"""What is measured from outside: starting, memory, and the command line on a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tracemalloc
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.contenders.base import Absent
from benchmarks.contenders.onnx_model import serialised
from benchmarks.measure import Effort, Middle, middle
from benchmarks.native import BUILD
from benchmarks.network import network
from streamgru.formats import native
from streamgru.stream.model import Model

N_STREAMS = 20_000
STARTS = {
    "python": ["-c", "pass"],
    "streamgru --help": ["-m", "streamgru", "--help"],
    "import numpy": ["-c", "import numpy"],
    "import streamgru": ["-c", "import numpy, streamgru"],
    "load": ["-c", "import numpy, streamgru; streamgru.load"],
}
N_IN, N_HID = 8, 32  # of the network on the pipe


@dataclass(frozen=True)
class Idle:
    """The memory of a stream of a pool that nobody steps: everything that the pool has for it."""

    n_hid: int
    state_bytes: int  # n_hid float32
    lanes_bytes: int  # of the pool, whatever its capacity: the scratch of a tick
    bytes: float


def idle_stream(n_hid: int = 64) -> Idle:
    """What a pool takes for each of many streams, as Python's and our own allocators count it.

    A pool of one stream has the same lanes, and next to nothing else.
    """
    model = network(16, n_hid).model()
    lanes_bytes = _pool_bytes(model, 1)
    return Idle(n_hid, 4 * n_hid, lanes_bytes, (_pool_bytes(model, N_STREAMS) - lanes_bytes) / N_STREAMS)


def starts(effort: Effort) -> dict[str, Middle]:
    """Seconds that each start takes, and in ``... over ...`` what it takes over the bare one."""
    times: dict[str, list[float]] = {name: [] for name in STARTS}
    for k in range(effort.rounds + 1):  # the first fills the page cache
        for name, arguments in STARTS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            if k:
                times[name].append(time.perf_counter() - started)
    found = {name: np.array(samples) for name, samples in times.items()}
    over = (("streamgru --help", "python"), ("import streamgru", "import numpy"), ("load", "import numpy"))
    differences = {f"{a} over {b}": middle(found[a] - found[b]) for a, b in over}
    return {name: middle(samples) for name, samples in found.items()} | differences


@dataclass(frozen=True)
class Pipe:
    """Records per second of ``streamgru run`` on NDJSON, and of a loop over ONNX Runtime that does the same."""

    ours: Middle
    loop: Middle | None
    ratio: Middle | None


def pipe(effort: Effort, n_records: int) -> Pipe:
    """Start-up is left out: it is what the same takes on no records."""
    net = network(N_IN, N_HID)
    model, data, onnx = BUILD / "pipe.safetensors", BUILD / "pipe.ndjson", BUILD / "pipe.onnx"
    native.write(model, net.model().spec, net.tensors)
    X = np.random.default_rng(2).integers(-2000, 2000, (n_records, N_IN)) / 1024
    data.write_text("".join(json.dumps(row) + "\n" for row in X.tolist()))
    commands = {"ours": [sys.executable, "-m", "streamgru", "run", str(model)]}
    try:
        onnx.write_bytes(serialised(net))
        loop = Path(__file__).with_name("ndjson_loop.py")
        commands["loop"] = [sys.executable, str(loop), str(onnx), str(N_HID)]
        _agree(commands, data)
    except Absent:
        pass  # as told of the single streams
    rates: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(effort.rounds):
        for name, command in commands.items():
            rates[name].append(n_records / (_run(command, data) - _run(command, Path("/dev/null"))))
    found = {name: np.array(samples) for name, samples in rates.items()}
    if "loop" not in found:
        return Pipe(middle(found["ours"]), None, None)
    return Pipe(middle(found["ours"]), middle(found["loop"]), middle(found["ours"] / found["loop"]))


def told(part: Pipe | Idle) -> dict[str, object]:
    """For JSON."""
    return asdict(part)


def _pool_bytes(model: Model, n_streams: int) -> int:
    """The memory of a full pool."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        pool = model.pool(capacity=n_streams)
        for i in range(n_streams):
            pool.open(f"sensor-{i}")
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def _agree(commands: dict[str, list[str]], data: Path) -> None:
    head = "".join(data.read_text().splitlines(keepends=True)[:100])
    answers = {}
    for name, command in commands.items():
        done = subprocess.run(command, input=head, capture_output=True, text=True, check=name == "ours")
        if done.returncode:
            raise Absent(f"the loop over ONNX Runtime: {done.stderr.strip().splitlines()[-1]}")
        answers[name] = [json.loads(line) for line in done.stdout.splitlines()]
    np.testing.assert_allclose(answers["ours"], answers["loop"], atol=1e-5)


def _run(command: list[str], data: Path) -> float:
    with data.open("rb") as stdin:
        started = time.perf_counter()
        subprocess.run(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return time.perf_counter() - started
