"""An ONNX file as plain data: nodes, constants, inputs and outputs. What the operators mean is told elsewhere.

Only what lies in the file itself is read: data kept in other files, sparse tensors and strings are refused.
The names of fields and their numbers are those of ``onnx.proto``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import FormatError, UnsupportedError
from streamgru.formats.files import MAX_BYTES
from streamgru.formats.protobuf_wire import BYTES, fields, signed, varints

MAX_NODES = 16_384
MAX_TENSORS = 4096
MAX_RANK = 8
MAX_SIZE = 1 << 31
MAX_NAME_BYTES = 1024

# number of a dtype -> what it is in raw_data, and the field that holds it otherwise
DTYPES = {
    1: ("<f4", "float_data"), 2: ("|u1", "int32_data"), 3: ("|i1", "int32_data"), 4: ("<u2", "int32_data"),
    5: ("<i2", "int32_data"), 6: ("<i4", "int32_data"), 7: ("<i8", "int64_data"), 9: ("|b1", "int32_data"),
    10: ("<f2", "int32_data"), 11: ("<f8", "double_data"), 12: ("<u4", "uint64_data"), 13: ("<u8", "uint64_data"),
    16: ("bfloat16", "int32_data"),
}  # fmt: skip


@dataclass(frozen=True)
class Node:
    """One operator. *inputs* and *outputs* are names, empty where an optional one is left out."""

    op: str
    name: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]  # int, float, str, an array, or a tuple of the first three

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"node {(self.name or ', '.join(filter(None, self.outputs)))[:200]!r} ({self.op[:80]})"


@dataclass(frozen=True)
class Port:
    """An input or an output of the graph; a size that is left open is a string, its name, or None."""

    name: str
    dtype: int
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True)
class Graph:
    """The whole file."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, NDArray[Any]]
    inputs: tuple[Port, ...]
    outputs: tuple[str, ...]
    opset: int
    producer: str


class Opaque:
    """An attribute that is not read, such as a graph: whoever needs it must refuse."""


def looks_like(data: bytes) -> bool:
    """Whether the bytes begin as ONNX files do: its version (field 1), and then one of the fields 2 to 8."""
    return data[:1] == b"\x08" and data[1:2] < b"\x20" and data[2:3] in (b"\x12", b"\x1a", b'"', b"(", b"2", b":", b"B")


def parse(data: bytes, where: str) -> Graph:
    """Read an ONNX file.

    Raises
    ------
    FormatError
        If the bytes are none, or a number in them cannot be right.
    UnsupportedError
        If it keeps data outside the file, or in a way that is not read.
    """
    if len(data) > MAX_BYTES:
        raise FormatError(f"{where}: expected at most {MAX_BYTES} bytes, got {len(data)}")
    try:
        return _model(memoryview(data))
    except FormatError as error:
        raise FormatError(f"{where}: not a well-formed ONNX file: {error}") from None
    except UnsupportedError as error:
        raise UnsupportedError(f"{where}: {error}") from None


def _model(data: memoryview) -> Graph:
    model = _Message("the model", data, MODEL)
    if "graph" not in model.one:
        raise FormatError("expected an ONNX model, got none: it has no graph")
    graph = _Message("the graph", model.one["graph"], GRAPH)
    if graph.many["sparse_initializer"]:
        raise UnsupportedError("it has sparse constants, which are not read; export dense ones")
    for what, limit in (("node", MAX_NODES), ("initializer", MAX_TENSORS)):
        if len(graph.many[what]) > limit:
            raise FormatError(f"expected at most {limit} of {what}, got {len(graph.many[what])}")
    constants: dict[str, NDArray[Any]] = {}
    for item in graph.many["initializer"]:
        name, array = _tensor(item)
        if name in constants:
            raise FormatError(f"the name {name[:80]!r} is taken twice")
        constants[name] = array
    inputs = tuple(_port(item) for item in graph.many["input"])
    version, producer = _opset(model), (model.text("producer_name"), model.text("producer_version"))
    return Graph(
        nodes=tuple(_node(item) for item in graph.many["node"]),
        constants=constants,
        inputs=tuple(port for port in inputs if port.name not in constants),  # before IR 4 constants are inputs too
        outputs=tuple(_port(item).name for item in graph.many["output"]),
        opset=version,
        producer=" ".join(producer).strip(),
    )


def _opset(model: _Message) -> int:
    found = {}
    for item in model.many["opset_import"]:
        entry = _Message("opset_import", item, OPSET)
        found[entry.text("domain")] = signed(entry.one.get("version", 0))
    return found.get("", found.get("ai.onnx", 1))


