"""What is fuzzed: for every format, some small inputs to begin with, and a function that must raise typed errors alone.

A checksum stops a fuzzer at the door, so a format in an archive is fuzzed twice: the archive as it is, and what it
carries, wrapped again for every input.
"""

import io
import json
import tempfile
import zipfile
from functools import cache

import numpy as np
from safetensors.numpy import save

import streamgru
from streamgru.errors import LoadError, SnapshotError
from streamgru.formats import bare, hdf5_file, npz_file, protobuf_wire, torch_pickle, zip_file
from streamgru.formats import map as maps
from streamgru.formats.read import read
from streamgru.model import spec as s
from tests.formats.keras_files import small as keras_files
from tests.formats.onnx_bytes import gru_weights, model, node, port
from tests.formats.test_map_hostile import MAP
from tests.formats.test_torch_pickle import NUMBERS, archive, gru, state, tensor

SPEC = s.sequential(
    s.Gru(name="g", n_hid=2), s.Conv1d(name="c", n_out=1, size=3, before=2), s.Softmax(name="y"),
    inputs=(s.Input(name="x"),),
)  # fmt: skip
STREAMING = streamgru.load("builtin:shoulder")


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, content in members.items():
            made.writestr(name, content)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def read_any(data):
    """A whole file, of whatever format; and as a model, since a spec may fit its tensors or not."""
    found = read(data)
    streamgru.Model(found.spec, found.tensors)


def read_zip(data):
    members = zip_file.members(data, "file")
    for name in members:
        members[name]


def read_hdf5(data):
    found = hdf5_file.datasets(data, "file")
    for name in list(found):
        found.attributes(name)
        found[name]


def read_pickle(data):
    torch_pickle.loads(data, "file")
    read_any(archive(data, NUMBERS))


def read_npy(data):
    npz_file.parse(data, "file")


def read_config(data):
    """The configuration of a Keras model, beside weights that stay what they are."""
    read(zipped(**{"config.json": data, "model.weights.h5": keras_member("model.weights.h5")}))


@cache
def keras_member(name):
    with zipfile.ZipFile(io.BytesIO(keras_files()["keras"])) as whole:
        return whole.read(name)


def read_spec(data):
    (s.from_json if data[:1] == b"{" else s.from_toml)(data)


def read_map(data):
    """A map in a file, applied to arrays that stay what they are."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        maps.apply(file.name, {key: np.full(3, 2, np.int8) for key in "wu"}, "file")


def read_mapped(data):
    """Bare arrays, and the map that the tests of maps have."""
    found = bare.arrays(data, "file")
    for name in list(found):
        found[name]
    streamgru.load(data, map=MAP)


def read_snapshot(data):
    STREAMING.restore(data)


def planted(data):
    """Fields of a message, with a bug that takes three turns to come to: the fuzzer has to find it."""
    found = list(protobuf_wire.fields(memoryview(data)))
    numbers = [number for number, _, _ in found]
    if len(numbers) > 2 and numbers[0] == 7:  # noqa: SIM102  each turn is one more branch to be covered
        if numbers[1] == 11:  # noqa: SIM102
            if numbers[2] == 5:
                raise IndexError("the planted bug")


def onnx_files():
    ports = [port("x", ["t", "b", 1])], [port("y", ["t", "b", 1])]
    constants = gru_weights(1, 1) | {"V": np.ones((1, 1), np.float32), "one": np.array([1])}
    nodes = [
        node("GRU", "x W R B", "h", hidden_size=1, clip=2.0),
        node("Squeeze", "h one", "s"),
        node("MatMul", "s V", "y"),
    ]
    return [model(nodes, *ports, constants)]


def natives():
    tensors = {f"g.{key}": np.full((6, n), 0.5, np.float32) for key, n in (("weight_ih", 1), ("weight_hh", 2))}
    native = tensors | {"c.weight": np.ones((1, 6), np.float32)}
    of_torch = {"rnn.weight_ih_l0": np.ones((3, 1), np.float32), "rnn.weight_hh_l0": np.ones((3, 1), np.float32)}
    return [save(native, {"streamgru": s.to_json(SPEC).decode()}), save(of_torch)]


def arrays_of_a_map():
    weights = {key: np.full(3, 2, np.int8) for key in "wu"}
    return [zipped(**{f"{key}.npy": npy(array) for key, array in weights.items()}), save(weights)]


# format: what reads it, and inputs to begin with
TARGETS = {
    "safetensors": (read_any, natives),
    "onnx": (read_any, onnx_files),
    "pt": (read_any, lambda: [archive(gru(), NUMBERS)]),
    "pickle": (read_pickle, lambda: [gru(), state(w=tensor())]),
    "zip": (read_zip, lambda: [zipped(a=b"text", b=b"")]),
    "hdf5": (read_hdf5, lambda: [keras_files()["h5"]]),
    "keras": (read_any, lambda: [keras_files()["keras"]]),
    "h5": (read_any, lambda: [keras_files()["h5"]]),
    "config": (read_config, lambda: [keras_member("config.json")]),
    "npy": (read_npy, lambda: [npy(np.arange(6.0).reshape(2, 3)), npy(np.arange(3, dtype=">i2"))]),
    "npz": (read_mapped, arrays_of_a_map),
    "map": (read_map, lambda: [json.dumps(MAP).encode(), b'[[layers]]\nkind = "gru"\nname = "g"\n']),
    "spec": (read_spec, lambda: [s.to_json(SPEC), b'[[programs.main.layers]]\nname = "g"\nkind = "gru"\n']),
    "snapshot": (read_snapshot, lambda: [STREAMING.stream().snapshot()]),
    "planted": (planted, lambda: [b"\x08\x01"]),
}
ALLOWED = LoadError, SnapshotError
