"""A source that is open and talks to its peer: what the checks of a source stand on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from streamgru.adapters.contract import Batch, Outcome, Source, Token
from streamgru.adapters.testing.harness import ConformanceError, within
from streamgru.adapters.testing.life import closing, open_soon, started
from streamgru.adapters.testing.payloads import first_difference
from streamgru.adapters.testing.peers import SourcePeer
from streamgru.errors import EndOfStream, NotConnected


class Session:
    """A source that is open, and its peer."""

    def __init__(self, peer: SourcePeer, source: Source[Any]) -> None:
        self.peer = peer
        self.source = source
        self.ended = False
        self.sending: asyncio.Task[None] | None = None

    def send(self, items: Sequence[bytes], pause: float = 0.0, end: bool = False) -> None:
        """Let the peer send *items* in the background; one that is not live has done so before."""
        if self.peer.live:
            self.sending = asyncio.create_task(_send(self.peer, items, pause, end))

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
            if not batch.end:  # a source may hold back what comes next until we say what became of this
                await within(self.peer.patience, "ack()", self.source.ack(batch.token, Outcome.DONE))
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
        if self.sending is None or not self.sending.done() or self.sending.cancelled():
            return None
        return self.sending.exception()

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
        if gone == "end of the origin" and self.peer.connects:
            gone = await self.until_gone()  # what connects has one origin, and has to say how it goes on
        await within(self.peer.patience, "the peer's start()", self.peer.start())
        if gone == "NotConnected":
            await open_soon(self.peer, self.source)
        return gone != "EndOfStream"


@contextlib.asynccontextmanager
async def session(peer: SourcePeer, items: Sequence[bytes] = (), end: bool = False) -> AsyncIterator[Session]:
    """Have an open source, to which *items* are sent (before it opens, if the peer is not live), maybe up to an end."""
    async with started(peer):
        if not peer.live:
            await within(peer.patience, "the peer's send()", _send(peer, items, 0.0, end))
        source = peer.make()
        talk = Session(peer, source)
        async with closing(peer, source):
            await open_soon(peer, source)
            talk.send(items, end=end)
            try:
                yield talk
            finally:
                if talk.sending:
                    talk.sending.cancel()
                    await asyncio.wait({talk.sending}, timeout=peer.patience)


async def _send(peer: SourcePeer, items: Sequence[bytes], pause: float, end: bool) -> None:
    for item in items:
        await peer.send(item)
        await asyncio.sleep(pause)
    if end:
        await peer.end()