def _node(data: memoryview) -> Node:
    node = _Message("a node", data, NODE)
    attributes: dict[str, Any] = {}
    for item in node.many["attribute"]:
        name, value = _attribute(item)
        if name in attributes:
            raise FormatError(f"a node has the attribute {name[:80]!r} twice")
        attributes[name] = value
    names = {key: tuple(_text(item) for item in node.many[key]) for key in ("input", "output")}
    return Node(
        node.text("op_type"), node.text("name"), node.text("domain"), names["input"], names["output"], attributes
    )


def _attribute(data: memoryview) -> tuple[str, Any]:
    """Its name and value; the field that is filled tells the type, as it did before there was a field for that."""
    found = _Message("an attribute", data, ATTRIBUTE)
    kind = found.one.get("kind", 0)
    key = ATTRIBUTE_KINDS.get(kind) or next((key for key in ATTRIBUTE_KINDS.values() if found.has(key)), "ints")
    value: Any = Opaque()
    if found.has("ref_attr_name"):
        pass  # stands for an attribute of a function; functions are not read
    elif key == "f":
        value = _float(found.one.get("f", 0))
    elif key == "i":
        value = signed(found.one.get("i", 0))
    elif key == "s":
        value = found.text("s")
    elif key == "t" and "t" in found.one:
        value = _tensor(found.one["t"])[1]
    elif key == "floats":
        value = tuple(found.floats("floats", np.dtype("<f4")).tolist())
    elif key == "ints":
        value = tuple(found.integers("ints").tolist())
    elif key == "strings":
        value = tuple(_text(item) for item in found.many["strings"])
    return found.text("name"), value


def _port(data: memoryview) -> Port:
    info = _Message("an input or output", data, VALUE_INFO)
    kind = _Message("a type", info.one.get("type", memoryview(b"")), TYPE)
    if "tensor_type" not in kind.one:
        return Port(info.text("name"), 0, ())
    tensor = _Message("a type", kind.one["tensor_type"], TENSOR_TYPE)
    shape: list[int | str | None] = []
    for item in _Message("a shape", tensor.one.get("shape", memoryview(b"")), SHAPE).many["dim"][: MAX_RANK + 1]:
        dim = _Message("a dimension", item, DIMENSION)
        size = signed(dim.one["dim_value"]) if "dim_value" in dim.one else None
        if size is not None and not 0 <= size <= MAX_SIZE:
            raise FormatError(f"{info.text('name')[:80]!r}: expected a size up to {MAX_SIZE}, got {size}")
        shape.append(size or dim.text("dim_param") or None)  # some exporters write 0 for a size left open
    return Port(info.text("name"), tensor.one.get("elem_type", 0), tuple(shape))


def _tensor(data: memoryview) -> tuple[str, NDArray[Any]]:
    """Its name and elements: of sizes that the bytes bear out, so that a small file costs little memory."""
    tensor = _Message("a tensor", data, TENSOR)
    name = tensor.text("name")
    if tensor.many["external_data"] or tensor.one.get("data_location", 0):
        raise UnsupportedError(
            f"tensor {name[:80]!r} is kept in another file, which is never opened; export with all data in one file "
            "(torch.onnx.export(..., external_data=False))"
        )
    shape = tuple(tensor.integers("dims").tolist())
    # A size of 0 makes the product 0, and NumPy still multiplies the others.
    if len(shape) > MAX_RANK or min(shape, default=0) < 0 or math.prod(max(size, 1) for size in shape) > MAX_SIZE:
        raise FormatError(
            f"tensor {name[:80]!r}: expected up to {MAX_RANK} sizes and {MAX_SIZE} elements, got {shape[:9]}"
        )
    code = tensor.one.get("data_type", 0)
    if code not in DTYPES or "segment" in tensor.one:
        raise UnsupportedError(f"tensor {name[:80]!r}: expected floats, integers or booleans, got type {code}")
    flat = _elements(tensor, *DTYPES[code])
    if flat.size != math.prod(shape):
        raise FormatError(f"tensor {name[:80]!r}: expected {math.prod(shape)} elements for {shape}, got {flat.size}")
    array = flat.reshape(shape)
    array.flags.writeable = False
    return name, array


def _elements(tensor: _Message, dtype: str, key: str) -> NDArray[Any]:
    """The elements, from the bytes or from the field for their type; bfloat16 is the upper half of a float32."""
    raw = tensor.one.get("raw_data")
    half = dtype in ("<f2", "bfloat16")
    plain = np.dtype("<u2" if half else dtype)
    if raw is not None:
        if len(raw) % plain.itemsize:
            raise FormatError(f"a tensor has {len(raw)} bytes, no multiple of {plain.itemsize}")
        flat = np.frombuffer(raw, plain)
    elif key in ("float_data", "double_data"):
        flat = tensor.floats(key, plain)
    else:
        flat = tensor.integers(key).astype(plain)
    if dtype == "bfloat16":
        return np.asarray((flat.astype(np.uint32) << 16).view(np.float32))
    return np.asarray(flat.view("<f2") if half else flat)


