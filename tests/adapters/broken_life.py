"""Sources that open, close or describe themselves wrongly, each in one way."""

import asyncio
import os
import threading
import time
from typing import Annotated, Any

from toys import ToySource, Wire

from streamgru.adapters.options import Options, option
from streamgru.errors import NotConnected


class Undocumented(ToySource):
    __doc__ = None


class WrongFraming(ToySource):
    """Says nonsense about its framing."""

    framing = "datagram"


class SilentOptions(Options):
    """One option, not described."""

    speed: int = 3


class Undescribed(ToySource):
    """Has an option without a description."""

    options_type = SilentOptions


class OddOptions(Options):
    """A default that TOML cannot say."""

    speed: Annotated[Any, option("How fast.")] = None
    nothing: Annotated[Any, option("A list with a hole.")] = (1, None)


class BadSample(ToySource):
    """Has an option whose default is no TOML."""

    options_type = OddOptions


class OpensInConstructor(ToySource):
    """Opens a descriptor when it is constructed."""

    def __init__(self, peer):
        super().__init__(peer)
        self.fds = os.pipe()

    async def close(self):
        await super().close()
        for fd in self.fds:
            os.close(fd)
        self.fds = ()


class StartsThreadInConstructor(ToySource):
    """Starts a thread when it is constructed."""

    def __init__(self, peer):
        super().__init__(peer)
        self.stopping = threading.Event()
        threading.Thread(target=self.stopping.wait, args=(3,), daemon=True).start()

    async def close(self):
        await super().close()
        self.stopping.set()


class CannotCloseUnopened(ToySource):
    """Fails when it is closed before it was opened."""

    async def close(self):
        self.wire.poke()
        await super().close()


class CannotCloseTwice(ToySource):
    """Fails when it is closed again."""

    async def close(self):
        if self.closed:
            raise ValueError("closed already")
        await super().close()


class CloseHangs(ToySource):
    """Never returns from close()."""

    async def close(self):
        if self.wire is not None:
            await asyncio.Event().wait()


class CloseHangsForGood(ToySource):
    """Never returns from close(), and does not let itself be cancelled."""

    async def close(self):
        deadline = time.monotonic() + 2.5
        while self.wire is not None and time.monotonic() < deadline:
            try:
                await asyncio.sleep(2)
            except asyncio.CancelledError:
                continue


class RefusesWithOSError(ToySource):
    """Raises an error of the system where NotConnected is due."""

    async def open(self):
        if self.peer.wire is None:
            raise ConnectionRefusedError("refused")
        await super().open()


class OpensAnyway(ToySource):
    """Does not mind that nobody is there."""

    async def open(self):
        if self.peer.wire is None:
            self.peer.wire = Wire()
        await super().open()


class GivesUpForEver(ToySource):
    """Once refused, always refused."""

    refused = False

    async def open(self):
        self.refused = self.refused or self.peer.wire is None
        if self.refused:
            raise NotConnected("I have tried")
        await super().open()


class CancelledOpenLeaks(ToySource):
    """Forgets a descriptor when opening is cancelled."""

    fd = None

    async def open(self):
        fd = os.open(os.devnull, os.O_RDONLY)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        os.close(fd)
        await super().open()
