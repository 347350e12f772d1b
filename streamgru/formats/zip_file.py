"""A zip archive, opened from memory with every number checked before it is used.

``zipfile`` reads the archive. It would also take two members in one place, a member that inflates
without end, and two headers that contradict each other; what stands here refuses these first.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator, Mapping

from streamgru.errors import FormatError
from streamgru.formats.files import MAX_BYTES

MAGIC = b"PK\x03\x04"
MAX_MEMBERS = 4096
MAX_NAME_BYTES = 1024
FREE_BYTES = 64 << 20  # what any archive may inflate to
MAX_RATIO = 100  # beyond it, how many times its size; weights do not shrink by more

LOCAL_HEADER = struct.Struct("<4s5H3I2H")
ENCRYPTED, STREAMED = 1, 8  # flags
UNTOLD = 0xFFFFFFFF  # stands where a number needs 64 bits, and is elsewhere


def members(data: bytes, where: str) -> Members:
    """Open an archive: a lazy mapping of names to contents, in the order of the archive.

    Parameters
    ----------
    data : bytes
        The whole file.
    where : str
        What error messages call it.

    Raises
    ------
    FormatError
        If anything in the directory is not as it should be; also when a member is read that
        does not inflate to what the directory promises.
    """
    # zipfile would make an object of each entry of the directory, and there may be millions.
    if data.count(b"PK\x01\x02") > MAX_MEMBERS:
        raise FormatError(f"{where}: expected a zip archive of at most {MAX_MEMBERS} members, got more")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        infos = archive.infolist()
        end = archive.start_dir
    except Exception as error:  # zipfile lets many kinds out of itself
        raise FormatError(f"{where}: not a well-formed zip archive: {error}") from None
    budget = min(MAX_BYTES, FREE_BYTES + MAX_RATIO * len(data))
    total = sum(info.file_size for info in infos)
    if total > budget:
        raise FormatError(f"{where}: expected members of at most {budget} bytes when inflated, got {total}")
    if len({info.filename for info in infos}) != len(infos):
        raise FormatError(f"{where}: a member of the zip archive is there twice")
    for info in sorted(infos, key=lambda info: info.header_offset, reverse=True):
        end = _check(info, data, end, where)
    return Members(archive, where)


class Members(Mapping[str, bytes]):
    """The members of an archive by name; each is inflated when it is asked for, and not kept."""

    def __init__(self, archive: zipfile.ZipFile, where: str) -> None:
        self._archive, self._where = archive, where
        self._infos = {info.filename: info for info in archive.infolist()}

    def __getitem__(self, name: str) -> bytes:
        info = self._infos[name]
        try:
            content = self._archive.read(info)  # at most file_size bytes, and checks the CRC
        except Exception as error:
            raise FormatError(f"{self._where}: member {name!r} cannot be read: {error}") from None
        if len(content) != info.file_size:
            raise FormatError(f"{self._where}: member {name!r}: expected {info.file_size} bytes, got {len(content)}")
        return content

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __len__(self) -> int:
        return len(self._infos)

    def __contains__(self, name: object) -> bool:
        return name in self._infos  # without inflating it

    def size(self, name: str) -> int:
        """How many bytes a member has when it is inflated."""
        return self._infos[name].file_size


def _check(info: zipfile.ZipInfo, data: bytes, end: int, where: str) -> int:
    """Hold one member against its own header, and against the member behind it, which begins at *end*."""
    name, start = info.filename, info.header_offset
    what = f"{where}: member {name[:80]!r}"
    parts = name.split("/")
    if not name or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES or {"..", "."} & set(parts) or not parts[0]:
        raise FormatError(f"{what}: expected a plain relative name of at most {MAX_NAME_BYTES} bytes")
    if "\\" in name or "\0" in info.orig_filename:
        raise FormatError(f"{what}: expected a name without backslashes and NULs")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & ENCRYPTED:
        raise FormatError(f"{what}: expected it stored or deflated, and not encrypted")
    if not 0 <= start <= end - LOCAL_HEADER.size:
        raise FormatError(f"{what}: overlaps another one, or lies outside the archive")
    magic, _, flags, method, _, _, crc, packed, size, n_name, n_extra = LOCAL_HEADER.unpack_from(data, start)
    told = {(crc, info.CRC), (packed, info.compress_size), (size, info.file_size)}
    agree = all(local in (central, UNTOLD) or (flags & STREAMED and not local) for local, central in told)
    if magic != MAGIC or method != info.compress_type or flags & ENCRYPTED or not agree:
        raise FormatError(f"{what}: its header and the directory of the archive contradict each other")
    if start + LOCAL_HEADER.size + n_name + n_extra + info.compress_size > end:
        raise FormatError(f"{what}: overlaps another one, or lies outside the archive")
    return start