class _Message:
    """One message: single fields in *one*, repeated ones in *many*; what the table does not name is passed over."""

    def __init__(self, what: str, data: memoryview, table: Mapping[int, str]) -> None:
        self.one: dict[str, Any] = {}
        self.many: dict[str, list[Any]] = {name[1:]: [] for name in table.values() if name[0] == "*"}
        self.what = what
        for number, wire_type, value in fields(data):
            name = table.get(number, "")
            plain = name.removeprefix("*")
            if name and plain not in LISTS and (wire_type == BYTES) == (plain in NUMBERS):
                raise FormatError(f"{what}: the field {plain} is of the wrong type")
            if plain != name:
                self.many[plain].append(value)
            elif name:
                if name in self.one:
                    raise FormatError(f"{what} has the field {name} twice")
                self.one[name] = value

    def has(self, key: str) -> bool:
        """Whether a field is there."""
        return key in self.one or bool(self.many.get(key))

    def text(self, key: str) -> str:
        """A string, empty if it is not there."""
        return _text(self.one.get(key, memoryview(b"")))

    def integers(self, key: str) -> NDArray[np.int64]:
        """Repeated integers, packed or not."""
        return self._numbers(key, varints, lambda value: np.array([value], np.uint64)).view(np.int64)

    def floats(self, key: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Repeated floats, packed or not."""

        def packed(data: memoryview) -> NDArray[Any]:
            if len(data) % dtype.itemsize:
                raise FormatError(f"{self.what}: {key} has {len(data)} bytes, no multiple of {dtype.itemsize}")
            return np.frombuffer(data, dtype)

        def single(value: int) -> NDArray[Any]:
            if value >> 8 * dtype.itemsize:
                raise FormatError(f"{self.what}: {key} holds a number of the wrong width")
            return np.frombuffer(value.to_bytes(dtype.itemsize, "little"), dtype)

        return self._numbers(key, packed, single)

    def _numbers(
        self, key: str, packed: Callable[[memoryview], NDArray[Any]], single: Callable[[int], NDArray[Any]]
    ) -> NDArray[Any]:
        parts = [packed(value) if isinstance(value, memoryview) else single(value) for value in self.many[key]]
        return np.concatenate([packed(memoryview(b"")), *parts])


def _text(data: Any) -> str:
    if not isinstance(data, memoryview) or len(data) > MAX_NAME_BYTES:
        raise FormatError(f"expected a name of at most {MAX_NAME_BYTES} bytes, got something else")
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"a name is not UTF-8: {error}") from None


def _float(bits: int) -> float:
    if bits >> 32:
        raise FormatError("an attribute holds a number of the wrong width")
    return float(np.frombuffer(bits.to_bytes(4, "little"), "<f4")[0])


# number -> name; a star marks what is repeated
MODEL = {2: "producer_name", 3: "producer_version", 7: "graph", 8: "*opset_import"}
OPSET = {1: "domain", 2: "version"}
GRAPH = {1: "*node", 5: "*initializer", 11: "*input", 12: "*output", 15: "*sparse_initializer"}
NODE = {1: "*input", 2: "*output", 3: "name", 4: "op_type", 5: "*attribute", 7: "domain"}
ATTRIBUTE = {
    1: "name", 2: "f", 3: "i", 4: "s", 5: "t", 6: "g", 7: "*floats", 8: "*ints", 9: "*strings", 20: "kind",
    10: "*tensors", 11: "*graphs", 21: "ref_attr_name",
}  # fmt: skip
ATTRIBUTE_KINDS = {1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 6: "floats", 7: "ints", 8: "strings", 9: "tensors",
                   10: "graphs"}  # fmt: skip
VALUE_INFO = {1: "name", 2: "type"}
TYPE = {1: "tensor_type"}
TENSOR_TYPE = {1: "elem_type", 2: "shape"}
SHAPE = {1: "*dim"}
DIMENSION = {1: "dim_value", 2: "dim_param"}
TENSOR = {
    1: "*dims", 2: "data_type", 3: "segment", 4: "*float_data", 5: "*int32_data", 7: "*int64_data", 8: "name",
    9: "raw_data", 10: "*double_data", 11: "*uint64_data", 13: "*external_data", 14: "data_location",
}  # fmt: skip
NUMBERS = ("version", "f", "i", "kind", "elem_type", "dim_value", "data_type", "data_location")
LISTS = ("floats", "ints", "dims", "float_data", "int32_data", "int64_data", "double_data", "uint64_data")
