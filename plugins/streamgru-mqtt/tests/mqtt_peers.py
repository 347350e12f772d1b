"""The other end in the tests: a real Mosquitto, and clients of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from streamgru.adapters import Batch, Outcome

NUMBERS = [b"%d" % i for i in range(300)]
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """A Mosquitto on a port of its own, with a configuration and a database in *folder*."""

    def __init__(self, folder: Path, *lines: str, tls: bool = False) -> None:
        if MOSQUITTO is None:
            pytest.skip("needs mosquitto")
        self.folder = folder
        self.port = free_port()
        self.config = folder / "mosquitto.conf"
        access = () if any(line.startswith(("allow_", "acl_file")) for line in lines) else ("allow_anonymous true",)
        common = f"persistence true\npersistence_location {folder}/\nmax_queued_messages 0\nmax_inflight_messages 0\n"
        user = "user root\n" if os.geteuid() == 0 else ""
        self.config.write_text(
            f"{user}{common}listener {self.port} 127.0.0.1\n" + "".join(f"{line}\n" for line in (*access, *lines))
        )
        self._process: subprocess.Popen[bytes] | None = None

    def uri(self, path: str, scheme: str = "mqtt", user: str = "") -> str:
        """The URI of a topic or filter."""
        return f"{scheme}://{user}127.0.0.1:{self.port}/{path}"

    async def start(self) -> None:
        """Start, and wait until it answers."""
        assert MOSQUITTO is not None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", self.config], stdout=log, stderr=log)
        for _ in range(500):
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                await writer.wait_closed()
                return
        raise AssertionError("mosquitto does not answer")

    def send(self, which: signal.Signals) -> None:
        """Send it a signal."""
        if self._process is not None:
            self._process.send_signal(which)

    async def save(self) -> None:
        """Have it write its database now."""
        database = self.folder / "mosquitto.db"
        database.unlink(missing_ok=True)
        self.send(signal.SIGUSR1)
        while not database.exists():
            await asyncio.sleep(0.01)

    def kill(self) -> None:
        """Kill it, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Peer:
    """A client of the broker that is none of ours: publishes, and collects what it has subscribed to."""

    def __init__(self, broker: Broker, topic: str = "", qos: int = 2, **credentials: str) -> None:
        self.came: list[tuple[str, bytes]] = []
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.max_inflight_messages = 1000
        if credentials:
            self._client.username_pw_set(**credentials)
        self._client.on_message = lambda client, data, message: self.came.append((message.topic, message.payload))
        self._client.on_subscribe = lambda *_: self._ready.set()
        if topic:
            self._client.on_connect = lambda *_: self._client.subscribe(topic, qos)
        else:
            self._client.on_connect = lambda *_: self._ready.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert self._ready.wait(5)

    async def publish(self, topic: str, *payloads: bytes, qos: int = 1, retain: bool = False) -> None:
        """Publish, and wait until the broker has all."""
        sent = [self._client.publish(topic, payload, qos, retain) for payload in payloads]
        while not all(info.is_published() for info in sent):
            await asyncio.sleep(0.001)

    async def wait(self, count: int, timeout_s: float = 5.0) -> list[tuple[str, bytes]]:
        """Wait until so many messages have come."""
        deadline = time.monotonic() + timeout_s
        while len(self.came) < count and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        return self.came

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
        for name in ("on_message", "on_subscribe", "on_connect"):
            setattr(self._client, name, None)
        del self._client


NewBroker = Callable[..., Broker]


def run(main: Awaitable[None]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(60):
            await main

    asyncio.run(in_time())


async def read(source: Any, count: int, ack: bool = True) -> list[Batch]:
    """Read so many messages."""
    batches = []
    async with asyncio.timeout(10):
        for _ in range(count):
            batches.append(await source.read())
            if ack:
                await source.ack(batches[-1].token, Outcome.DONE)
    return batches


async def nothing_comes(source: Any) -> bool:
    """Nothing comes within a moment."""
    try:
        async with asyncio.timeout(0.3):
            await source.read()
    except TimeoutError:
        return True
    return False


def data(batches: list[Batch]) -> list[bytes]:
    return [batch.data for batch in batches]


@contextlib.asynccontextmanager
async def fake_broker(answer: bytes, stays: bool = True) -> AsyncIterator[int]:
    """Answers whoever comes with the same bytes."""
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.read(100)
        writer.write(answer)
        if not stays:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for writer in writers:
            writer.close()
        server.close()
        await server.wait_closed()
