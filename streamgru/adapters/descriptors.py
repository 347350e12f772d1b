"""Reading and writing file descriptors without holding up the event loop."""

from __future__ import annotations

import asyncio
import os
import select
import stat
from collections.abc import Callable

from streamgru.errors import EndOfStream

CHUNK = 1 << 16
# A pipe that polls as writable takes this much without blocking, whatever its mode (pipe(7)).
PIPE_BUF = getattr(select, "PIPE_BUF", 512)


class Descriptor:
    """A descriptor that is waited for where the system can wait (pipes, sockets, terminals).

    A regular file is always ready; reading and writing it goes straight to the system. The
    descriptor's own mode (O_NONBLOCK) is left alone: other processes may share it.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        mode = os.fstat(fd).st_mode
        self._is_file = stat.S_ISREG(mode) or not _pollable(fd)
        self._waiting: asyncio.Future[None] | None = None
        self._stop_waiting: Callable[[int], bool] | None = None
        self._closed = False

    async def read(self) -> bytes:
        """Up to CHUNK bytes as soon as there are any; nothing at the end. Cancelling it loses nothing."""
        await self._ready(select.POLLIN)
        return os.read(self.fd, CHUNK)

    async def write(self, data: bytes) -> None:
        """Write all of *data*."""
        view = memoryview(data)
        while view:
            await self._ready(select.POLLOUT)
            view = view[os.write(self.fd, view if self._is_file else view[:PIPE_BUF]) :]

    def wake(self) -> None:
        """End a wait with EndOfStream, and every later one."""
        self._closed = True
        if self._stop_waiting is not None:
            self._stop_waiting(self.fd)  # now: the descriptor may be closed, and its number used again, at once
            self._stop_waiting = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(EndOfStream("the descriptor was closed"))

    async def _ready(self, event: int) -> None:
        if self._closed:
            raise EndOfStream("the descriptor was closed")
        if self._is_file:
            await asyncio.sleep(0)  # so that a long file does not keep the loop from anything else
            return
        poll = select.poll()
        poll.register(self.fd, event)
        if poll.poll(0):
            return
        loop = asyncio.get_running_loop()
        add, remove = (
            (loop.add_reader, loop.remove_reader) if event == select.POLLIN else (loop.add_writer, loop.remove_writer)
        )
        self._waiting, self._stop_waiting = loop.create_future(), remove
        try:
            add(self.fd, _resolve, self._waiting)
            await self._waiting
        finally:
            if self._stop_waiting is not None:
                self._stop_waiting(self.fd)
            self._waiting = self._stop_waiting = None


def _resolve(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _pollable(fd: int) -> bool:
    """Whether epoll takes it: it refuses regular files and devices such as /dev/null."""
    if not hasattr(select, "epoll"):
        return True
    with select.epoll() as epoll:
        try:
            epoll.register(fd)
        except PermissionError:
            return False
    return True
