"""The layer as an ONNX model of one timestep: x (1, 1, n_in), h (1, 1, n_hid) -> y (1, 1, n_hid)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.base import Absent
from benchmarks.network import NAMES, Network


def serialised(network: Network) -> bytes:
    """The bytes of the model."""
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise Absent("onnx is not installed, which makes its model") from None
    w, u, b, c = (_zrh(network.tensors[f"gru.0.{name}"]) for name in NAMES)
    weights = {"W": w[None], "R": u[None], "B": np.concatenate([b, c])[None]}
    n_in, n_hid = network.n_in, network.n_hid

    def value(name: str, size: int) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, size])

    node = helper.make_node("GRU", ["x", "W", "R", "B", "", "h"], ["", "y"], hidden_size=n_hid, linear_before_reset=1)
    graph = helper.make_graph(
        [node], "gru", [value("x", n_in), value("h", n_hid)], [value("y", n_hid)],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in weights.items()],
    )  # fmt: skip
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()


def _zrh(tensor: NDArray[Any]) -> NDArray[Any]:
    """ONNX has the update gate first."""
    r, z, n = np.split(tensor, 3)
    return np.concatenate([z, r, n])
