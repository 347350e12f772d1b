"""ONNX Runtime: plain ``run``, and with inputs and outputs bound once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.base import Absent, Contender, FromPython
from benchmarks.contenders.onnx_model import serialised
from benchmarks.network import Network


def contenders(network: Network, x: NDArray[np.float32]) -> list[Contender]:
    """Two ways to call one model."""
    try:
        import onnxruntime as ort
    except ImportError:
        raise Absent("onnxruntime is not installed") from None
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(serialised(network), options, providers=["CPUExecutionProvider"])
    return [_plain(session, network.n_hid, x), _bound(session, network.n_hid, x)]


def _plain(session: Any, n_hid: int, x: NDArray[np.float32]) -> Contender:
    feed = {"x": x[None, None], "h": np.zeros((1, 1, n_hid), np.float32)}
    step = "(feed['h'],) = session.run(outputs, feed)"
    return FromPython(
        "ONNX Runtime", step, lambda names: names["feed"]["h"][0, 0], session=session, outputs=["y"], feed=feed
    )


def _bound(session: Any, n_hid: int, x: NDArray[np.float32]) -> Contender:
    """Two buffers for the state, which change places at every step."""
    states = np.zeros((2, 1, 1, n_hid), np.float32)
    bindings = []
    for i in range(2):
        binding = session.io_binding()
        for name, array in (("x", x[None, None]), ("h", states[i])):
            binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        target = states[1 - i]
        binding.bind_output("y", "cpu", 0, np.float32, target.shape, target.ctypes.data)
        bindings.append(binding)
    step = """
        session.run_with_iobinding(now)
        now, then = then, now
    """

    def answer(names: dict[str, Any]) -> NDArray[Any]:
        return states[0 if names["now"] is bindings[0] else 1, 0, 0]

    return FromPython("ONNX Runtime bound", step, answer, session=session, now=bindings[0], then=bindings[1])
