"""The native file: a .safetensors whose metadata carries the spec, as JSON, under the key ``streamgru``.

Tensors go by their native names, ``<layer>.<tensor>``. Files of format 1 will be read for ever.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from streamgru.errors import FormatError
from streamgru.formats import safetensors_file
from streamgru.formats.files import read_bytes, write_bytes
from streamgru.formats.safetensors_file import Tensors
from streamgru.model.programs import lay_out_all
from streamgru.model.spec import Spec, checked, from_json, to_json

KEY = "streamgru"


def write(path: str | os.PathLike[str], spec: Spec, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write a native file: atomically, and only what :func:`read` and a model will take.

    Parameters
    ----------
    path : str or path-like
        A file that is already there is replaced.
    spec : Spec
    tensors : mapping of str to ndarray
        Named ``<layer>.<tensor>``.

    Raises
    ------
    SpecError
        If spec and tensors do not fit.
    """
    lay_out_all(checked(spec), tensors)
    plain = {name: np.asarray(array, array.dtype.newbyteorder("="), order="C") for name, array in tensors.items()}
    write_bytes(path, save(plain, {KEY: to_json(spec).decode()}))


def read(path: str | os.PathLike[str]) -> tuple[Spec, Tensors]:
    """Read a native file.

    Raises
    ------
    FormatError, SpecError
        If it is not one, or its spec is wrong.
    """
    tensors, metadata = safetensors_file.parse(read_bytes(path), str(path))
    if KEY not in metadata:
        raise FormatError(f"{path}: expected a native file, with {KEY!r} in its metadata, got {sorted(metadata)[:6]}")
    return from_json(metadata[KEY]), tensors
