"""streamgru: a streaming runtime for trained GRU networks.

The layers of the package; each imports only from those below it, and from ``errors``::

    cli        the command line, one file per command
    pipeline   records in, ticks, predictions out
    adapters   sources, sinks and codecs, and the contract they keep
    stream     Model, Stream, Pool, snapshots
    formats    foreign weights -> spec + tensors
    model      spec (what the network is), layout, plan (how it runs)
    layers     one layer, one timestep
    kernels    floats in, floats out

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamgru.errors import (
        AdapterError,
        EndOfStream,
        FormatError,
        InputError,
        LoadError,
        NonFiniteError,
        NotConnected,
        OptionError,
        PoolFull,
        RecordError,
        ShapeError,
        SnapshotError,
        SpecError,
        StateError,
        StreamBusy,
        StreamgruError,
        TokenError,
        UnknownStream,
        UnsupportedError,
    )
    from streamgru.model.spec import Spec
    from streamgru.pipeline.pipeline import Pipeline
    from streamgru.stream.load import from_torch, load
    from streamgru.stream.model import Model
    from streamgru.stream.pool import Pool
    from streamgru.stream.stream import Stream

__version__ = "0.1.0"

_HOME = {
    "Model": "streamgru.stream.model",
    "Pipeline": "streamgru.pipeline.pipeline",
    "Pool": "streamgru.stream.pool",
    "Spec": "streamgru.model.spec",
    "Stream": "streamgru.stream.stream",
    "from_torch": "streamgru.stream.load",
    "load": "streamgru.stream.load",
}

__all__ = [
    "AdapterError",
    "EndOfStream",
    "FormatError",
    "InputError",
    "LoadError",
    "Model",
    "NonFiniteError",
    "NotConnected",
    "OptionError",
    "Pipeline",
    "Pool",
    "PoolFull",
    "RecordError",
    "ShapeError",
    "SnapshotError",
    "Spec",
    "SpecError",
    "StateError",
    "Stream",
    "StreamBusy",
    "StreamgruError",
    "TokenError",
    "UnknownStream",
    "UnsupportedError",
    "from_torch",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'streamgru' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME.get(name, "streamgru.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
