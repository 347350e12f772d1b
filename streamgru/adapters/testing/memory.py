"""Pushing until the other side takes no more, and what that costs in memory."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Awaitable, Callable

from streamgru.adapters.testing.harness import ConformanceError
from streamgru.adapters.testing.peers import Peer


class Memory:
    """Bytes that Python objects have taken since it was entered."""

    def __enter__(self) -> Memory:
        self._was_tracing = tracemalloc.is_tracing()
        if not self._was_tracing:
            tracemalloc.start()
        gc.collect()
        self._before = tracemalloc.get_traced_memory()[0]
        return self

    def __exit__(self, *_: object) -> None:
        if not self._was_tracing:
            tracemalloc.stop()

    def check(self, limit: int, after_what: str) -> None:
        """Raise ConformanceError if more than *limit* bytes are held."""
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - self._before
        if held > limit:
            allowed = f"{limit / 2**20:.1f} are allowed"
            raise ConformanceError(f"after {after_what}, {held / 2**20:.1f} MiB are held; {allowed}")


async def push(peer: Peer, once: Callable[[], Awaitable[None]], times: int) -> int:
    """Do *once* again and again until it waits for more than a moment; gives how often it was done.

    A source or sink that takes everything is given at most the peer's patience.
    """
    done = 0

    async def some() -> None:
        nonlocal done
        for _ in range(min(16, times - done)):
            await once()
            done += 1
        await asyncio.sleep(0)  # let the adapter take it in

    deadline = time.monotonic() + 0.8 * peer.patience
    while done < times and time.monotonic() < deadline:
        pushing = asyncio.create_task(some())
        await asyncio.wait({pushing}, timeout=min(0.5, 0.5 * peer.patience))
        if not pushing.done():
            pushing.cancel()
            await asyncio.wait({pushing}, timeout=peer.patience)
            return done
        pushing.result()
    return done
