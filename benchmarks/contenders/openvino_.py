"""OpenVINO, in float32, tuned for latency, on one thread."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.base import Absent, Contender, FromPython
from benchmarks.contenders.onnx_model import serialised
from benchmarks.network import Network


def contenders(network: Network, x: NDArray[np.float32]) -> list[Contender]:
    """A request with its tensors set once; the state is copied from the output to the input."""
    try:
        import openvino as ov
    except ImportError:
        raise Absent("openvino is not installed") from None
    core = ov.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }  # fmt: skip
    model = core.read_model(io.BytesIO(serialised(network)))
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    request.set_tensor("x", ov.Tensor(x[None, None], shared_memory=True))
    h, y = (request.get_tensor(name).data for name in ("h", "y"))
    h[:] = 0
    step = """
        request.infer()
        h[:] = y
    """
    return [FromPython("OpenVINO", step, lambda names: y[0, 0], request=request, h=h, y=y)]
