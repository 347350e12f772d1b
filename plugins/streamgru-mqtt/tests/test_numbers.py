"""Through a real broker and the command line, every prediction is the one of ``stream.run``, to the last bit."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from mqtt_peers import Broker, Peer, run

N_IN = 6
COMMAND = [sys.executable, "-c", "from streamgru.cli import main; main()", "run", "builtin:shoulder"]
# In a process of its own, which knows nothing of this plugin.
EXPECTED = """
import sys, numpy as np, streamgru
model = streamgru.load("builtin:shoulder")
np.save(sys.argv[2], np.stack([model.stream().run(x) for x in np.load(sys.argv[1])]))
"""


def numbers(n_streams: int, n_steps: int) -> np.ndarray:
    """Inputs (n_streams, n_steps, N_IN) that a few decimal digits write exactly."""
    return np.random.default_rng(0).integers(-2000, 2000, (n_streams, n_steps, N_IN)).astype(np.float32) / 1024


def expected(x: np.ndarray, folder: Path) -> np.ndarray:
    """What streams of their own answer to x (n_streams, n_steps, N_IN)."""
    np.save(folder / "x.npy", x)
    subprocess.run([sys.executable, "-c", EXPECTED, folder / "x.npy", folder / "y.npy"], check=True)
    return np.load(folder / "y.npy")


def answered(broker: Broker, topic: str, records: list[Any]) -> list[tuple[str, Any]]:
    """Publish records while ``streamgru run`` is there: the topic and the content of every answer, as they came."""
    answers: list[tuple[str, Any]] = []

    async def main() -> None:
        await broker.start()
        peer, probe = Peer(broker, "out/#", qos=1), Peer(broker, "probe/#", qos=1)
        arguments = ["--from", broker.uri("in/#"), "--to", broker.uri("out/{id}")]
        running = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE)
        try:
            while not peer.came:  # until it has subscribed
                assert running.poll() is None, running.communicate()[1].decode()
                await probe.publish("in/probe", json.dumps({"id": "probe", "x": [0] * N_IN, "end": True}).encode())
                await asyncio.sleep(0.05)
            await probe.publish(topic, *(json.dumps(record).encode() for record in records))
            while sum(name != "out/probe" for name, _ in peer.came) < len(records):
                assert running.poll() is None, running.communicate()[1].decode()
                await asyncio.sleep(0.02)
            running.send_signal(signal.SIGTERM)
            _, told = await asyncio.to_thread(running.communicate, timeout=10)
            assert running.returncode == 143, told.decode()
        finally:
            running.kill()
            running.wait()
            peer.close()
            probe.close()
        answers.extend((name, json.loads(data)) for name, data in peer.came if name != "out/probe")

    run(main())
    assert len(answers) == len(records)
    return answers


def test_a_thousand_interleaved_streams(broker: Broker, tmp_path: Path) -> None:
    x = numbers(1000, 3)
    records = [{"id": f"s{k}", "seq": i, "x": x[k, i].tolist()} for i in range(3) for k in range(1000)]
    streams: dict[str, list[Any]] = {}
    for topic, answer in answered(broker, "in/all", records):
        assert topic == f"out/{answer['id']}"
        streams.setdefault(answer["id"], []).append(answer)
    assert len(streams) == 1000
    y = expected(x, tmp_path)
    for k in range(1000):
        own = streams[f"s{k}"]
        assert [answer["seq"] for answer in own] == [0, 1, 2]
        np.testing.assert_array_equal(np.float32([answer["exercise"] for answer in own]), y[k], err_msg=f"stream {k}")


def test_one_stream_without_an_id(broker: Broker, tmp_path: Path) -> None:
    x = numbers(1, 500)
    answers = answered(broker, "in/left", x[0].tolist())
    assert {topic for topic, _ in answers} == {"out/@in%2Fleft"}
    np.testing.assert_array_equal(np.float32([answer for _, answer in answers]), expected(x, tmp_path)[0])
