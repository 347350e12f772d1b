"""The kit of streamgru, which every adapter must pass, against a real Mosquitto."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from mqtt_peers import Broker, Peer
from streamgru.adapters.registry import make_sink, make_source
from streamgru.adapters.testing import SinkPeer, SourcePeer, sink_checks, source_checks


class Mosquitto:
    """What the peers of source and sink share."""

    topic: ClassVar[str] = ""

    def __init__(self, folder: Path) -> None:
        self.broker = Broker(Path(tempfile.mkdtemp(dir=folder)))
        self.peer: Peer | None = None

    async def start(self) -> None:
        await self.broker.start()
        self.peer = await asyncio.to_thread(Peer, self.broker, self.topic)

    async def vanish(self) -> None:
        peer, self.peer = self.peer, None
        if peer is not None:
            await asyncio.to_thread(peer.close)
        self.broker.kill()

    async def stop(self) -> None:
        await self.vanish()


class MqttSourcePeer(Mosquitto, SourcePeer):
    def make(self) -> Any:
        # The checks read more messages without an acknowledgement than a broker may send by default.
        return make_source(self.broker.uri("in?inflight=1000&max_bytes=2000000&connect_timeout_s=3"))

    async def send(self, data: bytes) -> None:
        assert self.peer is not None
        await self.peer.publish("in", data)


class MqttSinkPeer(Mosquitto, SinkPeer):
    topic = "out"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.earlier: list[bytes] = []

    def make(self) -> Any:
        return make_sink(self.broker.uri("out?connect_timeout_s=3&flush_timeout_s=3"))

    async def received(self) -> list[bytes]:
        return self.earlier + [data for _, data in self.peer.came] if self.peer else self.earlier

    async def vanish(self) -> None:
        self.earlier = await self.received()
        await super().vanish()

    async def stall(self) -> None:
        self.broker.send(signal.SIGSTOP)


@pytest.mark.parametrize("check", source_checks(MqttSourcePeer), ids=lambda check: check.__name__)
def test_source(check: Any, tmp_path: Path) -> None:
    check(partial(MqttSourcePeer, tmp_path))


@pytest.mark.parametrize("check", sink_checks(MqttSinkPeer), ids=lambda check: check.__name__)
def test_sink(check: Any, tmp_path: Path) -> None:
    check(partial(MqttSinkPeer, tmp_path))
