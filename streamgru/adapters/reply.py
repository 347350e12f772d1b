"""``reply:``: predictions go back to where their records came from."""

from __future__ import annotations

from typing import Any

from streamgru.adapters.contract import Item, Sink, Source
from streamgru.adapters.options import Options
from streamgru.errors import AdapterError, OptionError


class ReplySink(Sink[Options]):
    """Back on the connection, or to the address, that a record came from."""

    per_origin = True

    def __init__(self, rest: str, options: Options) -> None:
        if rest:
            raise OptionError(f"reply: expected nothing after the colon, got {rest!r}")
        super().__init__(rest, options)
        self._source: Source[Any] | None = None

    def bind(self, source: Source[Any]) -> None:
        if not source.answers:
            raise OptionError(f"reply: {type(source).__name__} has no way back; name a sink with --to")
        self._source = source
        self.framing = source.framing

    async def open(self) -> None:
        if self._source is None:
            raise AdapterError("reply: works only beside a source")

    async def write(self, items: list[Item]) -> None:
        if self._source is None:
            raise AdapterError("reply: works only beside a source")
        for item in items:
            await self._source.reply(item.origin, item.data)

    async def flush(self) -> None:
        pass  # the connection's own buffer holds the rest; a client that never reads is dropped there

    async def close(self) -> None:
        pass
