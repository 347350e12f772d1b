"""A .safetensors file, read with every number checked before it is used.

The ``safetensors`` library checks the structure (offsets without holes or overlaps, shapes that fit
their bytes). It would also take a header of 100 MB and the same name twice; the limits here come
first, and are those of real networks.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray

from streamgru.errors import FormatError
from streamgru.formats.files import MAX_BYTES

MAX_HEADER_BYTES = 1 << 20
MAX_TENSORS = 4096
MAX_RANK = 4
MAX_NAME_BYTES = 256

Tensors = dict[str, NDArray[Any]]

_deserialize: Any = safetensors.deserialize  # the library has no types

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "|b1",
    "I8": "|i1", "U8": "|u1", "I16": "<i2", "U16": "<u2", "I32": "<i4", "U32": "<u4", "I64": "<i8", "U64": "<u8",
}  # fmt: skip


def looks_like(data: bytes) -> bool:
    """Whether the bytes begin as a safetensors file does: the size of a header, then the header, an object."""
    return data[8:9] == b"{"


def parse(data: bytes, where: str) -> tuple[Tensors, dict[str, str]]:
    """Read the tensors and the metadata.

    Parameters
    ----------
    data : bytes
        The whole file.
    where : str
        What error messages call it.

    Raises
    ------
    FormatError
        If anything in it is not as it should be.
    """
    header = _header(data, where)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise FormatError(f"{where}: expected __metadata__ to be an object, got {type(metadata).__name__}")
    if len(header) > MAX_TENSORS:
        raise FormatError(f"{where}: expected at most {MAX_TENSORS} tensors, got {len(header)}")
    for name, entry in header.items():
        _check_entry(name, entry, where)
    try:
        found = _deserialize(data)
    except safetensors.SafetensorError as error:
        raise FormatError(f"{where}: not a well-formed safetensors file: {error}") from None
    return {name: _array(entry) for name, entry in found}, metadata


def _header(data: bytes, where: str) -> dict[str, Any]:
    """The header, an object of JSON; its size is believed only within the limit and the file."""
    if len(data) > MAX_BYTES:
        raise FormatError(f"{where}: expected at most {MAX_BYTES} bytes, got {len(data)}")
    if len(data) < 8:
        raise FormatError(f"{where}: expected a safetensors file, at least 8 bytes, got {len(data)}")
    size = int.from_bytes(data[:8], "little")
    if size > MAX_HEADER_BYTES:
        raise FormatError(f"{where}: expected a header of at most {MAX_HEADER_BYTES} bytes, got {size}")
    if 8 + size > len(data):
        raise FormatError(f"{where}: the header says it has {size} bytes, but only {len(data) - 8} follow")
    try:
        header = json.loads(str(data[8 : 8 + size], "utf-8"), object_pairs_hook=_no_twins)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: the header is not the JSON of a safetensors file: {error}") from None
    if not isinstance(header, dict):
        raise FormatError(f"{where}: expected the header to be an object, got {type(header).__name__}")
    return header


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    items = dict(pairs)
    if len(items) != len(pairs):
        raise ValueError("a name is there twice")
    return items


def _check_entry(name: str, entry: Any, where: str) -> None:
    if len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise FormatError(f"{where}: expected names of at most {MAX_NAME_BYTES} bytes, got {name[:40]!r}...")
    if not isinstance(entry, dict) or not isinstance(entry.get("shape"), list):
        raise FormatError(f"{where}: tensor {name!r}: expected dtype, shape and data_offsets, got {str(entry)[:80]}")
    if not all(type(size) is int and 0 <= size <= MAX_BYTES for size in entry["shape"]):
        raise FormatError(f"{where}: tensor {name!r}: expected sizes up to {MAX_BYTES}, got {str(entry['shape'])[:80]}")
    rank = len(entry["shape"])
    if rank > MAX_RANK:
        raise FormatError(f"{where}: tensor {name!r}: expected at most {MAX_RANK} dimensions, got {rank}")
    dtype = str(entry.get("dtype"))[:40]
    if dtype not in (*DTYPES, "BF16"):
        raise FormatError(f"{where}: tensor {name!r}: expected a dtype of {', '.join(DTYPES)}, BF16; got {dtype!r}")


def _array(entry: Any) -> NDArray[Any]:
    """One tensor; bfloat16, which numpy lacks, is the upper half of a float32."""
    data = memoryview(entry["data"]).toreadonly()  # so that a model need not copy what nobody can write to
    if entry["dtype"] == "BF16":
        array = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        array = np.frombuffer(data, DTYPES[entry["dtype"]])
    array = array.reshape(entry["shape"])
    array.flags.writeable = False
    return array
