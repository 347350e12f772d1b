"""A source, a model and a sink, running until the source ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from streamgru.adapters.codecs.base import Codec
from streamgru.adapters.contract import Adapter, Outcome, Sink, Source
from streamgru.adapters.registry import lookup, make_sink, make_source
from streamgru.errors import EndOfStream, NotConnected, OptionError
from streamgru.pipeline.engine import Counts, Engine, OnError, Taken, signature
from streamgru.stream.model import Model

log = logging.getLogger("streamgru")


class Pipeline:
    """Step a model with live data: what ``streamgru run`` does.

    Parameters
    ----------
    model : Model
    source : str or Source
        Where records come from: a URI such as ``stdin:`` or ``tcp+listen://127.0.0.1:9000``.
    sink : str or Sink, optional
        Where predictions go; by default ``reply:`` for listeners, otherwise ``stdout:``.
    codec : str, optional
        ``ndjson``, ``csv`` or ``raw`` for both ends; by default what the source suggests.
    sink_codec : str, optional
        For the sink alone.
    emit : str
        ``every``, a number N, ``change``, ``above=P`` or ``last``.
    on_error : {"fail", "skip", "report"}, optional
        By default ``fail`` for stdin and files, ``report`` for everything else.
    max_streams : int
        Streams that may be open at a time.
    retry_for_s : float
        How long an end that is away is tried again, with back-off, before the run fails.

    Raises
    ------
    OptionError
        If a URI, a codec or a policy cannot be right; nothing is opened before :meth:`run`.

    Notes
    -----
    ``pipeline.run()`` runs to the end; inside an event loop, ``await pipeline``.
    """

    def __init__(
        self,
        model: Model,
        source: str | Source[Any] = "stdin:",
        sink: str | Sink[Any] | None = None,
        *,
        codec: str | None = None,
        sink_codec: str | None = None,
        emit: str = "every",
        on_error: OnError | None = None,
        max_streams: int = 65_536,
        retry_for_s: float = 30.0,
    ) -> None:
        self.source = make_source(source) if isinstance(source, str) else source
        if sink is None:
            sink = "reply:" if self.source.answers and self.source.listens else "stdout:"
        self.sink = make_sink(sink) if isinstance(sink, str) else sink
        self.sink.bind(self.source)
        name_in = codec or self.source.default_codec()
        self._engine = Engine(
            model,
            _codec(name_in, model),
            _codec(sink_codec or codec or self.sink.default_codec() or name_in, model),
            emit=emit,
            on_error=on_error or self.source.on_error,
            max_streams=max_streams,
            single=self.sink.framing == "message",
            shared=not self.sink.per_origin,
        )
        self._retry_for_s = retry_for_s

    @property
    def counts(self) -> Counts:
        """Records, predictions, errors and streams so far."""
        return self._engine.counts

    def run(self) -> Counts:
        """Run until the source ends.

        Raises
        ------
        RecordError
            For a bad record, with ``on_error="fail"``, after everything before it was answered.
        AdapterError, OSError
            If an end fails for good.
        """
        return asyncio.run(self._run())

    def __await__(self) -> Generator[Any, None, Counts]:
        return self._run().__await__()

    async def _run(self) -> Counts:
        try:
            await self._open(self.sink)
            await self._open(self.source)
            while True:
                try:
                    batch = await self.source.read()
                except NotConnected as error:
                    log.warning("%s", error)
                    await self._open(self.source)
                    continue
                except EndOfStream:
                    break
                taken = self._engine.take(batch, self.source.framing == "message")
                await self._deliver(taken)
                await self.source.ack(batch.token, taken.outcome)
                if taken.failure is not None:
                    raise taken.failure
            await self._deliver(Taken(self._engine.finish(), Outcome.DONE))
        finally:
            for end in (self.source, self.sink):
                with contextlib.suppress(Exception):
                    await end.close()
        return self.counts

    async def _deliver(self, taken: Taken) -> None:
        """Write and flush; where the sink has gone away, open it again and repeat."""
        if not taken.items:
            return
        while True:
            try:
                await self.sink.write(taken.items)
                await self.sink.flush()
                return
            except NotConnected as error:
                log.warning("%s", error)
                await self._open(self.sink)

    async def _open(self, end: Adapter[Any]) -> None:
        await with_backoff(end.open, self._retry_for_s)
        if end.announcement:
            log.info("%s", end.announcement)


async def with_backoff(attempt: Callable[[], Awaitable[None]], for_s: float, first_s: float = 0.1) -> None:
    """Call *attempt* until it does not raise NotConnected; give up after *for_s* seconds.

    The pause doubles, up to ten seconds, and is drawn from its upper half, so that many who lost
    the same peer do not come back at the same moment.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + for_s
    pause_s = first_s
    while True:
        try:
            await attempt()
            return
        except NotConnected as error:
            if loop.time() >= deadline:
                raise
            wait_s = min(random.uniform(pause_s / 2, pause_s), max(deadline - loop.time(), 0.0))
            log.warning("%s; trying again in %.1f s", error, wait_s)
            await asyncio.sleep(wait_s)
            pause_s = min(2 * pause_s, 10.0)


def _codec(name: str, model: Model) -> Codec:
    cls = lookup("codecs", name, f"codec {name!r}")
    if not (isinstance(cls, type) and issubclass(cls, Codec)):
        raise OptionError(f"codec {name!r}: the plugin behind it is no codec")
    return cls(signature(model))
