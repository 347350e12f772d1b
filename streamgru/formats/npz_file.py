"""A NumPy archive (.npz): a zip of arrays, each with a header of text that tells its type and shape.

NumPy would evaluate the header as Python, and an array of objects is a pickle; here the header is held
against the one form that NumPy writes, and only arrays of numbers are read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import FormatError
from streamgru.formats.files import MAX_BYTES
from streamgru.formats.safetensors_file import MAX_RANK
from streamgru.formats.zip_file import Members

MAGIC = b"\x93NUMPY"
SUFFIX = ".npy"
MAX_HEADER_BYTES = 10_000
HEAD_BYTES = {1: 10, 2: 12, 3: 12}  # version -> magic, version, and the size of the header

ENTRY = re.compile(
    r"""\s*(?P<quote>['"])(?P<key>descr|fortran_order|shape)(?P=quote)\s*:\s*"""
    r"""(?P<value>'[^']{1,16}'|"[^"]{1,16}"|True|False|\([0-9L,\s]{0,200}\))\s*(?:,|(?=\}))"""
)
SHAPE = re.compile(r"\(\s*(?:\d{1,12}L?\s*,\s*)*(?:\d{1,12}L?\s*)?\)")  # Python 2 wrote 3L
NUMBERS = re.compile(r"[<>|](?:f[248]|[iu][1248])")


class Npz(Mapping[str, NDArray[Any]]):
    """The arrays of an archive by name; each is read when it is asked for, and not kept."""

    def __init__(self, members: Members, where: str) -> None:
        self._members, self._where = members, where
        self._names = {name.removesuffix(SUFFIX): name for name in members}
        if len(self._names) != len(members):
            raise FormatError(f"{where}: an array of the .npz file is there twice")

    def __getitem__(self, name: str) -> NDArray[Any]:
        return parse(self._members[self._names[name]], f"{self._where}: array {name[:80]!r}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names  # without reading it


def parse(data: bytes, what: str) -> NDArray[Any]:
    """Read one array, an ``.npy`` file.

    Raises
    ------
    FormatError
        If it is not well-formed, or holds anything but floats or integers.
    """
    if not data.startswith(MAGIC):
        raise FormatError(
            f"{what}: expected an array as NumPy writes it (.npy), got bytes that begin with {data[:8]!r}"
        )
    version = data[6] if len(data) > 6 else 0
    if version not in HEAD_BYTES or len(data) < HEAD_BYTES[version]:
        raise FormatError(f"{what}: expected version 1, 2 or 3 of the .npy format, got {version}")
    head = HEAD_BYTES[version]
    n_header = int.from_bytes(data[8:head], "little")
    if n_header > min(MAX_HEADER_BYTES, len(data) - head):
        raise FormatError(f"{what}: the header says it has {n_header} bytes, {len(data) - head} follow")
    dtype, fortran, shape = _header(data[head : head + n_header], what)
    body = data[head + n_header :]
    # A size of 0 makes the product 0, and NumPy still multiplies the others.
    impossible = math.prod(max(size, 1) for size in shape) > MAX_BYTES
    if impossible or math.prod(shape) * dtype.itemsize != len(body):
        raise FormatError(f"{what}: expected {shape} of {dtype}, got {len(body)} bytes")
    array = np.ndarray(shape, dtype, body, order="F" if fortran else "C")
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def _header(data: bytes, what: str) -> tuple[np.dtype[Any], bool, tuple[int, ...]]:
    text = data.decode("latin-1").strip()
    entries: dict[str, str] = {}
    at = 1
    while (match := ENTRY.match(text, at)) and match["key"] not in entries:
        entries[match["key"]] = match["value"]
        at = match.end()
    if not text.startswith("{") or len(entries) != 3 or text[at:].strip() != "}":
        kind = "a record of several fields" if "'descr': [" in text else f"the header {text[:100]!r}"
        raise FormatError(f"{what}: expected an array of numbers as NumPy writes it, got {kind}")
    descr, shape = entries["descr"][1:-1], entries["shape"]
    if not NUMBERS.fullmatch(descr):
        kind = "Python objects, a pickle, which is never opened" if "O" in descr else f"the type {descr!r}"
        raise FormatError(f"{what}: expected floats of 2, 4 or 8 bytes, or integers, got {kind}")
    sizes = tuple(int(number) for number in re.findall(r"\d+", shape)) if SHAPE.fullmatch(shape) else ()
    if len(sizes) > MAX_RANK or not SHAPE.fullmatch(shape):
        raise FormatError(f"{what}: expected a shape of at most {MAX_RANK} sizes, got {shape[:80]}")
    if entries["fortran_order"] not in ("True", "False"):
        raise FormatError(f"{what}: expected fortran_order True or False, got {entries['fortran_order'][:20]}")
    return np.dtype(descr), entries["fortran_order"] == "True", sizes
