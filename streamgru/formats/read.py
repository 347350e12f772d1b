"""Bytes of any known format -> spec + tensors. What a file is, its contents decide, never its name."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from streamgru.errors import FormatError, SpecError, UnsupportedError
from streamgru.formats import hdf5_file, native, onnx_file, safetensors_file, torch, zip_file
from streamgru.formats.builtin import builtin_path
from streamgru.formats.files import read_bytes
from streamgru.formats.safetensors_file import Tensors
from streamgru.model.spec import Spec, from_json, from_toml

BUILTIN = "builtin:"
MAX_SPEC_BYTES = 1 << 20

TORCH_ADVICE = (
    "It may hold code, so it is not opened. Where the model was trained, save it with "
    "safetensors.torch.save_file(model.state_dict(), path), or call streamgru.from_torch(model)."
)
MAP_ADVICE = "Give a map of its arrays, map='map.toml' (--map map.toml), that tells what they are."


@dataclass(frozen=True)
class Found:
    """A network found in a file; *findings* are lines for people: what became what, and why."""

    spec: Spec
    tensors: Tensors
    findings: tuple[str, ...]


def read(
    src: str | os.PathLike[str] | bytes,
    spec: Spec | str | os.PathLike[str] | None = None,
    map: str | os.PathLike[str] | Mapping[str, Any] | None = None,
) -> Found:
    """Read a network.

    Parameters
    ----------
    src : str, path-like or bytes
        A path, the bytes of the file themselves, or ``builtin:NAME`` for a network of the package.
    spec : Spec, str or path-like, optional
        What the network is, or a TOML or JSON file that tells it; needed where the file does not tell.
    map : str, path-like or mapping, optional
        A map, as a TOML or JSON file or the same data in Python: what the network is, and which array of the file is
        what. With it, a ``.npz``, ``.safetensors`` or ``.h5`` file may hold arrays of any name and convention.

    Raises
    ------
    FormatError, SpecError, UnsupportedError
        Nothing in the file is ever executed to find out.
    """
    if isinstance(src, str) and src.startswith(BUILTIN):
        src = builtin_path(src.removeprefix(BUILTIN))
    data, where = (src, "the bytes") if isinstance(src, bytes) else (read_bytes(src), str(src))
    if map is not None:
        return _mapped(data, where, spec, map)
    given = read_spec(spec) if isinstance(spec, (str, os.PathLike)) else spec
    if data.startswith(hdf5_file.MAGIC):
        return Found(*_keras().find_hdf5(hdf5_file.datasets(data, where), given, where))
    if data.startswith(zip_file.MAGIC) and b"config.json" in data[-65_536:]:
        return Found(*_keras().find_keras(zip_file.members(data, where), given, where))
    if onnx_file.looks_like(data):
        return Found(*_onnx(data, where, spec is not None))
    if safetensors_file.looks_like(data):
        tensors, metadata = safetensors_file.parse(data, where)
        if given is None and native.KEY in metadata:
            return Found(from_json(metadata[native.KEY]), tensors, ())
        return _state_dict(tensors, given, where, ())
    # It is what torch.save writes first; the directory at the end may be longer than what is searched of it.
    if data.startswith(zip_file.MAGIC) and b"data.pkl" in data[:2048] + data[-65_536:]:
        return _state_dict(*_checkpoint(data, where, given))
    raise _foreign(data, where)


def _state_dict(tensors: Tensors, spec: Spec | None, where: str, before: tuple[str, ...]) -> Found:
    """The names and shapes of PyTorch tell the network, or a spec does."""
    if spec is not None:
        mapped, findings = torch.map_tensors(spec, tensors)
    else:
        spec, mapped, findings = torch.find(tensors, where)
    return Found(spec, mapped, (*before, *findings))


def _checkpoint(data: bytes, where: str, spec: Spec | None) -> tuple[Tensors, Spec | None, str, tuple[str, ...]]:
    from streamgru.formats import torch_file  # only for who has such a file

    tensors, findings = torch_file.find(zip_file.members(data, where), where)
    return tensors, spec, where, findings


def _mapped(
    data: bytes,
    where: str,
    spec: Spec | str | os.PathLike[str] | None,
    map: str | os.PathLike[str] | Mapping[str, Any],
) -> Found:
    """A file of bare arrays; the map tells the rest."""
    from streamgru.formats import bare  # what few need is imported when it is
    from streamgru.formats import map as maps

    if spec is not None:
        raise SpecError("expected a spec or a map, got both; a map tells what a spec does")
    return Found(*maps.apply(map, bare.arrays(data, where), where))


def read_spec(path: str | os.PathLike[str]) -> Spec:
    """Read a spec from a TOML or a JSON file."""
    text = read_bytes(path, MAX_SPEC_BYTES)
    return from_json(text) if text.lstrip().startswith(b"{") else from_toml(text)


def _keras() -> ModuleType:
    """The reader of Keras files, imported when one has come."""
    return importlib.import_module("streamgru.formats.keras")


def _onnx(data: bytes, where: str, has_spec: bool) -> tuple[Spec, Tensors, tuple[str, ...]]:
    from streamgru.formats.onnx import read as onnx  # only for who has such a file

    if has_spec:
        raise SpecError(f"{where}: an ONNX file tells itself what network it is; leave out spec=")
    return onnx.find(data, where)


def _foreign(data: bytes, where: str) -> FormatError | UnsupportedError:
    """The error that tells what a file is that cannot be read, and what to do instead."""
    kind, advice = _recognise(data)
    if kind:
        return UnsupportedError(f"{where}: this is {kind}; expected a .safetensors file. {advice}")
    return FormatError(f"{where}: expected a .safetensors file, got {len(data)} bytes that begin with {data[:8]!r}")


def _recognise(data: bytes) -> tuple[str, str]:
    if data.startswith(b"PK\x03\x04"):
        # The names of the members stand in the headers at both ends; no need to open the archive.
        ends = data[:65_536] + data[-65_536:]
        if b".npy" in ends:
            return "a NumPy archive (.npz)", MAP_ADVICE
        return "a zip archive", "Unpack it."
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a pickle, perhaps an old PyTorch checkpoint", TORCH_ADVICE
    for magic, at, kind, advice in MAGIC:
        if data[at : at + len(magic)] == magic:
            return kind, advice
    return "", ""


MAGIC = (
    (b"TFL3", 4, "a TensorFlow Lite model", "Load the model that it was converted from."),
    (b"GGUF", 0, "a GGUF file", "It holds language models, not GRUs."),
    (b"\x93NUMPY", 0, "one NumPy array (.npy)", "A network needs several, with names, in a .safetensors file."),
    (b"version https://git-lfs", 0, "a pointer of Git LFS, not the file itself", "Fetch it with: git lfs pull"),
)  # fmt: skip
