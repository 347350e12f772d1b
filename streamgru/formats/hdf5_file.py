"""An HDF5 file, opened from memory with ``h5py``; what could lead outside it, or inflate without end, is refused.

HDF5 can point into other files, load filters from libraries and name sizes that no memory has. Only
arrays of numbers, in groups, within the file, stored plainly or deflated, are taken.
"""

from __future__ import annotations

import importlib
import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import FormatError, LoadError, UnsupportedError
from streamgru.formats.files import MAX_BYTES

MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_OBJECTS = 16_384  # groups and arrays; the state of an optimiser has several for each tensor
MAX_DEPTH = 16
MAX_RANK = 4
MAX_TEXT_BYTES = 16 << 20  # of all attributes of one object
FREE_BYTES = 64 << 20  # what the arrays of any file may inflate to
MAX_RATIO = 100  # beyond it, how many times its size

HEAP_MAGIC = b"GCOL\x01\0\0\0"
HEAP_ITEM = struct.Struct("<H6xQ")  # index and size, before each text
DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3  # numbers of HDF5's own filters
FILTER_ORDER = (SHUFFLE, DEFLATE, FLETCHER32)

Attribute = str | int | float | list[str]


def datasets(data: bytes, where: str) -> Datasets:
    """Open a file: a lazy mapping of paths, like ``model_weights/gru/kernel:0``, to arrays.

    Parameters
    ----------
    data : bytes
        The whole file.
    where : str
        What error messages call it.

    Raises
    ------
    FormatError
        If it is no HDF5 file, or has links, or anything in it is too large; also when an array is
        read that is damaged.
    UnsupportedError
        If ``h5py`` is not installed.
    """
    try:
        h5py: Any = importlib.import_module("h5py")
    except ImportError:
        raise UnsupportedError(
            f"{where}: an HDF5 file needs the package h5py; install it with: pip install streamgru[keras]"
        ) from None
    if not data.startswith(MAGIC):
        raise FormatError(f"{where}: expected an HDF5 file, got {len(data)} bytes that begin with {data[:8]!r}")
    _check_heaps(data, where)
    with _typed(where):
        # The core driver works on a copy in memory. The name is never opened, but two files of one name
        # are one file to it: the second would be answered with the contents of the first.
        name = os.urandom(16).hex().encode()
        settings = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
        settings.set_fapl_core(backing_store=False)
        settings.set_file_image(data)
        file = h5py.File(h5py.h5f.open(name, h5py.h5f.ACC_RDONLY, settings))
        if file.id.get_create_plist().get_sizes() != (8, 8):
            raise FormatError(f"{where}: expected an HDF5 file with addresses and sizes of 8 bytes")
        return Datasets(h5py, file, min(MAX_BYTES, FREE_BYTES + MAX_RATIO * len(data)), where)


