"""Sinks that are broken, each in one way."""

import asyncio
import threading
import time

from toys import ToySink


class SinkOpensInConstructor(ToySink):
    """Starts a task when it is constructed."""

    def __init__(self, peer):
        super().__init__(peer)
        self.task = asyncio.create_task(asyncio.sleep(0.2))


class SinkCloseHangs(ToySink):
    """Never returns from close()."""

    async def close(self):
        if self.wire is not None:
            await asyncio.Event().wait()


class Reverses(ToySink):
    """Sends the last item of a list first."""

    async def write(self, items):
        await super().write(items[::-1])


class SendsTwice(ToySink):
    """Sends the items of a write again with the flush."""

    last = ()

    async def write(self, items):
        self.last = items
        await super().write(items)

    async def flush(self):
        await super().write(self.last)


class ForgetsToFlush(ToySink):
    """Keeps small writes to itself."""

    kept = ()

    async def write(self, items):
        self.kept = [*self.kept, *items]
        if len(self.kept) > 40:
            await super().write(self.kept)
            self.kept = ()


class LosesOnClose(ToySink):
    """Sends later, if it is still open then."""

    async def write(self, items):
        asyncio.get_running_loop().call_later(0.1, asyncio.ensure_future, self.send(items))

    async def send(self, items):
        if self.wire is not None:
            await super().write(items)


class FailsOnEmpty(ToySink):
    """Believes that there is always something to write."""

    async def write(self, items):
        assert items[0] is not None
        await super().write(items)


class WritesText(ToySink):
    """Believes that all bytes are text."""

    async def write(self, items):
        await super().write([item._replace(data=item.data.decode(errors="replace").encode()) for item in items])


class DoesNotMind(ToySink):
    """Writes into a wire that was cut."""

    async def write(self, items):
        if not self.wire.cut:
            await super().write(items)

    async def flush(self):
        pass


class SinkFailsWithOSError(ToySink):
    """Lets an error of the system through where NotConnected is due."""

    async def write(self, items):
        if self.wire.cut:
            raise BrokenPipeError("broken")
        await super().write(items)


class SinkOpensOnce(ToySink):
    """Keeps to the wire that it found first."""

    async def open(self):
        first = self.wire
        await super().open()
        self.wire = first or self.wire


class SinkHoards(ToySink):
    """Takes all that is written, whether the peer takes it or not."""

    async def open(self):
        await super().open()
        self.hoard = []

    async def write(self, items):
        self.hoard += items
        if not self.wire.cut and len(self.wire.items) < 3:
            await super().write(self.hoard)
            self.hoard = []


class SinkLeaksThread(ToySink):
    """Leaves a thread behind."""

    async def close(self):
        await super().close()
        threading.Thread(target=time.sleep, args=(3,), name="left", daemon=True).start()
