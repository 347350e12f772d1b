"""Files of bare arrays, .npz, .safetensors or .h5 -> arrays by name; what a file is, its contents decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from streamgru.errors import FormatError
from streamgru.formats import hdf5_file, npz_file, safetensors_file, zip_file


def arrays(data: bytes, where: str) -> Mapping[str, NDArray[Any]]:
    """Open a file of arrays; some are read only when they are asked for.

    Raises
    ------
    FormatError, UnsupportedError
        If it is of no such format, or not well-formed.
    """
    if data.startswith(zip_file.MAGIC):
        return npz_file.Npz(zip_file.members(data, where), where)
    if data.startswith(hdf5_file.MAGIC):
        return hdf5_file.datasets(data, where)
    if safetensors_file.looks_like(data):
        return safetensors_file.parse(data, where)[0]
    raise FormatError(
        f"{where}: expected a file of arrays for the map, .npz, .safetensors or .h5, got {len(data)} bytes that begin "
        f"with {data[:8]!r}"
    )
