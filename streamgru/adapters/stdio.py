"""``stdin:`` and ``stdout:``."""

from __future__ import annotations

import sys
from typing import Annotated

from streamgru.adapters.contract import Batch, Item, Sink, Source
from streamgru.adapters.descriptors import Descriptor
from streamgru.adapters.options import Options, option
from streamgru.errors import AdapterError, EndOfStream, OptionError


class StdinOptions(Options):
    """Options of ``stdin:``."""

    fd: Annotated[int, option("The file descriptor to read.", ge=0, le=1 << 20)] = 0


class StdoutOptions(Options):
    """Options of ``stdout:``."""

    fd: Annotated[int, option("The file descriptor to write.", ge=0, le=1 << 20)] = 1


class StdinSource(Source[StdinOptions]):
    """Standard input, whatever it is: a pipe, a terminal, a file. It is never closed, only left."""

    options_type = StdinOptions
    on_error = "fail"

    def __init__(self, rest: str, options: StdinOptions) -> None:
        if rest:
            raise OptionError(f"stdin: expected nothing after the colon, got {rest!r}")
        super().__init__(rest, options)
        self._input: Descriptor | None = None
        self._ended = False

    async def open(self) -> None:
        self._input = _descriptor("stdin", self.options.fd, self.options.fd == 0 and sys.stdin is None)

    async def read(self) -> Batch:
        if self._input is None or self._ended:
            raise EndOfStream("stdin is at its end")
        try:
            data = await self._input.read()
        except OSError as error:
            raise AdapterError(f"stdin: {error.strerror}") from None
        self._ended = not data
        return Batch("stdin", data, end="" if data else "clean")

    async def close(self) -> None:
        if self._input is not None:
            self._input.wake()


class StdoutSink(Sink[StdoutOptions]):
    """Standard output. A reader that goes away ends the run (BrokenPipeError, exit code 141)."""

    options_type = StdoutOptions

    def __init__(self, rest: str, options: StdoutOptions) -> None:
        if rest:
            raise OptionError(f"stdout: expected nothing after the colon, got {rest!r}")
        super().__init__(rest, options)
        self._output: Descriptor | None = None

    async def open(self) -> None:
        self._output = _descriptor("stdout", self.options.fd, self.options.fd == 1 and sys.stdout is None)

    async def write(self, items: list[Item]) -> None:
        if self._output is None:
            raise AdapterError("stdout: written to before it was opened")
        try:
            await self._output.write(b"".join(item.data for item in items))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise AdapterError(f"stdout: {error.strerror}") from None

    async def flush(self) -> None:
        pass  # nothing is held back

    async def close(self) -> None:
        if self._output is not None:
            self._output.wake()


def _descriptor(name: str, fd: int, closed: bool) -> Descriptor:
    """*fd*, unless it was *closed* at the start: then its number now belongs to something else, or to nothing."""
    if closed:
        raise AdapterError(f"{name}: it was closed before the program began")
    try:
        return Descriptor(fd)
    except OSError as error:
        raise AdapterError(f"{name}: {error.strerror}") from None
