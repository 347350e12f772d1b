"""streamgru, by each of its doors and with each kind of weights; and what no step can beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.base import F16, F32, Q8, Calls, Contender, FromC, FromPython
from benchmarks.native import LONG, address, c_function, c_stream, embedded, loops, reader_widths
from benchmarks.network import HEAD, Network
from streamgru.kernels import panels
from streamgru.stream.model import Model

READ = "read once"  # the name of the limit begins with it


def contenders(network: Network, x: NDArray[np.float32]) -> list[Contender]:
    """One reset-after layer, in float32 by every door, and its small weights from C."""
    return [
        from_c("streamgru, C", network.model(), x),
        _from_cython(network.model(), x),
        _bound(network.model(), x),
        _from_python(network.model(), x),
        from_c("streamgru blas, C", network.model(kernel="blas"), x),
        from_c("streamgru int8, C", network.model(weights="int8"), x, Q8),
        from_c("streamgru float16, C", network.model(weights="float16"), x, F16),
    ]


def from_c(name: str, model: Model, x: NDArray[np.float32], tolerance: float = F32) -> Contender:
    """A step through the C function that ``from streamgru cimport sg_step`` gives."""
    stream, y = model.stream(), np.zeros(model.n_out, np.float32)
    return FromC(name, c_function("sg_step"), c_stream(stream), x, y, tolerance, owner=stream)


def dense(name: str, network: Network, x: NDArray[np.float32]) -> Contender:
    """The head of a network alone."""
    from streamgru.model.spec import Dense, Input, sequential

    spec = sequential(Dense(name="head", n_out=HEAD), inputs=(Input(name="x", size=network.n_hid),))
    tensors = {key: tensor for key, tensor in network.tensors.items() if key.startswith("head.")}
    return from_c(name, Model(spec, tensors, kernel="packed"), x)


def read_once(n_floats: int) -> list[Contender]:
    """Reading so many floats, which lie as those of a model do, with vectors of each width."""
    buffer = panels.aligned((n_floats,), np.float32)
    buffer[:] = 1  # pages of zeros that nobody wrote to are all the same page

    def reader(number: int) -> Any:
        arguments = number, address(buffer), LONG(buffer.nbytes)
        return lambda n, keep=buffer: loops().bench_read(*arguments, LONG(n))

    return [Calls(f"{READ}, {8 * width} bits", reader(number)) for number, width in reader_widths().items()]


def _from_cython(model: Model, x: NDArray[np.float32]) -> Contender:
    stream, y = model.stream(), np.zeros(model.n_out, np.float32)

    def take(n: int) -> None:
        assert embedded().steps(stream, x, y, n) == 0

    return Calls("streamgru, Cython", take, lambda: y)


def _from_python(model: Model, x: NDArray[np.float32]) -> Contender:
    y = np.zeros(model.n_out, np.float32)
    return FromPython("streamgru, Python", "stream.step(x, out=y)", lambda names: y, stream=model.stream(), x=x, y=y)


def _bound(model: Model, x: NDArray[np.float32]) -> Contender:
    y = np.zeros(model.n_out, np.float32)
    return FromPython("streamgru, bound", "bound.step()", lambda names: y, bound=model.stream().bind(x, y))
