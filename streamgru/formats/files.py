"""Files whole, in and out: only regular ones are read, and writing leaves the old or the new, never a part."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from pathlib import Path

from streamgru.errors import FormatError

MAX_BYTES = 2 << 30


def read_bytes(path: str | os.PathLike[str], limit: int = MAX_BYTES) -> bytes:
    """Read a regular file of at most *limit* bytes.

    Raises
    ------
    FormatError
        If it cannot be opened, is no regular file, or is too large.
    """
    try:
        with io.BufferedReader(io.FileIO(os.fspath(path), opener=_open)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FormatError(f"{path}: expected a regular file, got {_kind(status.st_mode)}")
            if status.st_size > limit:
                raise FormatError(f"{path}: expected at most {limit} bytes, got {status.st_size}")
            data = file.read(status.st_size + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise FormatError(f"{path}: expected a readable file, got: {reason}") from None
    if len(data) != status.st_size:
        raise FormatError(f"{path}: expected {status.st_size} bytes, got {len(data)}; it changed while it was read")
    return data


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Put *data* at *path* in one stroke: a crash at any moment leaves the old file or the new one.

    What is there keeps its permissions; a link is followed. FormatError if it is no regular file.
    """
    target = Path(path).resolve()
    mode = target.stat().st_mode if target.exists() else None
    if mode is not None and not stat.S_ISREG(mode):
        raise FormatError(f"{path}: expected a regular file to replace, got {_kind(mode)}")
    temporary = target.with_name(f".{target.name[:200]}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(target.parent)


def _open(path: str, flags: int) -> int:
    # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _sync_folder(folder: Path) -> None:
    """Make a rename last; some file systems cannot do it, and then there is nothing to be done."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device or socket"
