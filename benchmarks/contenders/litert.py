"""LiteRT (TensorFlow Lite): the layer as a converter would write it, made without TensorFlow.

a = W x + b    v = U h + c    r, z = sigmoid(a + v)    n = tanh(a + r v)    y = n + z (h - n)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders.base import Absent, Contender, FromPython
from benchmarks.network import NAMES, Network

STEP = """
    put(x_at, x)
    put(h_at, h)
    invoke()
    h = get(y_at)
"""


def contenders(network: Network, x: NDArray[np.float32]) -> list[Contender]:
    """An interpreter, whose input and output lie in its own memory; the state is copied from one to the other."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise Absent("ai-edge-litert is not installed") from None
    interpreter = Interpreter(model_content=_serialised(network), num_threads=1)
    interpreter.allocate_tensors()
    places = {item["name"]: item["index"] for item in interpreter.get_input_details()}
    names = {"get": interpreter.get_tensor, "put": interpreter.set_tensor, "invoke": interpreter.invoke}
    names |= {"x": x[None], "h": np.zeros((1, network.n_hid), np.float32), "x_at": places["x"], "h_at": places["h"]}
    names |= {"y_at": interpreter.get_output_details()[0]["index"]}
    return [FromPython("LiteRT", STEP, lambda names: names["h"][0], **names)]


class _Graph:
    """A model of one subgraph, built op by op."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, name: str, shape: tuple[int, ...], numbers: NDArray[Any] | None = None) -> int:
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), self.schema.TensorType.FLOAT32
        if numbers is not None:
            if numbers.dtype == np.int32:
                tensor.type = self.schema.TensorType.INT32
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(numbers.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def op(self, kind: str, inputs: list[int], size: int, n_outputs: int = 1, **options: int) -> list[int]:
        """An operation of the kind ``FullyConnected``, ``Add`` ...; its outputs, each (1, size)."""
        s = self.schema
        code, operator = s.OperatorCodeT(), s.OperatorT()
        name = {"FullyConnected": "FULLY_CONNECTED"}.get(kind, kind.upper())
        code.builtinCode = code.deprecatedBuiltinCode = getattr(s.BuiltinOperator, name)
        self.model.operatorCodes.append(code)
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs = inputs
        operator.outputs = [self.tensor(f"{kind}{len(self.graph.tensors)}", (1, size)) for _ in range(n_outputs)]
        if hasattr(s, f"{kind}OptionsT"):
            operator.builtinOptionsType = getattr(s.BuiltinOptions, f"{kind}Options")
            operator.builtinOptions = getattr(s, f"{kind}OptionsT")()
            for key, value in options.items():
                setattr(operator.builtinOptions, key, value)
        self.graph.operators.append(operator)
        return operator.outputs


def _serialised(network: Network) -> bytes:
    try:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        raise Absent("this ai-edge-litert has no schema to make a model with") from None
    n_in, n_hid = network.n_in, network.n_hid
    g = _Graph(schema)
    x, h = g.tensor("x", (1, n_in)), g.tensor("h", (1, n_hid))
    w, u, b, c = (g.tensor(name, network.tensors[f"gru.0.{name}"].shape, network.tensors[f"gru.0.{name}"])
                  for name in NAMES)  # fmt: skip
    axis = g.tensor("axis", (), np.array(1, np.int32))
    a = g.op("Split", [axis, *g.op("FullyConnected", [x, w, b], 3 * n_hid)], n_hid, 3, numSplits=3)
    v = g.op("Split", [axis, *g.op("FullyConnected", [h, u, c], 3 * n_hid)], n_hid, 3, numSplits=3)
    r, z = (g.op("Logistic", g.op("Add", [a[i], v[i]], n_hid), n_hid)[0] for i in range(2))
    n = g.op("Tanh", g.op("Add", [a[2], *g.op("Mul", [r, v[2]], n_hid)], n_hid), n_hid)[0]
    y = g.op("Add", [n, *g.op("Mul", [z, *g.op("Sub", [h, n], n_hid)], n_hid)], n_hid)
    g.graph.inputs, g.graph.outputs = [x, h], y
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(g.model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
