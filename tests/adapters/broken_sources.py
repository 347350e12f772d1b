"""Sources that read, end, answer or clean up wrongly, each in one way."""

import asyncio
import os
import threading
import time

from toys import ToySource, Wire

from streamgru.adapters.contract import Batch, Outcome
from streamgru.errors import EndOfStream, NotConnected


class DeafToClose(ToySource):
    """Does not wake a read that waits."""

    async def close(self):
        self.closed = True


class WakesWithCancel(ToySource):
    """Wakes a read by cancelling the task that waits in it."""

    reader = None

    async def read(self):
        self.reader = asyncio.current_task()
        return await super().read()

    async def close(self):
        self.closed = True
        if self.reader is not None:
            self.reader.cancel()


class ReadsAfterClose(ToySource):
    """Goes on reading though it is closed."""

    async def read(self):
        if self.closed:
            await asyncio.Event().wait()
        return await super().read()


class LosesOnCancel(ToySource):
    """Takes an item out and then waits once more."""

    async def read(self):
        batch = await super().read()
        await asyncio.sleep(0)
        return batch


class DoublesOnCancel(ToySource):
    """Puts an item back on cancelling, though it was given out."""

    async def read(self):
        batch = await super().read()
        if int(batch.data.partition(b":")[0] or b"0") % 10 == 5 and not hasattr(self, "again"):
            self.again = True
            self.wire.items.appendleft(batch.data)
        return batch


class SwapsOrder(ToySource):
    """Gives the latest item first."""

    async def read(self):
        batch = await super().read()
        if self.wire.items and self.wire.items[0] is not None:
            self.wire.items.append(batch.data)
            batch = batch._replace(data=self.wire.items.popleft())
        return batch


class Decodes(ToySource):
    """Believes that all bytes are text."""

    async def read(self):
        batch = await super().read()
        return batch._replace(data=batch.data.decode(errors="replace").encode())


class SkipsEmpty(ToySource):
    """Believes that no bytes are no message."""

    async def read(self):
        while True:
            batch = await super().read()
            if batch.data or batch.end:
                return batch


class Truncates(ToySource):
    """Has a buffer of 64 KiB."""

    async def read(self):
        batch = await super().read()
        return batch._replace(data=batch.data[: 1 << 16])


class LosesSingleBytes(ToySource):
    """Believes that there are always two bytes at least."""

    async def read(self):
        batch = await super().read()
        return batch._replace(data=batch.data if len(batch.data) > 1 else b"")


class GivesMemoryview(ToySource):
    """Gives something that is no bytes."""

    async def read(self):
        batch = await super().read()
        return batch._replace(data=bytearray(batch.data))


class BlocksLoop(ToySource):
    """Waits for data in the loop's own thread."""

    async def read(self):
        time.sleep(0.35)
        return await super().read()


class BlocksLoopForLong(ToySource):
    """Waits for data in the loop's own thread, for very long."""

    async def read(self):
        time.sleep(0.8)
        return await super().read()


class EndsEarly(ToySource):
    """Tells of the end before it has given all."""

    async def read(self):
        if self.wire is not None and None in self.wire.items and not self.closed:
            raise EndOfStream("over")
        return await super().read()


class NeverEnds(ToySource):
    """Keeps the end to itself."""

    async def read(self):
        while True:
            batch = await super().read()
            if not batch.end:
                return batch


class MissesVanishing(ToySource):
    """Waits for a peer that has gone."""

    async def read(self):
        try:
            return await super().read()
        except NotConnected:
            await asyncio.Event().wait()


class VanishesWithOSError(ToySource):
    """Lets an error of the system through where NotConnected is due."""

    async def read(self):
        try:
            return await super().read()
        except NotConnected:
            raise ConnectionResetError("reset") from None


class OpensOnce(ToySource):
    """Keeps to the wire that it found first."""

    async def open(self):
        first = self.wire
        await super().open()
        self.wire = first or self.wire


class FailsOnStaleAck(ToySource):
    """Believes that every token is known, and acknowledged once."""

    acked = 0

    async def ack(self, token, outcome):
        self.acked += 1
        if self.acked > 1:
            raise KeyError(token)


class BlocksInAck(ToySource):
    """Waits for something when a batch was dropped."""

    async def ack(self, token, outcome):
        if outcome is Outcome.DROPPED:
            await asyncio.Event().wait()


class Hoards(ToySource):
    """Takes in all that comes, whether it is read or not."""

    hoarding = None

    async def open(self):
        await super().open()
        self.hoard = Wire()
        self.hoarding = asyncio.create_task(self.collect(self.wire))

    async def collect(self, wire):
        while not wire.cut:
            while wire.items:
                self.hoard.items.append(wire.items.popleft())
                wire.poke()
                self.hoard.poke()
            await wire.wait()

    async def read(self):
        while not self.hoard.items:
            await self.hoard.wait()
        return Batch("toy", self.hoard.items.popleft())

    async def close(self):
        if self.hoarding is not None:
            self.hoarding.cancel()
        await super().close()


class LeaksThread(ToySource):
    """Leaves a thread behind."""

    async def close(self):
        await super().close()
        threading.Thread(target=time.sleep, args=(3,), name="left", daemon=True).start()


class LeaksDescriptor(ToySource):
    """Leaves a descriptor behind."""

    fd = None

    async def close(self):
        await super().close()
        if self.fd is None:
            self.fd = os.open(os.devnull, os.O_RDONLY)

    def __del__(self):
        if self.fd is not None:
            os.close(self.fd)


class LeaksTask(ToySource):
    """Leaves a task behind."""

    async def close(self):
        await super().close()
        self.task = asyncio.create_task(asyncio.sleep(60))


class LeaksOnReopen(ToySource):
    """Forgets a descriptor whenever it opens again."""

    fd = None

    async def open(self):
        await super().open()
        self.old, self.fd = self.fd, os.open(os.devnull, os.O_RDONLY)

    async def close(self):
        await super().close()
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def __del__(self):
        if getattr(self, "old", None) is not None:
            os.close(self.old)


class RepliesToAnybody(ToySource):
    """Sends the answer to one that has left to somebody else."""

    async def reply(self, origin, data):
        self.peer.replies.append(data)


class RepliesLoudly(ToySource):
    """Fails when who asked has left."""

    async def reply(self, origin, data):
        await {"toy": super().reply}[origin](origin, data)
