"""ONNX files byte by byte, with no package for it: also such as no exporter would write."""

import numpy as np

CODES = {"float32": 1, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11}


def varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number, value):
    """One field: of a number, of bytes or text, or of a list of these."""
    if isinstance(value, list):
        return b"".join(field(number, item) for item in value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + np.float32(value).tobytes()
    if isinstance(value, (int, np.integer)):
        return varint(number << 3) + varint(int(value))
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(array, name=""):
    array = np.asarray(array)
    head = field(1, list(array.shape)) + field(2, CODES[array.dtype.name]) + (field(8, name) if name else b"")
    return head + field(9, np.ascontiguousarray(array).tobytes())


def attribute(name, value):
    if isinstance(value, float):
        body = field(2, value) + field(20, 1)
    elif isinstance(value, int):
        body = field(3, value) + field(20, 2)
    elif isinstance(value, str):
        body = field(4, value) + field(20, 3)
    elif isinstance(value, np.ndarray):
        body = field(5, tensor(value)) + field(20, 4)
    else:
        number, kind = {float: (7, 6), int: (8, 7), str: (9, 8)}[type(value[0])]
        body = field(number, list(value)) + field(20, kind)
    return field(1, name) + body


def node(op, inputs, outputs, name="", domain="", **attributes):
    split = (item.split() if isinstance(item, str) else item for item in (inputs, outputs))
    ins, outs = ([("" if one == "-" else one) for one in item] for item in split)
    return (
        field(1, list(ins)) + field(2, list(outs)) + (field(3, name) if name else b"") + field(4, op)
        + field(5, [attribute(key, value) for key, value in attributes.items()])
        + (field(7, domain) if domain else b"")
    )  # fmt: skip


def port(name, shape, dtype="float32"):
    dims = [field(2, size) if isinstance(size, str) else field(1, size) for size in shape]
    return field(1, name) + field(2, field(1, field(1, CODES[dtype]) + field(2, field(1, dims))))


def model(nodes, inputs, outputs, constants=None, opset=22, producer="tests", extra=b""):
    """A file. *inputs* and *outputs* are ports; *constants* arrays by name; *extra* goes into the graph."""
    initializers = [tensor(array, name) for name, array in (constants or {}).items()]
    graph = field(1, list(nodes)) + field(2, "g") + field(5, initializers) + field(11, list(inputs))
    graph += field(12, list(outputs)) + extra
    return field(1, 8) + field(2, producer) + field(7, graph) + field(8, field(1, "") + field(2, opset))


def gru_weights(n_in, n_hid, n_directions=1, seed=0, dtype="float32"):
    """W, R and B of a GRU node."""
    rng = np.random.default_rng(seed)
    shapes = {"W": (3 * n_hid, n_in), "R": (3 * n_hid, n_hid), "B": (6 * n_hid,)}
    return {name: rng.uniform(-1, 1, (n_directions, *shape)).astype(dtype) for name, shape in shapes.items()}
