"""``file:PATH``: a file, a named pipe or a device, read or written."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Annotated, Any, Literal

from streamgru.adapters.contract import Batch, Item, Sink, Source, Token
from streamgru.adapters.descriptors import Descriptor
from streamgru.adapters.options import Options, option
from streamgru.adapters.stdio import StdinSource
from streamgru.errors import AdapterError, EndOfStream, NotConnected, OptionError

# Opening a named pipe would block until somebody has its other end; waiting is not open's business.
NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)

CODECS = {".csv": "csv", ".raw": "raw", ".f32": "raw"}


class FileSourceOptions(Options):
    """Options of a ``file:`` source."""


class FileSinkOptions(Options):
    """Options of a ``file:`` sink."""

    mode: Annotated[
        Literal["write", "append", "new"], option("Replace the file, write behind its end, or refuse if it exists.")
    ] = "write"


class FileSource(Source[FileSourceOptions]):
    """A file, from its beginning to its end. The codec follows from .csv, .raw or .f32."""

    options_type = FileSourceOptions
    on_error = "fail"

    def __init__(self, rest: str, options: FileSourceOptions) -> None:
        if not rest:
            raise OptionError("file: expected a path after the colon, got nothing")
        super().__init__(rest, options)
        self._input: Descriptor | None = None
        self._position = 0
        self._ended = False

    def default_codec(self) -> str:
        return CODECS.get(Path(self.rest).suffix.lower(), self.codec)

    async def open(self) -> None:
        await self.close()
        self._input = _open(self.rest, os.O_RDONLY)
        self._position, self._ended = 0, False

    async def read(self) -> Batch:
        if self._input is None or self._ended:
            raise EndOfStream(f"file:{self.rest} is at its end")
        try:
            data = await self._input.read()
        except OSError as error:
            raise AdapterError(f"file:{self.rest}: {error.strerror}") from None
        self._position += len(data)
        self._ended = not data
        return Batch(self.rest, data, Token(self.rest, self._position), "" if data else "clean")

    async def close(self) -> None:
        _close(self._input)
        self._input = None


class FileSink(Sink[FileSinkOptions]):
    """A file that predictions are written to."""

    options_type = FileSinkOptions

    def default_codec(self) -> str:
        return CODECS.get(Path(self.rest).suffix.lower(), "")

    def __init__(self, rest: str, options: FileSinkOptions) -> None:
        if not rest:
            raise OptionError("file: expected a path after the colon, got nothing")
        super().__init__(rest, options)
        self._output: Descriptor | None = None

    def bind(self, source: Source[Any]) -> None:
        if not isinstance(source, FileSource | StdinSource):
            return
        with contextlib.suppress(OSError):  # what is not there yet is no file that is read
            read = Path(source.rest).stat() if isinstance(source, FileSource) else os.fstat(source.options.fd)
            if stat.S_ISREG(read.st_mode) and os.path.samestat(read, Path(self.rest).stat()):
                raise OptionError(f"file:{self.rest}: the source reads this file; expected another one to write to")

    async def open(self) -> None:
        await self.close()
        flag = {"write": os.O_TRUNC, "append": os.O_APPEND, "new": os.O_EXCL}[self.options.mode]
        self._output = _open(self.rest, os.O_WRONLY | os.O_CREAT | flag)

    async def write(self, items: list[Item]) -> None:
        if self._output is None:
            raise AdapterError(f"file:{self.rest}: written to before it was opened")
        try:
            await self._output.write(b"".join(item.data for item in items))
        except OSError as error:
            raise AdapterError(f"file:{self.rest}: {error.strerror}") from None

    async def flush(self) -> None:
        pass  # nothing is held back

    async def close(self) -> None:
        _close(self._output)
        self._output = None


def _open(path: str, flags: int) -> Descriptor:
    try:
        return Descriptor(os.open(path, flags | NO_WAIT, 0o666))
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise NotConnected(f"file:{path}: nobody reads the pipe") from None
        raise AdapterError(f"file:{path}: {error.strerror}") from None


def _close(descriptor: Descriptor | None) -> None:
    if descriptor is not None:
        descriptor.wake()
        os.close(descriptor.fd)
