"""A wire inside this process, and a source and a sink on it that do everything right: what the kit is tested with."""

import asyncio
import collections
from typing import Annotated, ClassVar

from streamgru.adapters.contract import Batch, Item, Sink, Source, Token
from streamgru.adapters.options import Options, option
from streamgru.adapters.testing import SinkPeer, SourcePeer
from streamgru.errors import EndOfStream, NotConnected

ROOM = 8  # items that a wire holds


class Wire:
    """A bounded line of messages between two ends; None is its end."""

    def __init__(self):
        self.items = collections.deque()
        self.changed = asyncio.Event()
        self.cut = False

    async def put(self, item):
        while len(self.items) >= ROOM and not self.cut:
            await self.wait()
        if self.cut:
            raise ConnectionError("cut")
        self.items.append(item)
        self.poke()

    def poke(self):
        self.changed.set()

    async def wait(self):
        self.changed.clear()
        await self.changed.wait()


class ToyOptions(Options):
    """Options of a toy."""

    queue: Annotated[int, option("Messages that wait.", ge=1)] = 16
    label: Annotated[str, option("A name to show.")] = "toy"


class ToySource(Source[ToyOptions]):
    """Messages from a wire."""

    options_type = ToyOptions
    framing = "message"
    answers = True

    def __init__(self, peer):
        super().__init__("", ToyOptions())
        self.peer = peer
        self.wire = None
        self.closed = False

    async def open(self):
        if self.peer.wire is None or self.peer.wire.cut:
            raise NotConnected("nobody there")
        self.wire = self.peer.wire
        self.closed = False

    async def read(self):
        while True:
            if self.closed or self.wire is None:
                raise EndOfStream("closed")
            if self.wire.items:
                item = self.wire.items.popleft()
                self.wire.poke()
                return Batch("toy", b"", end="clean") if item is None else Batch("toy", item, Token("", 1))
            if self.wire.cut:
                raise NotConnected("cut")
            await self.wire.wait()

    async def reply(self, origin, data):
        if origin == "toy":
            self.peer.replies.append(data)

    async def close(self):
        self.closed = True
        if self.wire is not None:
            self.wire.poke()


class ToySourcePeer(SourcePeer):
    """The other end of a ToySource."""

    patience: ClassVar = 1.0
    flood: ClassVar = 2 << 20
    max_buffered: ClassVar = 600 << 10
    source: ClassVar = ToySource

    def __init__(self):
        self.wire = None
        self.replies = []

    def make(self):
        return self.source(self)

    async def start(self):
        self.wire = Wire()

    async def send(self, data):
        await self.wire.put(data)

    async def end(self):
        await self.wire.put(None)

    async def received(self):
        return list(self.replies)

    async def vanish(self):
        self.wire.items.clear()
        self.wire.cut = True
        self.wire.poke()

    async def stop(self):
        if self.wire:
            await self.vanish()


class ToySink(Sink[ToyOptions]):
    """Messages to a wire."""

    options_type = ToyOptions
    framing = "message"

    def __init__(self, peer):
        super().__init__("", ToyOptions())
        self.peer = peer
        self.wire = None

    async def open(self):
        if self.peer.wire is None or self.peer.wire.cut:
            raise NotConnected("nobody there")
        self.wire = self.peer.wire

    async def write(self, items: list[Item]):
        if self.wire.cut:
            raise NotConnected("cut")
        for item in items:
            await self.wire.put(item.data)

    async def flush(self):
        if self.wire.cut:
            raise NotConnected("cut")

    async def close(self):
        self.wire = None


class ToySinkPeer(SinkPeer):
    """The other end of a ToySink."""

    patience: ClassVar = 1.0
    flood: ClassVar = 2 << 20
    max_buffered: ClassVar = 600 << 10
    sink: ClassVar = ToySink

    def __init__(self):
        self.wire = None
        self.got = []
        self.taking = None

    def make(self):
        return self.sink(self)

    async def start(self):
        self.wire = Wire()
        self.taking = asyncio.create_task(self.take(self.wire))

    async def take(self, wire):
        while not wire.cut:
            while wire.items:
                self.got.append(wire.items.popleft())
                wire.poke()
            await wire.wait()

    async def received(self):
        return list(self.got)

    async def stall(self):
        self.taking.cancel()
        await asyncio.wait({self.taking})

    async def vanish(self):
        self.wire.cut = True
        self.wire.poke()
        await self.stall()

    async def stop(self):
        if self.wire:
            await self.vanish()
