"""Bridges between the event loop and libraries that call back from, or block in, threads of their own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, Literal, TypeVar

from streamgru.errors import EndOfStream

T = TypeVar("T")
Overflow = Literal["block", "drop_oldest", "drop_newest", "latest"]


class Inbox(Generic[T]):
    """A bounded queue from any thread to the one task that reads it.

    Parameters
    ----------
    capacity : int
        What it holds at the most; ``latest`` holds one.
    overflow : {"block", "drop_oldest", "drop_newest", "latest"}
        What happens to an item that comes when it is full. ``block`` makes :meth:`put` wait, which
        holds up the thread that calls it: right for a library's own thread, wrong for the loop's.

    Attributes
    ----------
    dropped : int
        Items that were lost to a full queue.
    """

    def __init__(self, capacity: int = 1024, overflow: Overflow = "block") -> None:
        self.dropped = 0
        self._capacity = 1 if overflow == "latest" else capacity
        self._overflow = overflow
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = asyncio.Event()
        self._waking = False  # a wake-up is under way: one is enough, however many items come meanwhile
        self._failure: BaseException | None = None

    def bind(self) -> None:
        """Belong to the running loop, empty and without failure; called when the adapter opens."""
        self._loop = asyncio.get_running_loop()
        with self._changed:
            self._items.clear()
            self._failure = None
            self._ready = asyncio.Event()
            self._waking = False
            self._changed.notify_all()

    def put(self, item: T) -> bool:
        """Add an item, from any thread; False if it was dropped or the inbox has failed."""
        with self._changed:
            while len(self._items) >= self._capacity and self._failure is None:
                if self._overflow == "block":
                    self._changed.wait()
                    continue
                self.dropped += 1
                if self._overflow == "drop_newest":
                    return False
                self._items.popleft()
            if self._failure is not None:
                return False
            self._items.append(item)
        self._wake()
        return True

    def fail(self, failure: BaseException) -> None:
        """Make :meth:`get` raise *failure* once what is queued has been read; wakes blocked puts."""
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()
        self._wake()

    def close(self) -> None:
        """Forget what is queued and end with EndOfStream; wakes a waiting get."""
        with self._changed:
            self._items.clear()
            self._failure = EndOfStream("the source was closed")
            self._changed.notify_all()
        self._wake()

    async def get(self) -> T:
        """Wait for the next item. Cancelling it loses nothing."""
        while True:
            with self._changed:
                if self._items:
                    item = self._items.popleft()
                    self._changed.notify()
                    return item
                if self._failure is not None:
                    raise self._failure
                self._ready.clear()
            await self._ready.wait()

    def _wake(self) -> None:
        with self._changed:
            if self._loop is None or self._waking:
                return
            self._waking = True
        with contextlib.suppress(RuntimeError):  # the loop has just closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._woken)

    def _woken(self) -> None:
        with self._changed:
            self._waking = False
        self._ready.set()


class OneThread:
    """One owned thread in which a blocking library is called, one call after the other.

    For calls that open, write or close. A blocking *read* belongs into a :class:`Pump`: when the
    wait for a call is cancelled, the call itself goes on and its result is lost.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"streamgru-{name}")

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a blocking function there and wait for its result."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def close(self) -> None:
        """Wait for the call under way and end the thread; first unblock it by the library's own means."""
        await asyncio.to_thread(self._pool.shutdown)


class Pump(Generic[T]):
    """One owned thread that calls a blocking *read* again and again and puts what comes into *inbox*.

    *read* gives None when nothing has come for a while, so that :meth:`stop` is noticed; what it
    raises reaches the reader of the inbox, after everything that came before.
    """

    def __init__(self, name: str, read: Callable[[], T | None], inbox: Inbox[T]) -> None:
        self._read = read
        self._inbox = inbox
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"streamgru-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def stop(self) -> None:
        """End the thread, as soon as *read* returns, and close the inbox."""
        self._stopping.set()
        self._inbox.close()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                item = self._read()
            except BaseException as error:
                self._inbox.fail(error)
                return
            if item is not None:
                self._inbox.put(item)
