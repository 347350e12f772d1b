"""A source and a sink that are lists, written against the public contract alone."""

import asyncio

from streamgru.adapters.contract import Batch, Sink, Source, Token
from streamgru.adapters.options import Options
from streamgru.errors import EndOfStream, NotConnected


class ListSource(Source[Options]):
    """Gives what is in a list: batches, or errors to raise. Notes everything that happens to it."""

    def __init__(self, script, log=None, **attributes):
        super().__init__("", Options())
        self.script = list(script)
        self.log = [] if log is None else log
        vars(self).update(attributes)

    async def open(self):
        self.log.append("open source")

    async def read(self):
        await asyncio.sleep(0)
        if not self.script:
            raise EndOfStream("the list is empty")
        what = self.script.pop(0)
        if isinstance(what, Exception):
            raise what
        return what

    async def ack(self, token, outcome):
        self.log.append(("ack", token.position, outcome))

    async def close(self):
        self.log.append("close source")


class ListSink(Sink[Options]):
    """Keeps what is written. The calls whose numbers stand in *failures* raise; then it is away until it is opened."""

    def __init__(self, log=None, failures=None, **attributes):
        super().__init__("", Options())
        self.log = [] if log is None else log
        self.failures = failures or {}
        self.calls = 0
        self.is_open = False
        self.written = []
        vars(self).update(attributes)

    async def open(self):
        self._call("open sink")
        self.is_open = True

    async def write(self, items):
        self._call(("write", [item.data for item in items]))
        self.written += [item.data for item in items]

    async def flush(self):
        self._call("flush")

    async def close(self):
        self.log.append("close sink")

    def _call(self, what):
        self.calls += 1
        if self.calls in self.failures:
            self.is_open = False
            self.log.append("fail")
            raise self.failures[self.calls]
        if not self.is_open and what != "open sink":
            raise NotConnected("nobody has opened it")
        self.log.append(what)


def batches(*data, origin="o"):
    return [Batch(origin, piece, Token(origin, i)) for i, piece in enumerate(data)]


async def awaited(pipeline):
    """A coroutine, as tasks need one."""
    return await pipeline
