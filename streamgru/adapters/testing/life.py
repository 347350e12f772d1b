"""Checks that sources and sinks share: the class itself, constructing, opening and closing."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
import time
import tomllib
from collections.abc import AsyncIterator, Callable
from typing import Any

from streamgru.adapters.contract import Adapter
from streamgru.adapters.options import Options, describe, sample
from streamgru.adapters.testing.harness import Check, ConformanceError, Footprint, check, nothing_left, within
from streamgru.adapters.testing.peers import Peer
from streamgru.errors import NotConnected

NewPeer = Callable[[], Peer]


async def open_soon(peer: Peer, adapter: Adapter[Any]) -> None:
    """Open as the pipeline does: again and again while it raises NotConnected."""
    deadline = time.monotonic() + peer.patience
    while True:
        try:
            return await within(peer.patience, "open()", adapter.open())
        except NotConnected as error:
            if time.monotonic() > deadline:
                raise ConformanceError(f"open() with a peer there still raises NotConnected: {error}") from error
            await asyncio.sleep(0.02)


async def close(peer: Peer, adapter: Adapter[Any]) -> None:
    """Close, in time."""
    await within(peer.patience, "close()", adapter.close())


@contextlib.asynccontextmanager
async def started(peer: Peer) -> AsyncIterator[None]:
    """Have the peer up."""
    try:
        await within(peer.patience, "the peer's start()", peer.start())
        yield
    finally:
        await within(peer.patience, "the peer's stop()", peer.stop())


@contextlib.asynccontextmanager
async def closing(peer: Peer, adapter: Adapter[Any]) -> AsyncIterator[None]:
    """Close the adapter in the end; a failure of the body is not hidden by one of the closing."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            await close(peer, adapter)
        raise
    await close(peer, adapter)


@check()
async def class_is_documented(new_peer: NewPeer) -> None:
    """Help pages and the list of plugins are made of docstrings: the class and its options need one."""
    adapter = new_peer().make()
    cls = type(adapter)
    if not (cls.__doc__ or "").strip():
        raise ConformanceError(f"{cls.__name__} has no docstring")
    if adapter.framing not in ("stream", "message"):
        raise ConformanceError(f"{cls.__name__}.framing: expected 'stream' or 'message', got {adapter.framing!r}")
    if not (inspect.isclass(cls.options_type) and issubclass(cls.options_type, Options)):
        raise ConformanceError(f"{cls.__name__}.options_type: expected a class of Options, got {cls.options_type!r}")
    if not (cls.options_type.__doc__ or "").strip():
        raise ConformanceError(f"{cls.options_type.__name__} has no docstring")


@check()
async def options_are_described(new_peer: NewPeer) -> None:
    """Help, sample file and tables are made of the options: each needs a sentence that tells what it does."""
    options_type = type(new_peer().make()).options_type
    silent = [item.name for item in describe(options_type) if not item.description.strip()]
    if silent:
        raise ConformanceError(f"without a description: {', '.join(silent)}; write Annotated[type, option('...')]")


@check()
async def sample_is_toml(new_peer: NewPeer) -> None:
    """The sample file is what users copy: it must be TOML, as it is and with its comments taken away."""
    options_type = type(new_peer().make()).options_type
    text = sample(options_type)
    names = [item.name for item in describe(options_type)]
    required = [item.name for item in describe(options_type) if item.default == "required"]
    for content, expected in ((text, required), (re.sub(r"(?m)^# ", "", text), names)):
        try:
            parsed = tomllib.loads(content)
        except tomllib.TOMLDecodeError as error:
            raise ConformanceError(f"not TOML: {error}\n{content}") from error
        if not set(expected) <= set(parsed) <= set(names):
            raise ConformanceError(f"expected the options {expected}, the sample has {sorted(parsed)}")


@check()
async def constructing_opens_nothing(new_peer: NewPeer) -> None:
    """Constructing only checks options: it must work without the peer, and open no descriptor, thread or task."""
    new_peer().make()  # what a library opens once, at import, is not the adapter's
    peer = new_peer()
    before = Footprint.now()
    adapter = peer.make()
    left = Footprint.now().left(before)
    if left:
        with contextlib.suppress(Exception):
            await close(peer, adapter)
        raise ConformanceError(f"constructing has opened: {'; '.join(left)}")


@check()
async def closes_unopened(new_peer: NewPeer) -> None:
    """A run may end before an adapter was opened: close() must take that, also twice."""
    peer = new_peer()
    before = Footprint.now()
    adapter = peer.make()
    await close(peer, adapter)
    await close(peer, adapter)
    await nothing_left(before, peer.patience, "close()")


@check()
async def closes_twice(new_peer: NewPeer) -> None:
    """A stop and an error may both close an adapter: the second time must do nothing."""
    peer = new_peer()
    async with started(peer):
        adapter = peer.make()
        await open_soon(peer, adapter)
        await close(peer, adapter)
        await close(peer, adapter)


@check("connects")
async def open_without_peer_is_not_connected(new_peer: NewPeer) -> None:
    """A peer that is away must be NotConnected: that is tried again, any other error ends the run."""
    peer = new_peer()
    before = Footprint.now()
    adapter = peer.make()
    async with closing(peer, adapter):
        for _ in range(3):
            try:
                await within(peer.patience, "open() without a peer", adapter.open())
            except NotConnected:
                continue
            except Exception as error:
                seen = f"{type(error).__name__}: {error}"
                raise ConformanceError(f"open() without a peer: expected NotConnected, got {seen}") from error
            raise ConformanceError("open() without a peer: expected NotConnected, but it returned")
    await nothing_left(before, peer.patience, "failed open() and close()")


@check("connects")
async def opens_once_the_peer_is_there(new_peer: NewPeer) -> None:
    """A sensor or broker that boots later than we do: opening that failed must work later."""
    peer = new_peer()
    adapter = peer.make()
    async with closing(peer, adapter):
        with contextlib.suppress(NotConnected):
            await within(peer.patience, "open() without a peer", adapter.open())
        async with started(peer):
            await open_soon(peer, adapter)
            await close(peer, adapter)


@check()
async def cancelled_open_leaves_nothing(new_peer: NewPeer) -> None:
    """A run may be stopped while it connects: close() must then give back what was half open."""
    for turns in (1, 1, 2, 3, 5, 8):  # the first is for what a library opens once
        peer = new_peer()
        before = Footprint.now()
        async with started(peer):
            adapter = peer.make()
            opening = asyncio.create_task(adapter.open())
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait({opening}, timeout=peer.patience)
            if not opening.done():
                raise ConformanceError("open() does not end when it is cancelled")
            await close(peer, adapter)
        if turns > 1:
            await nothing_left(before, peer.patience, "a cancelled open() and close()")


LIFE: list[Check[Any]] = [
    class_is_documented,
    options_are_described,
    sample_is_toml,
    constructing_opens_nothing,
    closes_unopened,
    closes_twice,
    open_without_peer_is_not_connected,
    opens_once_the_peer_is_there,
    cancelled_open_leaves_nothing,
]
