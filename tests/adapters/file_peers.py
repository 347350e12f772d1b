"""The other ends of the adapters for descriptors: pipes for stdin and stdout, files and named pipes for file."""

import asyncio
import contextlib
import itertools
import os
import tempfile
from pathlib import Path

from streamgru.adapters.file import FileSink, FileSinkOptions, FileSource, FileSourceOptions
from streamgru.adapters.stdio import StdinOptions, StdinSource, StdoutOptions, StdoutSink
from streamgru.adapters.testing import SinkPeer, SourcePeer

NUMBERS = itertools.count(300)  # of descriptors that stand in for 0 and 1


async def write_all(fd, data):
    """Write to a pipe that does not block, with waiting for room."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            await asyncio.sleep(0.002)


class Pipe:
    """A pipe of which the adapter gets one end, under a number that is settled before it is there."""

    connects = False
    mine = None

    def __init__(self):
        self.theirs = next(NUMBERS)

    def open(self, reads):
        ends = os.pipe()
        self.mine, theirs = ends[::-1] if reads else ends
        os.set_blocking(self.mine, False)
        os.dup2(theirs, self.theirs)
        os.close(theirs)

    async def stop(self):
        if self.mine is not None:
            os.close(self.theirs)
            with contextlib.suppress(OSError):
                os.close(self.mine)
            self.mine = None


class StdinPeer(Pipe, SourcePeer):
    def make(self):
        return StdinSource("", StdinOptions(fd=self.theirs))

    async def start(self):
        self.open(reads=True)

    async def send(self, data):
        await write_all(self.mine, data)

    async def end(self):
        os.close(self.mine)
        self.mine = -1


class StdoutPeer(Pipe, SinkPeer):
    def make(self):
        return StdoutSink("", StdoutOptions(fd=self.theirs))

    async def start(self):
        self.open(reads=False)
        self.got = []
        asyncio.get_running_loop().add_reader(self.mine, self.take)

    def take(self):
        self.got.append(os.read(self.mine, 1 << 16))

    async def received(self):
        return list(self.got)

    async def stall(self):
        asyncio.get_running_loop().remove_reader(self.mine)

    async def stop(self):
        if self.mine is not None:
            await self.stall()
        await super().stop()


class FilePeer:
    connects = False

    def __init__(self):
        self.path = Path(tempfile.mktemp(suffix=".jsonl"))

    async def stop(self):
        self.path.unlink(missing_ok=True)


class FileSourcePeer(FilePeer, SourcePeer):
    live = False

    def make(self):
        return FileSource(str(self.path), FileSourceOptions())

    async def start(self):
        self.path.touch()

    async def send(self, data):
        with self.path.open("ab") as file:
            file.write(data)

    async def end(self):
        pass  # a file ends where it ends


class FifoPeer(FilePeer, SourcePeer):
    """A named pipe, which waits for somebody to write to it."""

    fd = None

    def make(self):
        return FileSource(str(self.path), FileSourceOptions())

    async def start(self):
        os.mkfifo(self.path)

    async def send(self, data):
        while self.fd is None:
            try:
                self.fd = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:  # nobody reads yet
                await asyncio.sleep(0.002)
        await write_all(self.fd, data)

    async def end(self):
        os.close(self.fd)
        self.fd = None

    async def stop(self):
        if self.fd is not None:
            os.close(self.fd)
        await super().stop()


class FileSinkPeer(FilePeer, SinkPeer):
    def make(self):
        return FileSink(str(self.path), FileSinkOptions())

    async def start(self):
        pass

    async def received(self):
        return [self.path.read_bytes()]
