"""A source, a model and a sink, running until the source ends."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from streamgru.adapters.codecs.base import Codec
from streamgru.adapters.contract import Adapter, Batch, Item, Sink, Source
from streamgru.adapters.registry import lookup, make_sink, make_source
from streamgru.errors import EndOfStream, NotConnected, OptionError
from streamgru.pipeline.engine import Counts, Engine, OnError, Taken
from streamgru.pipeline.rows import signature
from streamgru.stream.model import Model

T = TypeVar("T")
MAX_PAUSE_S = 10.0
CLOSE_S = 10.0
TURN_S = 0.01
BUFFER_BYTES = 1 << 20  # more than asyncio takes for a read

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
    ttl_s : float, optional
        A stream without a record for so many seconds is ended; None keeps it for ever.
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
        ttl_s: float | None = None,
        retry_for_s: float = 30.0,
    ) -> None:
        if not retry_for_s >= 0:
            raise OptionError(f"retry_for_s: expected seconds, got {retry_for_s}")
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
            ttl_s=ttl_s,
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
        _keep_buffers()
        try:
            # The source first: a sink may empty a file, and shall not for nothing.
            await with_backoff(lambda: self._open(self.source), self._retry_for_s)
            await with_backoff(lambda: self._open(self.sink), self._retry_for_s)
            turn = Turn()
            with contextlib.suppress(EndOfStream):
                while True:
                    batch = await self._read()
                    whole = Taken()
                    for piece, is_last in self._engine.pieces(batch):
                        taken = self._engine.take(piece, is_last and self.source.framing == "message")
                        await self._deliver(taken.items)
                        whole.add(taken)
                        if taken.failure is not None:
                            break
                        await turn.end()
                    await self.source.ack(batch.token, self._engine.outcome(whole))
                    self.counts.dropped = self.source.dropped
                    if whole.failure is not None:
                        raise whole.failure
                    await self._deliver(self._engine.expire())
            await self._deliver(self._engine.finish())
        finally:
            try:
                await self._close(self.source)
            finally:
                await self._close(self.sink)
        return self.counts

    async def _read(self) -> Batch:
        """The next batch; where the source has gone away, open it again."""
        attempts = itertools.count()

        async def attempt() -> Batch:
            if next(attempts):
                await self._open(self.source)
            return await self.source.read()

        return await with_backoff(attempt, self._retry_for_s)

    async def _deliver(self, items: list[Item]) -> None:
        """Write and flush; where the sink has gone away, open it again and repeat."""
        if not items:
            return
        attempts = itertools.count()

        async def attempt() -> dict[int, str]:
            if next(attempts):
                await self._open(self.sink)
            refused = await self.sink.write(items)
            await self.sink.flush()
            return refused or {}

        refused = await with_backoff(attempt, self._retry_for_s)
        for i, reason in refused.items():
            self.counts.errors += 1
            log.error("a prediction of stream %.60r is lost: %s", items[i].id, reason)

    async def _close(self, end: Adapter[Any]) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await end.close()
        except Exception as error:  # whatever it is, the other end has to be closed as well
            log.error("closing %s failed: %s", type(end).__name__, error)

    async def _open(self, end: Adapter[Any]) -> None:
        await end.open()
        if end.announcement:
            log.info("%s", end.announcement)


class Turn:
    """Lets the event loop run now and then: ends that are always ready would keep signals and connections waiting."""

    def __init__(self) -> None:
        self._until = 0.0

    async def end(self) -> None:
        now = time.monotonic()
        if now >= self._until:
            self._until = now + TURN_S
            await asyncio.sleep(0)


def _keep_buffers() -> None:
    """Let asyncio's 256 KB for every read come from the heap.

    The malloc of glibc asks the system for each, and gives it back, a fifth of what a record costs, until
    one as large has been freed.
    """
    bytes(BUFFER_BYTES)


async def with_backoff(attempt: Callable[[], Awaitable[T]], for_s: float, first_s: float = 0.1) -> T:
    """Call *attempt* until it does not raise NotConnected; give up after failing for *for_s* seconds.

    The pause doubles, up to ten seconds, and is drawn from its upper half, so that many who lost
    the same peer do not come back at the same moment. An attempt that lasted longer than that was
    a connection, not a failure: after it, time and pause begin anew.
    """
    loop = asyncio.get_running_loop()
    deadline, pause_s = math.inf, first_s
    while True:
        started = loop.time()
        try:
            return await attempt()
        except NotConnected as error:
            now = loop.time()
            if deadline == math.inf or now - started > MAX_PAUSE_S:
                deadline, pause_s = now + for_s, first_s
            if now >= deadline:
                raise
            wait_s = min(random.uniform(pause_s / 2, pause_s), deadline - now)
            log.warning("%s; trying again in %.1f s", error, wait_s)
            await asyncio.sleep(wait_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)


def _codec(name: str, model: Model) -> Codec:
    cls = lookup("codecs", name, f"codec {name!r}")
    if not (isinstance(cls, type) and issubclass(cls, Codec)):
        raise OptionError(f"codec {name!r}: the plugin behind it is no codec")
    return cls(signature(model))
