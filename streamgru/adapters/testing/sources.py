"""Checks of a source: what it reads, how it ends, and what it owes when it is cancelled or flooded."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Any

from streamgru.adapters.contract import Outcome, Token
from streamgru.adapters.testing.harness import Check, ConformanceError, Footprint, check, nothing_left, within
from streamgru.adapters.testing.life import close
from streamgru.adapters.testing.memory import Memory, push
from streamgru.adapters.testing.payloads import first_difference, hostile, numbered
from streamgru.adapters.testing.peers import SourcePeer
from streamgru.adapters.testing.sessions import Session, session
from streamgru.errors import EndOfStream, NotConnected

NewPeer = Callable[[], SourcePeer]


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
    items = numbered(100)
    async with session(new_peer(), items) as talk:
        await talk.expect(items)


@check("live")
async def every_split_arrives(new_peer: NewPeer) -> None:
    """Networks cut bytes anywhere: one payload, cut at every place, must always be the same bytes."""
    payload = b'{"id": "\xc3\xa9", "x": [1.5, -2]}\r\n\x00\xff\n'
    async with session(new_peer()) as talk:
        for cut in range(1, len(payload)):
            for piece in (payload[:cut], payload[cut:]):
                talk.send([piece])
                await talk.expect([piece])


@check()
async def cancelled_read_loses_nothing(new_peer: NewPeer) -> None:
    """The pipeline cancels reads when a tick is due or a run drains: what was under way must come later."""
    peer = new_peer()
    items = numbered(150)
    dice = random.Random(7)
    got: list[bytes] = []
    async with session(peer, () if peer.live else items) as talk:
        talk.send(items, pause=0.001)
        deadline = time.monotonic() + peer.patience
        while not talk.complete(items, got):
            if time.monotonic() > deadline:
                raise ConformanceError(f"with reads that are cancelled, {talk.progress(items, got)}")
            reading = asyncio.create_task(talk.source.read())
            for _ in range(dice.randrange(4)):
                await asyncio.sleep(dice.choice((0, 0, 0.001)))
            reading.cancel()
            await asyncio.wait({reading}, timeout=peer.patience)
            if not reading.done():
                raise ConformanceError("read() does not end when it is cancelled")
            if not reading.cancelled():
                talk.add(got, talk.well_formed(reading.result()))
        talk.compare(items, got)


@check("live")
async def close_wakes_read(new_peer: NewPeer) -> None:
    """A run that is told to stop closes its sources: a read that waits must then end with EndOfStream."""
    peer = new_peer()
    async with session(peer) as talk:
        talk.send([b"first\n"])
        await talk.expect([b"first\n"])
        reading = asyncio.create_task(talk.source.read())
        await asyncio.sleep(0.05)
        await close(peer, talk.source)
        with contextlib.suppress(EndOfStream):
            batch = await within(peer.patience, "read(), with the source closed,", reading)
            raise ConformanceError(f"expected EndOfStream, got {batch!r:.200}")


@check()
async def read_after_close_ends(new_peer: NewPeer) -> None:
    """A task that comes to read just after the source was closed must end as well, not wait for ever."""
    peer = new_peer()
    items = [b"unread\n"]
    async with session(peer, items) as talk:
        await close(peer, talk.source)
        for _ in range(2):
            with contextlib.suppress(EndOfStream):
                batch = await talk.read()
                raise ConformanceError(f"expected EndOfStream, got {batch!r:.200}")


@check("live")
async def waiting_leaves_the_loop_free(new_peer: NewPeer) -> None:
    """All streams share one event loop: a read that waits, or works in turns, must not hold it up."""
    peer = new_peer()
    async with session(peer) as talk:
        reading = asyncio.create_task(talk.source.read())
        slowest = 0.0
        for _ in range(20):
            start = time.monotonic()
            await asyncio.sleep(0.005)
            slowest = max(slowest, time.monotonic() - start)
        talk.send([b"now\n"])
        batch = talk.well_formed(await within(peer.patience, "read()", reading))
        if slowest > 0.5 * peer.patience:
            raise ConformanceError(f"while read() waited, nothing else ran for {slowest:.2f} s")
        if not batch.data:
            raise ConformanceError(f"expected data, got {batch!r}")


@check("end")
async def end_comes_after_all_data(new_peer: NewPeer) -> None:
    """What ends cleanly must be told so, by an end of the origin or EndOfStream, and behind its last byte."""
    items = numbered(30)
    async with session(new_peer(), items, end=True) as talk:
        await talk.expect(items)
        await talk.until_gone()


@check("vanish")
async def vanished_peer_is_noticed(new_peer: NewPeer) -> None:
    """A peer that dies while read waits must be told of: NotConnected, EndOfStream or an end of the origin."""
    peer = new_peer()
    async with session(peer) as talk:
        talk.send([b"first\n"])
        await talk.expect([b"first\n"])
        reading = asyncio.create_task(talk.source.read())
        await asyncio.sleep(0.02)
        await within(peer.patience, "the peer's vanish()", peer.vanish())
        with contextlib.suppress(NotConnected, EndOfStream):
            batch = talk.well_formed(await within(peer.patience, "read(), with the peer gone,", reading))
            if batch.data:
                raise ConformanceError(f"expected no more data, got {batch!r:.200}")
            await talk.until_gone()


@check("vanish", "reopens")
async def opens_again_after_vanishing(new_peer: NewPeer) -> None:
    """Brokers restart and cables are pulled: after NotConnected, open() must bring the data back."""
    peer = new_peer()
    async with session(peer) as talk:
        for round_ in (b"one\n", b"two\n", b"three\n"):
            talk.send([round_])
            await talk.expect([round_])
            await within(peer.patience, "the peer's vanish()", peer.vanish())
            if not await talk.back():
                return


@check()
async def ack_takes_every_outcome(new_peer: NewPeer) -> None:
    """Acknowledgements come late, twice, or for a connection that has gone: none may fail or block."""
    peer = new_peer()
    items = [b"first\n"]
    async with session(peer, items) as talk:
        batch = await talk.expect(items)
        for token in (batch.token, batch.token, Token("nowhere", 1 << 62), Token()):
            for outcome in Outcome:
                await within(peer.patience, f"ack({token}, {outcome})", talk.source.ack(token, outcome))
        if peer.live:
            talk.send([b"second\n"])
            await talk.expect([b"second\n"])


@check("received")
async def replies_reach_their_origin(new_peer: NewPeer) -> None:
    """Answers go back to whoever asked, in order; those for somebody who has left go nowhere, silently."""
    peer = new_peer()
    async with session(peer) as talk:
        talk.send([b"question\n"])
        origin = (await talk.expect([b"question\n"])).origin
        answers = numbered(20)
        for answer in answers:
            await within(peer.patience, "reply()", talk.source.reply(origin, answer))
            await within(peer.patience, "reply() to nobody", talk.source.reply("nobody of this name", b"lost\n"))
        deadline = time.monotonic() + peer.patience
        while True:
            difference = first_difference(answers, await peer.received(), talk.source.framing)
            if not difference:
                return
            if time.monotonic() > deadline:
                raise ConformanceError(difference)
            await asyncio.sleep(0.01)


@check("live")
async def flood_is_bounded(new_peer: NewPeer) -> None:
    """Memory is bounded by settings, not by peers: one that sends faster than we read must wait or lose."""
    peer = new_peer()
    async with session(peer) as talk:
        talk.send([b"first\n"])
        await talk.expect([b"first\n"])
        size = min(peer.max_item, 1 << 10 if talk.source.framing == "message" else 1 << 16)
        with Memory() as memory:
            pushed = await push(peer, lambda: peer.send(bytes(size)), peer.flood // size)
            memory.check(peer.max_buffered, f"{pushed * size >> 20} MiB sent and none read")
        await talk.read()
        await close(peer, talk.source)


@check()
async def close_gives_everything_back(new_peer: NewPeer) -> None:
    """A run opens and closes adapters for years: each descriptor, thread or task that stays is a leak."""
    for round_ in range(2):  # the first is for what a library opens once
        peer = new_peer()
        before = Footprint.now()
        async with session(peer, [b"first\n"]) as talk:
            await talk.expect([b"first\n"])
            await _come_and_go(talk)
            reading = asyncio.create_task(talk.source.read())
            await asyncio.sleep(0.01)
            await close(peer, talk.source)
            await asyncio.wait({reading}, timeout=peer.patience)
            reading.cancelled() or reading.exception()
        if round_:
            await nothing_left(before, peer.patience, "close()")


async def _come_and_go(talk: Session) -> None:
    peer = talk.peer
    for item in (b"second\n", b"third\n"):
        if not (peer.live and peer.has("vanish") and peer.reopens):
            return
        await peer.vanish()
        if not await talk.back():
            return
        talk.send([item])
        await talk.expect([item])


SOURCES: list[Check[Any]] = [
    hostile_bytes_arrive_untouched,
    order_is_kept,
    every_split_arrives,
    cancelled_read_loses_nothing,
    close_wakes_read,
    read_after_close_ends,
    waiting_leaves_the_loop_free,
    end_comes_after_all_data,
    vanished_peer_is_noticed,
    opens_again_after_vanishing,
    ack_takes_every_outcome,
    replies_reach_their_origin,
    flood_is_bounded,
    close_gives_everything_back,
]
