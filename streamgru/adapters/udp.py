"""``udp+listen://HOST:PORT``: one message per datagram."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any

from streamgru.adapters.contract import Batch, Source, Token
from streamgru.adapters.listen import reason
from streamgru.adapters.options import Options, option
from streamgru.adapters.queues import Inbox
from streamgru.adapters.uri import address
from streamgru.errors import AdapterError, EndOfStream


class UdpOptions(Options):
    """Options of ``udp+listen:``."""

    queue: Annotated[int, option("Datagrams that wait; a new one is dropped when there are more.", ge=1)] = 1024


class UdpListenSource(Source[UdpOptions]):
    """Datagrams; each sender's address is an origin. Datagrams may be lost, doubled or reordered on the way."""

    options_type = UdpOptions
    framing = "message"
    answers = True
    listens = True

    def __init__(self, rest: str, options: UdpOptions) -> None:
        address(rest, "udp+listen")
        super().__init__(rest, options)
        self._inbox: Inbox[tuple[bytes, Any]] = Inbox(options.queue, "drop_newest")
        self._inbox.fail(EndOfStream("udp: not open"))
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def dropped(self) -> int:  # type: ignore[override]  # counted where it happens
        return self._inbox.dropped

    async def open(self) -> None:
        await self.close()
        self._inbox.bind()
        host, port = address(self.rest, "udp+listen")
        try:
            self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Receiver(self._inbox), local_addr=(host, port)
            )
        except OSError as error:
            raise AdapterError(f"udp+listen:{self.rest}: {reason(error)}") from None
        self.announcement = "listening on udp://{}:{}".format(*self._transport.get_extra_info("sockname")[:2])

    async def read(self) -> Batch:
        data, sender = await self._inbox.get()
        origin = f"udp:{sender[0]}:{sender[1]}"
        return Batch(origin, data, Token(origin))

    async def reply(self, origin: str, data: bytes) -> None:
        sender = re.fullmatch(r"udp:(.+):(\d+)", origin)
        if self._transport is not None and sender:
            self._transport.sendto(data, (sender[1], int(sender[2])))

    async def close(self) -> None:
        self._inbox.close()
        if self._transport is not None:
            self._transport.close()
            self._transport = None
            await asyncio.sleep(0)  # lets the transport give its descriptor back


class _Receiver(asyncio.DatagramProtocol):
    """Puts datagrams into the inbox."""

    def __init__(self, inbox: Inbox[tuple[bytes, Any]]) -> None:
        self._inbox = inbox

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._inbox.put((data, addr))
