"""What the figures were measured on, and on which of its cores."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

PACKAGES = ("streamgru", "numpy", "scipy", "torch", "onnxruntime", "openvino", "ai-edge-litert")
KERNELS = Path(__file__).parents[1] / "streamgru" / "kernels" / "simd"


def described() -> dict[str, object]:
    """The machine and the versions of everything that takes part."""
    from streamgru.kernels import packed

    return {
        "cpu": _cpu(),
        "cores": len(all_cores()),
        "isa": packed.isa,
        "system": f"{platform.system()} {platform.release()}",
        "compiler": _compiler(),
        "python": platform.python_version(),
        "load": load(),
        "kernels": digest(KERNELS),
        "versions": {name: version(name) for name in PACKAGES},
    }


def load() -> list[float]:
    """The load of the last minute, of five, and of fifteen."""
    return [round(load, 2) for load in os.getloadavg()]


def digest(folder: Path) -> str:
    """What changes when a file of a folder does."""
    found = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file():
            found.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]


def version(package: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def all_cores() -> list[int]:
    """The cores that this process had when it began."""
    return _CORES


def pin(cores: list[int]) -> None:
    """Keep the calling thread, and the threads it starts from now on, on these cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _cpu() -> str:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()


def _compiler() -> str:
    cc = os.environ.get("CC", "cc")
    return subprocess.run([cc, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


_CORES = _cores()
