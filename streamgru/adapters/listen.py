"""``tcp+listen://HOST:PORT`` and ``unix+listen:PATH``: clients connect, send records, get predictions back."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
from collections import deque
from pathlib import Path
from typing import Annotated

from streamgru.adapters.contract import Batch, Outcome, Source, Token
from streamgru.adapters.options import Options, option
from streamgru.adapters.uri import address
from streamgru.errors import AdapterError, EndOfStream, OptionError

CHUNK = 64 << 10  # bytes of one client that are stepped at a time
IN_HIGH_WATER = 256 << 10  # bytes of one client that wait to be stepped
OUT_HIGH_WATER = 256 << 10  # bytes that wait for one client to read them
# asyncio accepts so many in a row, and goes on, with a timer and a log entry for each, when there are no
# descriptors left; so its number is small, and the queue of the system is made longer afterwards.
ACCEPTED_AT_ONCE = 16
BACKLOG = 2048
SPARE_DESCRIPTORS = 32  # for everything that is no client


log = logging.getLogger("streamgru")


class ListenOptions(Options):
    """Options of a listener."""

    max_clients: Annotated[int, option("Connections at a time; one more is closed at once.", ge=1)] = 10_000
    write_timeout_s: Annotated[
        float, option("A client that reads nothing for so many seconds is disconnected.", gt=0)
    ] = 5.0


class Client(asyncio.Protocol):
    """One connection. What it sends waits here, within bounds, until the listener reads it."""

    def __init__(self, listener: ListenSource, origin: str) -> None:
        self._listener = listener
        self.origin = origin
        self.transport: asyncio.Transport | None = None
        self.pending: deque[bytes] = deque()
        self.n_pending = 0
        self.ended = False
        self.queued = False  # has its turn coming
        self.over = False  # the end of its input has been read
        self._paused = 0  # reasons not to read: pending input, unread output
        self._slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(OUT_HIGH_WATER)
        _hold_little(transport.get_extra_info("socket"))
        if not self._listener.admit(self):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self.pending.extend(data[i : i + CHUNK] for i in range(0, len(data), CHUNK))
        self.n_pending += len(data)
        if self.n_pending > IN_HIGH_WATER and not self._paused & 1:
            self._pause(1)
        self._listener.notice(self)

    def eof_received(self) -> bool:
        self.ended = True
        self._listener.notice(self)
        return True  # it may still read: the connection is closed when its last batch is acknowledged

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True
        self._paused = 0
        self._stop_clock()
        self._listener.notice(self)

    def pause_writing(self) -> None:
        # Who does not read gets nothing more to read: no input, hence no output, until it has.
        self._pause(2)
        self._start_clock()

    def resume_writing(self) -> None:
        if self.transport is not None and not self.transport.is_closing():  # else the rest has its time as well
            self._stop_clock()
        self._resume(2)
        self._listener.notice(self)

    @property
    def waits(self) -> bool:
        """Whether something is to be read from it, and it is fit to be answered."""
        return bool((self.pending or self.ended) and not self.over and not self._paused & 2)

    def take(self) -> bytes:
        """The oldest bytes that wait."""
        data = self.pending.popleft() if self.pending else b""
        self.n_pending -= len(data)
        if self.n_pending <= IN_HIGH_WATER // 2:
            self._resume(1)
        return data

    def drop(self) -> None:
        """Disconnect at once, without sending what waits."""
        if self.transport is not None:
            self.transport.abort()

    def leave(self) -> None:
        """Disconnect once it has read what waits for it, or has had the time to."""
        if self.transport is not None:
            self.transport.close()
            if self.transport.get_write_buffer_size():
                self._start_clock()

    def _start_clock(self) -> None:
        self._stop_clock()
        assert self.transport is not None
        timeout_s = self._listener.options.write_timeout_s
        unread = self.transport.get_write_buffer_size()
        self._slow = asyncio.get_running_loop().call_later(timeout_s, self._judge, unread)

    def _judge(self, unread: int) -> None:
        """Time is up: drop it unless it has read some of what was *unread* when the clock started."""
        if self.transport is not None and self.transport.get_write_buffer_size() < unread:
            self._start_clock()
        else:
            timeout_s = self._listener.options.write_timeout_s
            log.warning("%s: disconnected: it read nothing for %g s", self.origin, timeout_s)
            self.drop()

    def _stop_clock(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _pause(self, reason: int) -> None:
        if not self._paused and self.transport is not None:
            self.transport.pause_reading()
        self._paused |= reason

    def _resume(self, reason: int) -> None:
        if self._paused == reason and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
        self._paused &= ~reason


class ListenSource(Source[ListenOptions]):
    """Everybody who connects is an origin of its own; clients take turns."""

    options_type = ListenOptions
    answers = True
    listens = True

    def __init__(self, rest: str, options: ListenOptions) -> None:
        super().__init__(rest, options)
        self._server: asyncio.Server | None = None
        self._clients: dict[str, Client] = {}
        self._turns: deque[Client] = deque()  # clients with something to read, each once
        self._wake = asyncio.Event()
        self._n_accepted = 0
        self._closed = True
        self._full = False
        self._max_clients = min(options.max_clients, _descriptors() - SPARE_DESCRIPTORS)

    async def open(self) -> None:
        await self.close()
        self._wake = asyncio.Event()
        try:
            self._server = await self._listen()
            for listening in self._server.sockets:
                with socket.socket(fileno=os.dup(listening.fileno())) as same:
                    same.listen(BACKLOG)
        except OSError as error:
            raise AdapterError(f"{self._text()}: {reason(error)}") from None
        self._closed = False

    async def read(self) -> Batch:
        while True:
            while not self._turns:
                if self._closed:
                    raise EndOfStream(f"{self._text()}: closed")
                self._wake.clear()
                await self._wake.wait()
            client = self._turns.popleft()
            client.queued = False
            if client.waits:  # it may have fallen behind in reading meanwhile; it comes back by itself
                break
        data = client.take()
        if client.pending or not client.ended:
            self.notice(client)
            return Batch(client.origin, data)
        client.over = True
        return Batch(client.origin, data, Token(client.origin, 1), "cut")

    async def ack(self, token: Token, outcome: Outcome) -> None:
        client = self._clients.pop(token.partition, None)  # the last batch of a client: all its answers are written
        if client is not None:
            client.leave()

    async def reply(self, origin: str, data: bytes) -> None:
        client = self._clients.get(origin)
        if client is not None and client.transport is not None and not client.transport.is_closing():
            client.transport.write(data)

    async def close(self) -> None:
        self._closed = True
        self._wake.set()
        if self._server is not None:
            self._server.close()
            for client in self._clients.values():
                if client.transport is not None:
                    client.transport.close()
            self._server = None
            await asyncio.sleep(0)  # lets the transports give their descriptors back
        self._clients.clear()
        self._turns.clear()

    def admit(self, client: Client) -> bool:
        """Take a new client in, unless there are too many."""
        if len(self._clients) >= self._max_clients and not self._full:
            log.warning("%s: all %d connections are taken; more are turned away", self._text(), len(self._clients))
        self._full = len(self._clients) >= self._max_clients
        if self._full or self._closed:
            return False
        self._clients[client.origin] = client
        return True

    def notice(self, client: Client) -> None:
        """A client has something to read, or has ended."""
        if client.waits and not client.queued and client.origin in self._clients:
            client.queued = True
            self._turns.append(client)
            self._wake.set()

    def _client(self) -> Client:
        self._n_accepted += 1
        return Client(self, f"{self._text()}#{self._n_accepted}")

    async def _listen(self) -> asyncio.Server:
        raise NotImplementedError

    def _text(self) -> str:
        raise NotImplementedError


def _hold_little(connection: socket.socket) -> None:
    """Let the system keep little that is not sent: it would take megabytes before a slow reader shows."""
    if connection.family != socket.AF_UNIX and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, OUT_HIGH_WATER // 4)


def _descriptors() -> int:
    """How many descriptors this process may have."""
    try:
        import resource
    except ImportError:  # not on Windows
        return 512
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 20


def reason(error: OSError) -> str:
    """What the system says, without what asyncio wraps around it; a name that is not found has no errno above 0."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)


