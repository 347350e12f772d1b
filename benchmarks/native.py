"""C that is compiled when the benchmark begins: the loops, and an extension that cimports streamgru."""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import os
import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
BUILD = HERE / "results" / "build"
HEADERS = HERE.parent / "streamgru" / "kernels"
CHAINS = 12  # of loops.c
READERS = 3  # of read_once.h
LONG = ctypes.c_int64


@cache
def loops() -> ctypes.CDLL:
    """loops.c, compiled."""
    library = ctypes.CDLL(str(_shared(HERE / "loops.c", "loops.so", "-ffp-contract=fast", f"-I{HEADERS}")))
    library.bench_steps.restype = library.bench_each.restype = LONG
    library.bench_peak.restype = ctypes.c_float
    return library


@cache
def embedded() -> ModuleType:
    """embedded.pyx, compiled: a loop in Cython over streamgru's C API."""
    from Cython.Compiler.Main import compile_single
    from Cython.Compiler.Options import CompilationOptions

    BUILD.mkdir(parents=True, exist_ok=True)
    source = BUILD / "embedded.c"
    compile_single(
        str(HERE / "embedded.pyx"),
        CompilationOptions(language_level=3, output_file=str(source), include_path=[str(HERE.parent)]),
        "embedded",
    )
    include = sysconfig.get_paths()["include"]
    path = _shared(source, f"embedded{importlib.machinery.EXTENSION_SUFFIXES[0]}", f"-I{include}")
    spec = importlib.util.spec_from_file_location("embedded", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def c_function(name: str) -> ctypes.c_void_p:
    """The address of a function of streamgru's C API."""
    from streamgru.stream import embed

    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    capsule = ctypes.py_object(embed.__pyx_capi__[name])  # type: ignore[attr-defined]
    return ctypes.c_void_p(api.PyCapsule_GetPointer(capsule, ctypes.c_char_p(api.PyCapsule_GetName(capsule))))


def c_stream(stream: Any) -> ctypes.c_void_p:
    """The sg_stream* of a streamgru.Stream."""
    stream_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(c_function("sg_stream_of").value)
    return ctypes.c_void_p(stream_of(stream))


def address(array: NDArray[Any]) -> ctypes.c_void_p:
    """Where the numbers of an array lie."""
    return ctypes.c_void_p(array.ctypes.data)


def reader_widths() -> dict[int, int]:
    """The readers of read_once.h that this CPU can run, and the bytes of their vectors."""
    widths = {reader: loops().bench_reader_width(reader) for reader in range(READERS)}
    return {reader: width for reader, width in widths.items() if width}


def clock_cost_ns(n: int = 10_001) -> int:
    """What reading the clock around a step adds to it: the median."""
    ns = np.empty(n, np.int64)
    loops().bench_clock(LONG(n), address(ns))
    return int(np.median(ns))


def _shared(source: Path, name: str, *flags: str) -> Path:
    BUILD.mkdir(parents=True, exist_ok=True)
    target = BUILD / name
    cc = os.environ.get("CC", "cc")
    subprocess.run([cc, "-O3", "-shared", "-fPIC", *flags, str(source), "-o", str(target)], check=True)
    return target
