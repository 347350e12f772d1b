"""The other end of the line, as the author of an adapter provides it."""

from __future__ import annotations

import abc
import socket
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from streamgru.adapters.contract import Adapter, Sink, Source

F = TypeVar("F", bound=Callable[..., Any])


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Find a port of 127.0.0.1 that nobody uses now.

    Parameters
    ----------
    kind : socket.SocketKind
        ``SOCK_STREAM`` or ``SOCK_DGRAM``.
    """
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def optional(function: F) -> F:
    """Mark a part that a peer may leave out; the checks that need it are then left out too."""
    function.__dict__["left_out"] = True
    return function


class Peer(abc.ABC):
    """The other end of an adapter: a server, a broker, a client, a file.

    Constructing a peer opens nothing, and settles where it will be (a port, a path), so that
    :meth:`make` works before :meth:`start`. Every check gets a new one. All coroutines run on the
    adapter's event loop and must not block it.

    Attributes
    ----------
    patience : float
        Seconds that any one thing may take before a check gives up.
    connects : bool
        Whether ``open`` needs the peer and raises NotConnected without it. False for what listens.
    reopens : bool
        Whether the adapter can be opened again after the peer has vanished and started again.
    max_item : int
        Bytes of the biggest item that the transport carries; the checks use up to 1 MiB.
    empty_items : bool
        Whether the transport carries messages of no bytes. Of no meaning with stream framing.
    flood : int
        Bytes that are pushed to see whether memory stays bounded.
    max_buffered : int
        Bytes of them that the adapter may hold.
    """

    patience: ClassVar[float] = 5.0
    connects: ClassVar[bool] = True
    reopens: ClassVar[bool] = True
    max_item: ClassVar[int] = 1 << 20
    empty_items: ClassVar[bool] = True
    flood: ClassVar[int] = 16 << 20
    max_buffered: ClassVar[int] = 8 << 20

    @abc.abstractmethod
    def make(self) -> Adapter[Any]:
        """Construct an adapter that talks to this peer; called before :meth:`start` too."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Come up, ready to be talked to; called again after :meth:`vanish`."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Go away for good, leaving no thread, task or descriptor; also if never started."""

    @optional
    async def vanish(self) -> None:
        """Optional. Go away without a word, as a crash or a pulled cable does."""
        raise NotImplementedError

    @classmethod
    def has(cls, part: str) -> bool:
        """Tell whether an optional method is there, or a flag is set."""
        value = getattr(cls, part)
        return value if isinstance(value, bool) else not getattr(value, "left_out", False)


class SourcePeer(Peer):
    """The other end of a source.

    Attributes
    ----------
    live : bool
        Whether what is sent while the source is open arrives. False for a source of what is there
        when it opens, such as a file: everything is then sent before.
    """

    live: ClassVar[bool] = True

    @abc.abstractmethod
    def make(self) -> Source[Any]:
        """Construct a source that talks to this peer; called before :meth:`start` too."""

    @abc.abstractmethod
    async def send(self, data: bytes) -> None:
        """Send bytes, or one message; waits for the source to be connected, and for room to send.

        It may be cancelled while it waits for room.
        """

    @optional
    async def end(self) -> None:
        """Optional. End the origin as it should end: nothing is missing."""
        raise NotImplementedError

    @optional
    async def received(self) -> list[bytes]:
        """Give what the source has replied. Optional; for sources that answer."""
        raise NotImplementedError


class SinkPeer(Peer):
    """The other end of a sink."""

    @abc.abstractmethod
    def make(self) -> Sink[Any]:
        """Construct a sink that talks to this peer; called before :meth:`start` too."""

    @abc.abstractmethod
    async def received(self) -> list[bytes]:
        """Give all that has come since the peer was made: the messages, or the bytes in any pieces."""

    @optional
    async def stall(self) -> None:
        """Optional. Stay connected and take nothing any more, as a reader that is stuck."""
        raise NotImplementedError
