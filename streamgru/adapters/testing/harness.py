"""Running a check: time-outs that hold even if the event loop is blocked, and the footprint of an adapter."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import traceback
import unittest
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from streamgru.adapters.testing.peers import Peer

T = TypeVar("T")
PeerT = TypeVar("PeerT", bound=Peer)


class ConformanceError(AssertionError):
    """An adapter does not do what the contract says."""


class Check(Generic[PeerT]):
    """One check: called with a factory of peers, it returns or raises.

    Parameters
    ----------
    scenario : coroutine function
        Takes the factory; its name is the check's, its docstring tells why it matters.
    needs : tuple of str
        Parts and flags of the peer without which the check makes no sense.
    """

    def __init__(
        self, scenario: Callable[[Callable[[], PeerT]], Coroutine[Any, Any, None]], needs: tuple[str, ...] = ()
    ) -> None:
        self.__name__ = scenario.__name__
        self.__doc__ = scenario.__doc__
        self._scenario = scenario
        self._needs = needs

    def __repr__(self) -> str:
        return f"<check {self.__name__}>"

    def missing(self, peer_type: type[Peer]) -> str:
        """Give the first part that the check needs and such a peer has not; empty if it has all."""
        return next((part for part in self._needs if not peer_type.has(part)), "")

    def __call__(self, new_peer: Callable[[], PeerT]) -> None:
        """Run the check.

        Parameters
        ----------
        new_peer : callable
            Gives a new peer at each call.

        Raises
        ------
        ConformanceError
            If the adapter fails it, in whatever way.
        unittest.SkipTest
            If the peer lacks an optional part that it needs.
        """
        peer = new_peer()
        missing = self.missing(type(peer))
        if missing:
            raise unittest.SkipTest(f"{self.__name__}: {type(peer).__name__} has no {missing}")
        try:
            _run(lambda: self._scenario(new_peer), peer.patience)
        except ConformanceError as error:
            raise ConformanceError(f"{self.__name__}: {error}\n{self.__doc__}") from error
        except Exception as error:
            seen = f"unexpected {type(error).__name__}: {error}"
            raise ConformanceError(f"{self.__name__}: {seen}\n{self.__doc__}") from error


def check(
    *needs: str,
) -> Callable[[Callable[[Callable[[], PeerT]], Coroutine[Any, Any, None]]], Check[PeerT]]:
    """Make a check of a coroutine function."""
    return lambda scenario: Check(scenario, needs)


async def within(seconds: float, what: str, awaitable: Awaitable[T]) -> T:
    """Wait for something that has to end in time, even if it ignores being cancelled."""
    task = asyncio.ensure_future(awaitable)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        task.cancel()
    if not done:
        raise ConformanceError(f"{what} has not returned after {seconds:g} s")
    if task.cancelled():
        raise ConformanceError(f"{what} ended with CancelledError, though nobody cancelled it")
    return task.result()


class Footprint(NamedTuple):
    """What this process has open."""

    descriptors: set[str]
    threads: set[threading.Thread]
    tasks: set[asyncio.Task[Any]]

    @classmethod
    def now(cls) -> Footprint:
        """Look: descriptors (on Linux only), threads but those of asyncio's own pool, tasks."""
        descriptors = set()
        for path in Path("/proc/self/fd").glob("*"):
            try:
                descriptors.add(f"{path.name} -> {os.readlink(path)}")  # noqa: PTH115  a socket is no path
            except OSError:
                continue  # that of the listing itself
        threads = {thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}
        return cls(descriptors, threads, asyncio.all_tasks())

    def left(self, before: Footprint) -> list[str]:
        """Name what is there now and was not there before."""
        return [
            *(f"descriptor {item}" for item in sorted(self.descriptors - before.descriptors)),
            *(f"thread {thread.name!r}" for thread in self.threads - before.threads),
            *(f"task {task.get_coro()!r}" for task in self.tasks - before.tasks if not task.done()),
        ]


async def nothing_left(before: Footprint, seconds: float, after_what: str) -> None:
    """Wait until all that was opened since *before* has gone."""
    deadline = time.monotonic() + seconds
    while left := Footprint.now().left(before):
        if time.monotonic() > deadline:
            raise ConformanceError(f"after {after_what} there is still: {'; '.join(left)}")
        await asyncio.sleep(0.01)


def _run(scenario: Callable[[], Coroutine[Any, Any, None]], patience: float) -> None:
    """Run on an event loop in a thread of its own, so that a blocked loop is noticed."""
    failures: list[BaseException] = []
    beat = [time.monotonic()]

    async def beating() -> None:
        while True:
            beat[0] = time.monotonic()
            await asyncio.sleep(0.02)

    async def main() -> None:
        heart = asyncio.create_task(beating())
        try:
            await scenario()
        except BaseException as error:
            failures.append(error)
        heart.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="conformance", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.02)
        if time.monotonic() - beat[0] > patience:
            break
    if failures:
        raise failures[0]
    if thread.is_alive():
        frame = sys._current_frames().get(thread.ident or 0)
        where = "".join(traceback.format_stack(frame, 30)[-4:]) if frame else ""
        raise ConformanceError(f"the event loop has been blocked for {patience:g} s, in\n{where}")