class Datasets(Mapping[str, NDArray[Any]]):
    """The arrays of a file by path; each is read when it is asked for, and not kept."""

    def __init__(self, h5py: Any, file: Any, budget: int, where: str) -> None:
        self._h5py, self._budget, self._where = h5py, budget, where
        self._groups: dict[str, Any] = {"": file}
        self._found: dict[str, Any] = {}
        self._walk(file, "", 0)

    def __getitem__(self, path: str) -> NDArray[Any]:
        dataset = self._found[path]
        with _typed(f"{self._where}: {path}"):
            self._check(dataset, f"{self._where}: {path}")
            array = np.asarray(dataset[()])
            return np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(dataset.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, path: object) -> bool:
        return path in self._found  # without reading it

    def groups(self) -> tuple[str, ...]:
        """The paths of the groups; the file itself is the first, an empty one."""
        return tuple(self._groups)

    def attributes(self, path: str = "") -> dict[str, Attribute]:
        """The attributes of a group or an array that are text, numbers or lists of text; others are left out."""
        node = self._groups[path] if path in self._groups else self._found[path]
        what = f"{self._where}: the attributes of {path or 'the file'}"
        with _typed(what):
            found, total = {}, 0
            for name in node.attrs:
                item = node.attrs.get_id(name)
                total += item.get_storage_size() + 16 * math.prod(item.shape)
                if total > MAX_TEXT_BYTES:
                    raise FormatError(f"{what}: expected at most {MAX_TEXT_BYTES} bytes")
                is_text = self._h5py.check_string_dtype(item.dtype) is not None
                if is_text or _is_plain(item, self._h5py):
                    found[name] = node.attrs[name]
            plain = {name: _plain(value) for name, value in found.items()}
            return {name: value for name, value in plain.items() if value is not None}

    def _walk(self, group: Any, path: str, depth: int) -> None:
        """Find what is in a group, without following anything that leads elsewhere."""
        for name in group:
            inner = f"{path}/{name}" if path else name
            what = f"{self._where}: {inner[:200]}"
            if len(self._found) + len(self._groups) > MAX_OBJECTS or depth >= MAX_DEPTH:
                raise FormatError(f"{what}: expected at most {MAX_OBJECTS} objects, {MAX_DEPTH} groups deep")
            if not isinstance(group.get(name, getlink=True), self._h5py.HardLink):
                raise FormatError(f"{what}: expected no links, neither inside the file nor to another one")
            item = group[name]
            if isinstance(item, self._h5py.Group):
                self._groups[inner] = item
                self._walk(item, inner, depth + 1)
            elif isinstance(item, self._h5py.Dataset):
                self._found[inner] = item

    def _check(self, dataset: Any, what: str) -> None:
        """All that HDF5 would do to read an array, before it does it."""
        h5d, properties = self._h5py.h5d, dataset.id.get_create_plist()
        layout = properties.get_layout()
        if layout not in (h5d.COMPACT, h5d.CONTIGUOUS, h5d.CHUNKED) or properties.get_external_count():
            raise FormatError(f"{what}: expected an array within the file, not one that is in another file or virtual")
        if dataset.shape is None or not _is_plain(dataset.id, self._h5py) or len(dataset.shape) > MAX_RANK:
            raise FormatError(f"{what}: expected numbers in at most {MAX_RANK} dimensions, got {dataset.dtype}")
        chunk = properties.get_chunk() if layout == h5d.CHUNKED else ()
        n_bytes, n_chunk = (math.prod(sizes) * dataset.dtype.itemsize for sizes in (dataset.shape, chunk))
        if max(n_bytes, n_chunk) > self._budget:
            raise FormatError(f"{what}: expected at most {self._budget} bytes, got {max(n_bytes, n_chunk)}")
        filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
        if filters != [number for number in FILTER_ORDER if number in filters]:
            raise FormatError(
                f"{what}: expected no filters but shuffle, deflate, fletcher32, got the numbers {filters}"
            )
        if DEFLATE in filters and n_bytes:
            _check_inflation(dataset, n_chunk, what)


def _check_heaps(data: bytes, where: str) -> None:
    """Walk through every collection of long texts: one without length would keep HDF5 in a loop for ever."""
    at = data.find(HEAP_MAGIC)
    while at >= 0:
        size = int.from_bytes(data[at + 8 : at + 16], "little")
        end, item = at + size, at + 16
        while item + HEAP_ITEM.size <= min(end, len(data)):
            index, n_bytes = HEAP_ITEM.unpack_from(data, item)
            # Index 0 is the space that is left, and counts its own header.
            item += HEAP_ITEM.size + -(-n_bytes // 8) * 8 if index else n_bytes
            if item > end or (index == 0 and n_bytes < HEAP_ITEM.size):
                raise FormatError(f"{where}: damaged: texts of impossible lengths")
        at = data.find(HEAP_MAGIC, at + 1)


def _check_inflation(dataset: Any, n_chunk: int, what: str) -> None:
    """HDF5 inflates a chunk to whatever it holds, not to the size of a chunk: look first."""
    for i in range(dataset.id.get_num_chunks()):
        offset = dataset.id.get_chunk_info(i).chunk_offset
        mask, packed = dataset.id.read_direct_chunk(offset)
        inflate = zlib.decompressobj()
        if mask:  # filters that were left out for this chunk
            raise FormatError(f"{what}: expected all chunks to be deflated alike")
        inflated = inflate.decompress(packed, n_chunk + 1)
        if len(inflated) != n_chunk:
            raise FormatError(f"{what}: expected a chunk of {n_chunk} bytes, got one that inflates to another size")


def _is_plain(item: Any, h5py: Any) -> bool:
    """Whether numbers are stored as numpy has them, and not with bits of which HDF5 would have to make some."""
    return item.dtype.kind in "fiub" and bool(item.get_type() == h5py.h5t.py_create(item.dtype, logical=True))


def _plain(value: Any) -> Attribute | None:
    """An attribute as Python knows it; h5py gives text as str, bytes or arrays of them."""
    if isinstance(value, np.ndarray):
        texts = [_plain(item) for item in value.ravel().tolist()]
        return [text for text in texts if isinstance(text, str)] if all(isinstance(t, str) for t in texts) else None
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, (str, int, float)) else None


@contextmanager
def _typed(what: str) -> Iterator[None]:
    """Whatever h5py raises over a damaged file, it is a FormatError: a foreign library with kinds of its own."""
    try:
        yield
    except LoadError:
        raise
    except Exception as error:
        raise FormatError(f"{what}: not a well-formed HDF5 file: {error}") from None
