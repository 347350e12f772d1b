"""Checks of a source: what it reads, how it ends, and what it owes when it is cancelled or flooded."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from streamgru.adapters.contract import Batch, Outcome, Source, Token
from streamgru.adapters.testing.harness import Check, ConformanceError, Footprint, check, nothing_left, within
from streamgru.adapters.testing.life import close, closing, open_soon, started
from streamgru.adapters.testing.peers import SourcePeer
from streamgru.adapters.testing.payloads import first_difference, hostile, numbered
from streamgru.errors import EndOfStream, NotConnected

NewPeer = Callable[[], SourcePeer]


class Session:
    """A source that is open, and its peer."""

    def __init__(self, peer: SourcePeer, source: Source[Any]) -> None:
        self.peer = peer
        self.source = source
        self.ended = False
        self.sending: asyncio.Task[None] | None = None

    async def send(self, items: Sequence[bytes]) -> None:
        """Let the peer send *items* in the background; what is not live has sent them already."""
        if self.peer.live:
            self.sending = asyncio.create_task(self._send(items))

    async def _send(self, items: Sequence[bytes]) -> None:
        for item in items:
            await self.peer.send(item)

    async def read(self) -> Batch:
        """Read once, in time, and see that it is a batch."""
        return self.well_formed(await within(self.peer.patience, "read()", self.source.read()))

    def well_formed(self, batch: Batch) -> Batch:
        """See that it is a batch; remember an end."""
        ok = isinstance(batch, Batch) and isinstance(batch.origin, str) and isinstance(batch.token, Token)
        if not ok or type(batch.data) is not bytes or batch.end not in ("", "clean", "cut"):
            raise ConformanceError(f"read() gave no well-formed Batch(str, bytes, Token, end) but {batch!r:.200}")
        self.ended = self.ended or bool(batch.end)
        return batch

    async def expect(self, items: Sequence[bytes]) -> Batch:
        """Read until all *items* have come, and see that they are those; gives the last batch."""
        got: list[bytes] = []
        while True:
            try:
                batch = await self.read()
            except (EndOfStream, NotConnected) as error:
                raise ConformanceError(f"{self.progress(items, got)}, then {error!r}") from error
            except ConformanceError as error:
                raise ConformanceError(f"{self.progress(items, got)}; {error}") from self.send_failure()
            self.add(got, batch)
            if self.complete(items, got):
                self.compare(items, got)
                return batch

    def add(self, got: list[bytes], batch: Batch) -> None:
        """Keep the data of a batch; an end without data is no message."""
        if batch.data or not batch.end:
            got.append(batch.data)

    def complete(self, items: Sequence[bytes], got: list[bytes]) -> bool:
        """Tell whether as much has come as was sent."""
        if self.source.framing == "message":
            return len(got) >= len(items)
        return sum(map(len, got)) >= sum(map(len, items))

    def compare(self, items: Sequence[bytes], got: list[bytes]) -> None:
        """See that just what was sent has come."""
        difference = first_difference(items, got, self.source.framing)
        if difference:
            raise ConformanceError(difference)

    def progress(self, items: Sequence[bytes], got: list[bytes]) -> str:
        """Tell how much has come."""
        if self.source.framing == "message":
            return f"{len(got)} of {len(items)} messages came"
        return f"{sum(map(len, got))} of {sum(map(len, items))} bytes came"

    def send_failure(self) -> BaseException | None:
        """Give what went wrong at the peer, if anything."""
        done = self.sending is not None and self.sending.done() and not self.sending.cancelled()
        return self.sending.exception() if self.sending is not None and done else None

    async def until_gone(self) -> str:
        """Read until the source says that its peer has gone, in any of the three ways."""
        while not self.ended:
            try:
                await self.read()
            except NotConnected:
                return "NotConnected"
            except EndOfStream:
                return "EndOfStream"
        self.ended = False
        return "end of the origin"

    async def back(self) -> bool:
        """Bring a vanished peer up and open again as the pipeline does; False if the source is finished."""
        gone = await self.until_gone()
        await within(self.peer.patience, "the peer's start()", self.peer.start())
        if gone == "NotConnected":
            await open_soon(self.peer, self.source)
        return gone != "EndOfStream"


@contextlib.asynccontextmanager
async def session(peer: SourcePeer, items: Sequence[bytes] = (), end: bool = False) -> AsyncIterator[Session]:
    """Have an open source, to which *items* are sent (before it opens, if the peer is not live)."""
    async with started(peer):
        if not peer.live:
            for item in items:
                await peer.send(item)
            if end:
                await peer.end()
        source = peer.make()
        talk = Session(peer, source)
        async with closing(peer, source):
            await open_soon(peer, source)
            await talk.send(items)
            try:
                yield talk
            finally:
                if talk.sending:
                    talk.sending.cancel()
                    await asyncio.wait({talk.sending}, timeout=peer.patience)


@check()
async def hostile_bytes_arrive_untouched(new_peer: NewPeer) -> None:
    """A source carries bytes: NULs, broken UTF-8, line ends, nothing at all and 1 MiB are not its business."""
    peer = new_peer()
    items = hostile(peer, peer.make().framing)
    async with session(peer, items) as talk:
        await talk.expect(items)


@check()
async def order_is_kept(new_peer: NewPeer) -> None:
    """A GRU step depends on all before it: two records that change places are a wrong answer."""
    peer = new_peer()
    items = numbered(100)
    async with session(peer, items) as talk:
        await talk.expect(items)


@check("live")
async def every_split_arrives(new_peer: NewPeer) -> None:
    """Networks cut bytes anywhere: one payload, cut at every place, must always be the same bytes."""
    peer = new_peer()
    payload = b'{"id": "\xc3\xa9", "x": [1.5, -2]}\r\n\x00\xff\n'
    async with session(peer) as talk:
        for cut in range(1, len(payload)):
            for piece in (payload[:cut], payload[cut:]):
                await talk.send([piece])
                await talk.expect([piece])


@check()
async def cancelled_read_loses_nothing(new_peer: NewPeer) -> None:
    """The pipeline cancels reads when a tick is due or a run drains: what was under way must come later."""
    peer = new_peer()
    items = numbered(150)
    dice = random.Random(7)
    got: list[bytes] = []
    async with session(peer) as talk:
        if peer.live:
            talk.sending = asyncio.create_task(_send_with_pauses(peer, items, dice))
        else:
            talk = await _reopened(talk, items)
        deadline = time.monotonic() + peer.patience + 5
        while not talk.complete(items, got):
            if time.monotonic() > deadline:
                raise ConformanceError(f"with reads that are cancelled, {talk.progress(items, got)}")
            reading = asyncio.create_task(talk.source.read())
            for _ in range(dice.randrange(4)):
                await asyncio.sleep(dice.choice((0, 0, 0.0005)))
            reading.cancel()
            await asyncio.wait({reading}, timeout=peer.patience)
            if not reading.done():
                raise ConformanceError("read() does not end when it is cancelled")
            if not reading.cancelled():
                talk.add(got, talk.well_formed(reading.result()))
            elif dice.random() < 0.3:
                with contextlib.suppress(TimeoutError):
                    talk.add(got, talk.well_formed(await asyncio.wait_for(talk.source.read(), 0.002)))
        talk.compare(items, got)
