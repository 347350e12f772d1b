"""``tcp://HOST:PORT`` and ``unix:PATH``: connecting to somebody who listens."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Any

from streamgru.adapters.contract import Batch, Item, Sink, Source
from streamgru.adapters.options import Options, option
from streamgru.adapters.uri import address
from streamgru.errors import EndOfStream, NotConnected, OptionError

CHUNK = 1 << 16


class ConnectOptions(Options):
    """Options of a connecting sink."""

    connect_timeout_s: Annotated[float, option("Seconds to wait for a connection.", gt=0)] = 10.0


class ConnectSourceOptions(ConnectOptions):
    """Options of a connecting source."""

    reconnect: Annotated[bool, option("Connect again when the other side ends the connection.")] = False


class Connector:
    """How a connection is made; mixed into source and sink."""

    rest: str
    options: Any
    _writer: asyncio.StreamWriter | None = None

    async def _connect(self) -> asyncio.StreamReader:
        """Connect afresh and set the writer; NotConnected if nobody is there."""
        await self._disconnect()
        try:
            async with asyncio.timeout(self.options.connect_timeout_s):
                reader, self._writer = await self._dial()
        except TimeoutError:
            raise NotConnected(f"{self._text()}: no answer within {self.options.connect_timeout_s:g} s") from None
        except OSError as error:
            raise NotConnected(f"{self._text()}: {error.strerror or error}") from None
        # drain() then returns when everything has been handed to the system, which is what flush means
        self._writer.transport.set_write_buffer_limits(0)
        return reader

    async def _disconnect(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()  # what was flushed has left; the rest may have nobody who ever takes it
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _send(self, data: bytes) -> None:
        if self._writer is None:
            raise NotConnected(f"{self._text()}: not connected")
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise NotConnected(f"{self._text()}: {error.strerror or error}") from None

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        raise NotImplementedError

    def _text(self) -> str:
        raise NotImplementedError


class TcpConnector(Connector):
    """By host and port."""

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = address(self.rest, self._text())
        return await asyncio.open_connection(host, port, limit=CHUNK)

    def _text(self) -> str:
        return f"tcp:{self.rest}"


class UnixConnector(Connector):
    """By the path of a Unix socket."""

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.rest, limit=CHUNK)

    def _text(self) -> str:
        return f"unix:{self.rest}"


class ConnectSource(Connector, Source[ConnectSourceOptions]):
    """A stream of bytes from somebody who listens; answers go back on the same connection."""

    options_type = ConnectSourceOptions
    answers = True
    _reader: asyncio.StreamReader | None = None
    _n_connected = 0
    _ended = False
    _closed = False

    async def open(self) -> None:
        self._reader = await self._connect()
        self._n_connected += 1
        self._ended = self._closed = False

    async def read(self) -> Batch:
        if self._reader is None or self._closed:
            raise EndOfStream(f"{self._text()}: not open")
        if self._ended:
            if self.options.reconnect:
                raise NotConnected(f"{self._text()}: the other side ended the connection")
            raise EndOfStream(f"{self._text()}: the other side ended the connection")
        try:
            data = await self._reader.read(CHUNK)
        except OSError:
            data = b""
        if self._closed:
            raise EndOfStream(f"{self._text()}: closed")
        self._ended = not data
        return Batch(self._origin(), data, end="" if data else "cut")

    async def reply(self, origin: str, data: bytes) -> None:
        if origin == self._origin():  # not that of an earlier connection, whose answers come too late
            with contextlib.suppress(NotConnected):
                await self._send(data)

    async def close(self) -> None:
        self._closed = True
        if self._reader is not None:
            self._reader.feed_eof()  # wakes a read that waits
        await self._disconnect()

    def _origin(self) -> str:
        return f"{self._text()}#{self._n_connected}"


class ConnectSink(Connector, Sink[ConnectOptions]):
    """A stream of bytes to somebody who listens."""

    options_type = ConnectOptions

    async def open(self) -> None:
        await self._connect()

    async def write(self, items: list[Item]) -> None:
        await self._send(b"".join(item.data for item in items))

    async def flush(self) -> None:
        await self._send(b"")

    async def close(self) -> None:
        await self._disconnect()


class TcpSource(TcpConnector, ConnectSource):
    """Connects to HOST:PORT and reads records; answers go back on the same connection."""

    def __init__(self, rest: str, options: ConnectSourceOptions) -> None:
        address(rest, "tcp")
        super().__init__(rest, options)


class TcpSink(TcpConnector, ConnectSink):
    """Connects to HOST:PORT and writes predictions."""

    def __init__(self, rest: str, options: ConnectOptions) -> None:
        address(rest, "tcp")
        super().__init__(rest, options)


class UnixSource(UnixConnector, ConnectSource):
    """Connects to the Unix socket PATH and reads records; answers go back on it."""

    def __init__(self, rest: str, options: ConnectSourceOptions) -> None:
        _check_path(rest)
        super().__init__(rest, options)


class UnixSink(UnixConnector, ConnectSink):
    """Connects to the Unix socket PATH and writes predictions."""

    def __init__(self, rest: str, options: ConnectOptions) -> None:
        _check_path(rest)
        super().__init__(rest, options)


def _check_path(rest: str) -> None:
    if not rest:
        raise OptionError("unix: expected a path after the colon, got nothing")
