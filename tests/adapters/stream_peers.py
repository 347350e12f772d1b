"""The other ends of the adapters for connections: a server for those that connect, a client for those that listen."""

import asyncio
import contextlib
import socket
import tempfile
from pathlib import Path

from streamgru.adapters.listen import ListenOptions, TcpListenSource, UnixListenSource
from streamgru.adapters.tcp import ConnectOptions, ConnectSourceOptions, TcpSink, TcpSource, UnixSink, UnixSource
from streamgru.adapters.testing import SinkPeer, SourcePeer, free_port
from streamgru.adapters.udp import UdpListenSource, UdpOptions


class Connection(asyncio.Protocol):
    """One end of a connection: keeps what comes, and tells when it may send."""

    def __init__(self, peer):
        self.peer = peer
        self.room = asyncio.Event()
        self.lost = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport
        transport.set_write_buffer_limits(0)
        self.room.set()
        self.peer.connections.append(self)
        self.peer.connected.set()

    def data_received(self, data):
        self.peer.got.append(data)

    def pause_writing(self):
        self.room.clear()

    def resume_writing(self):
        self.room.set()

    def connection_lost(self, error):
        self.room.set()
        self.lost.set()

    async def abort(self):
        self.transport.abort()
        await self.lost.wait()


class Place:
    """A port or a path, and how to listen there or connect to it."""

    def __init__(self, kind):
        self.port = free_port() if kind == "tcp" else None
        self.path = tempfile.mktemp(suffix=".sock")
        self.rest = f"//127.0.0.1:{self.port}" if self.port else self.path

    async def listen(self, factory):
        loop = asyncio.get_running_loop()
        if self.port:
            return await loop.create_server(factory, "127.0.0.1", self.port)
        Path(self.path).unlink(missing_ok=True)
        return await loop.create_unix_server(factory, self.path)

    async def connect(self, factory):
        loop = asyncio.get_running_loop()
        if self.port:
            return await loop.create_connection(factory, "127.0.0.1", self.port)
        return await loop.create_unix_connection(factory, self.path)


class ConnectionPeer:
    """What servers and clients share."""

    kind = "tcp"

    def __init__(self):
        self.place = Place(self.kind)
        self.connections = []
        self.connected = asyncio.Event()
        self.got = []

    async def current(self):
        await asyncio.wait_for(self.connected.wait(), 5)
        return self.connections[-1]

    async def send(self, data):
        connection = await self.current()
        connection.transport.write(data)
        await connection.room.wait()

    async def end(self):
        (await self.current()).transport.close()

    async def received(self):
        return list(self.got)

    async def stall(self):
        (await self.current()).transport.pause_reading()

    async def vanish(self):
        for connection in self.connections:
            await connection.abort()
        self.connections.clear()
        self.connected.clear()


class Server(ConnectionPeer):
    """Listens for the adapter."""

    server = None

    async def start(self):
        self.server = await self.place.listen(lambda: Connection(self))

    async def vanish(self):
        self.server.close()
        await super().vanish()
        await self.server.wait_closed()

    async def stop(self):
        if self.server is not None:
            await self.vanish()
        Path(self.place.path).unlink(missing_ok=True)


class Client(ConnectionPeer):
    """Connects to the adapter, when there is something to send."""

    async def start(self):
        pass

    async def current(self):
        while not self.connections:
            try:
                await self.place.connect(lambda: Connection(self))
            except OSError:
                await asyncio.sleep(0.01)
        return await super().current()

    async def stop(self):
        await self.vanish()


class TcpSourcePeer(Server, SourcePeer):
    def make(self):
        return TcpSource(self.place.rest, ConnectSourceOptions(reconnect=True))


class TcpOnceSourcePeer(Server, SourcePeer):
    """Of a source that does not connect again."""

    def make(self):
        return TcpSource(self.place.rest, ConnectSourceOptions())


class UnixSourcePeer(Server, SourcePeer):
    kind = "unix"

    def make(self):
        return UnixSource(self.place.rest, ConnectSourceOptions(reconnect=True))


class TcpSinkPeer(Server, SinkPeer):
    def make(self):
        return TcpSink(self.place.rest, ConnectOptions())


class UnixSinkPeer(Server, SinkPeer):
    kind = "unix"

    def make(self):
        return UnixSink(self.place.rest, ConnectOptions())


class TcpListenPeer(Client, SourcePeer):
    connects = False

    def make(self):
        return TcpListenSource(self.place.rest, ListenOptions())


class UnixListenPeer(Client, SourcePeer):
    kind = "unix"
    connects = False

    def make(self):
        return UnixListenSource(self.place.rest, ListenOptions())


class UdpListenPeer(SourcePeer):
    connects = False
    max_item = 60_000

    def __init__(self):
        self.port = free_port(socket.SOCK_DGRAM)
        self.socket = None

    def make(self):
        return UdpListenSource(f"//127.0.0.1:{self.port}", UdpOptions())

    async def start(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.got = []

    async def send(self, data):
        self.socket.sendto(data, ("127.0.0.1", self.port))

    async def received(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.got.append(self.socket.recv(1 << 16))
        return list(self.got)

    async def stop(self):
        if self.socket is not None:
            self.socket.close()
