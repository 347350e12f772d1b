"""Checks of a sink: what is written and flushed arrives, once and in order, or NotConnected is raised."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from streamgru.adapters.contract import Item, Sink
from streamgru.adapters.testing.harness import Check, ConformanceError, Footprint, check, nothing_left, within
from streamgru.adapters.testing.life import close, closing, open_soon, started
from streamgru.adapters.testing.memory import Memory, push
from streamgru.adapters.testing.payloads import first_difference, hostile, numbered
from streamgru.adapters.testing.peers import SinkPeer
from streamgru.errors import NotConnected

NewPeer = Callable[[], SinkPeer]


@contextlib.asynccontextmanager
async def session(peer: SinkPeer) -> AsyncIterator[Sink[Any]]:
    """Have an open sink."""
    async with started(peer):
        sink = peer.make()
        async with closing(peer, sink):
            await open_soon(peer, sink)
            yield sink


async def write(peer: SinkPeer, sink: Sink[Any], items: Sequence[bytes]) -> None:
    """Write and flush, in time."""
    await within(peer.patience, "write()", sink.write([Item("", "a", item) for item in items]))
    await within(peer.patience, "flush()", sink.flush())


async def arrived(peer: SinkPeer, sink: Sink[Any], items: Sequence[bytes], tail: bool = False) -> None:
    """Wait until just *items* have come at the peer; with *tail*, until they are the last that came."""
    deadline = time.monotonic() + peer.patience
    while True:
        came = await within(peer.patience, "the peer's received()", peer.received())
        if tail and sink.framing == "message":
            came = came[-len(items) :]
        elif tail:
            came = [b"".join(came)[-sum(map(len, items)) :]]
        difference = first_difference(items, came, sink.framing)
        if not difference:
            return
        if time.monotonic() > deadline:
            raise ConformanceError(f"at the peer: {difference}")
        await asyncio.sleep(0.01)


@check()
async def hostile_bytes_are_delivered(new_peer: NewPeer) -> None:
    """A sink carries bytes: NULs, broken UTF-8, line ends, nothing at all and 1 MiB are not its business."""
    peer = new_peer()
    async with session(peer) as sink:
        items = hostile(peer, sink.framing)
        for item in items:
            await write(peer, sink, [item])
        await arrived(peer, sink, items)


@check()
async def writes_arrive_once_in_order(new_peer: NewPeer) -> None:
    """Who reads the predictions counts them: none may be missing, come twice, or change places."""
    peer = new_peer()
    items = numbered(120)
    async with session(peer) as sink:
        for first in range(0, 60, 3):
            await write(peer, sink, items[first : first + 3])
        for item in items[60:]:
            await within(peer.patience, "write()", sink.write([Item("", "a", item)]))
        await within(peer.patience, "flush()", sink.flush())
        await arrived(peer, sink, items)
        await asyncio.sleep(0.05)
        await arrived(peer, sink, items)


@check()
async def flushed_survives_close(new_peer: NewPeer) -> None:
    """Inputs are acknowledged after flush(): what was flushed must arrive, even if the run ends right then."""
    peer = new_peer()
    items = [*numbered(10), bytes(min(peer.max_item, 1 << 18)), b"last\n"]
    async with session(peer) as sink:
        await write(peer, sink, items)
        await close(peer, sink)
        await arrived(peer, sink, items)


@check()
async def flush_without_writes(new_peer: NewPeer) -> None:
    """The pipeline flushes whenever its input has run dry, also when there was nothing to write."""
    peer = new_peer()
    async with session(peer) as sink:
        await within(peer.patience, "flush()", sink.flush())
        await write(peer, sink, [])
        await write(peer, sink, [b"only\n"])
        await within(peer.patience, "flush()", sink.flush())
        await arrived(peer, sink, [b"only\n"])


async def _write_until_noticed(peer: SinkPeer, sink: Sink[Any]) -> None:
    deadline = time.monotonic() + peer.patience
    while time.monotonic() < deadline:
        try:
            await write(peer, sink, [b"into the void\n"])
        except NotConnected:
            return
        await asyncio.sleep(0.01)
    raise ConformanceError(f"the peer has gone, but write() and flush() have worked for {peer.patience:g} s")


@check("vanish")
async def vanished_peer_is_noticed(new_peer: NewPeer) -> None:
    """A sink whose peer has died must raise NotConnected, or predictions are lost and inputs acknowledged."""
    peer = new_peer()
    async with session(peer) as sink:
        await write(peer, sink, [b"first\n"])
        await arrived(peer, sink, [b"first\n"])
        await within(peer.patience, "the peer's vanish()", peer.vanish())
        await _write_until_noticed(peer, sink)


@check("vanish", "reopens")
async def opens_again_after_vanishing(new_peer: NewPeer) -> None:
    """Brokers restart and cables are pulled: after NotConnected, open() and the same list must get through."""
    peer = new_peer()
    async with session(peer) as sink:
        for item in (b"one\n", b"two\n"):
            await _come_and_go(peer, sink, item)


async def _come_and_go(peer: SinkPeer, sink: Sink[Any], item: bytes) -> None:
    await within(peer.patience, "the peer's vanish()", peer.vanish())
    await _write_until_noticed(peer, sink)
    await within(peer.patience, "the peer's start()", peer.start())
    await open_soon(peer, sink)
    await write(peer, sink, [item, b"again\n"])
    await arrived(peer, sink, [item, b"again\n"], tail=True)


@check("stall")
async def stalled_peer_costs_no_memory(new_peer: NewPeer) -> None:
    """Memory is bounded by settings, not by peers: one that stops reading must make write() or flush() wait."""
    peer = new_peer()
    async with session(peer) as sink:
        await write(peer, sink, [b"first\n"])
        await within(peer.patience, "the peer's stall()", peer.stall())
        size = min(peer.max_item, 1 << 16)

        async def once() -> None:
            await sink.write([Item("", "a", bytes(size))])
            await sink.flush()

        with Memory() as memory:
            pushed = await push(peer, once, peer.flood // size)
            memory.check(peer.max_buffered, f"{pushed * size >> 20} MiB written and none taken")
        await close(peer, sink)


@check()
async def close_gives_everything_back(new_peer: NewPeer) -> None:
    """A run opens and closes adapters for years: each descriptor, thread or task that stays is a leak."""
    for round_ in range(2):  # the first is for what a library opens once
        peer = new_peer()
        before = Footprint.now()
        async with session(peer) as sink:
            await write(peer, sink, [b"first\n"])
            if peer.has("vanish") and peer.reopens:
                await _come_and_go(peer, sink, b"second\n")
            await close(peer, sink)
        if round_:
            await nothing_left(before, peer.patience, "close()")


SINKS: list[Check[Any]] = [
    hostile_bytes_are_delivered,
    writes_arrive_once_in_order,
    flushed_survives_close,
    flush_without_writes,
    vanished_peer_is_noticed,
    opens_again_after_vanishing,
    stalled_peer_costs_no_memory,
    close_gives_everything_back,
]