class TcpListenSource(ListenSource):
    """``tcp+listen://HOST:PORT``; port 0 takes a free one and announces it."""

    def __init__(self, rest: str, options: ListenOptions) -> None:
        address(rest, "tcp+listen")
        super().__init__(rest, options)

    async def _listen(self) -> asyncio.Server:
        host, port = address(self.rest, self._text())
        server = await asyncio.get_running_loop().create_server(self._client, host, port, backlog=ACCEPTED_AT_ONCE)
        self.announcement = "listening on " + ", ".join(
            "tcp://{}:{}".format(*listening.getsockname()[:2]) for listening in server.sockets
        )
        return server

    def _text(self) -> str:
        return f"tcp+listen:{self.rest}"


class UnixListenSource(ListenSource):
    """``unix+listen:PATH``; the socket is for its owner alone, and removed at the end."""

    def __init__(self, rest: str, options: ListenOptions) -> None:
        if not rest:
            raise OptionError("unix+listen: expected a path after the colon, got nothing")
        super().__init__(rest, options)

    async def _listen(self) -> asyncio.Server:
        self._remove_stale()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            before = os.umask(0o177)  # nobody else may connect, not even before a chmod
            try:
                listening.bind(self.rest)
            finally:
                os.umask(before)
            server = await asyncio.get_running_loop().create_unix_server(
                self._client, sock=listening, backlog=ACCEPTED_AT_ONCE
            )
        except BaseException:
            listening.close()
            raise
        self.announcement = f"listening on unix:{self.rest}"
        return server

    async def close(self) -> None:
        bound = self._server is not None
        await super().close()
        if bound:
            with contextlib.suppress(FileNotFoundError):
                Path(self.rest).unlink()

    def _remove_stale(self) -> None:
        """Remove a socket that nobody listens on any more; leave everything else alone."""
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(Path(self.rest).stat().st_mode):
                return
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.setblocking(False)  # a listener whose queue is full would keep us waiting
                try:
                    probe.connect(self.rest)
                except ConnectionRefusedError:
                    Path(self.rest).unlink()
                except BlockingIOError:
                    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)) from None

    def _text(self) -> str:
        return f"unix+listen:{self.rest}"
