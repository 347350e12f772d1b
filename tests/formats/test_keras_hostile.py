"""Keras files made to hurt: a typed error, or a model of the same shapes, and nothing is executed."""

import contextlib
import io
import json
import zipfile

import numpy as np
import pytest

from streamgru.errors import FormatError, LoadError, UnsupportedError
from streamgru.formats import hdf5_file, keras
from streamgru.formats.read import read
from tests.formats.keras_files import GRU2, entry, h5, sequential, small
from tests.formats.watching import check_quiet

h5py = pytest.importorskip("h5py", reason="needs h5py")


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"a": 1, "a": 2}', b"[" * 200_000, b"\xff", b'"x"', b"{}"])
def test_a_config_that_is_no_json(text):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", text)
        archive.writestr("model.weights.h5", h5(None, {}))
    with pytest.raises(LoadError):
        read(file.getvalue())


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_truncations_and_flipped_bits(ending):
    """A typed error, or a model of the same shapes."""
    whole = small()[ending]
    shapes = {name: array.shape for name, array in read(whole).tensors.items()}
    for size in range(0, len(whole), 7 if ending == "keras" else 97):
        with pytest.raises(LoadError):
            read(whole[:size])
    refused = 0
    for bit in range(0, 8 * len(whole), 13 if ending == "keras" else 211):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            found = read(bytes(changed))
        except LoadError:
            refused += 1
            continue
        assert {name: array.shape for name, array in found.tensors.items()} == shapes
    assert refused > 20


def test_a_bomb_within(monkeypatch):
    """What the archive inflates to is an HDF5 file, which has limits of its own."""
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        opened.create_dataset("layers/gru/cell/vars/0", (1 << 34, 3), np.float32, chunks=(1 << 12, 3))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(sequential(entry("GRU", "g", **GRU2))))
        archive.writestr("model.weights.h5", file.getvalue())
    with pytest.raises(FormatError, match="expected at most"):
        read(outer.getvalue())


def test_loading_executes_nothing(tmp_path):
    """Watched by an audit hook in a process of its own."""
    code = {"module": "os", "class_name": "system", "config": "true", "registered_name": "os>system"}
    external = io.BytesIO()
    with h5py.File(external, "w") as file:
        file["layers"] = h5py.ExternalLink(str(tmp_path / "keras"), "/")
    files = small() | {
        "torn": small()["h5"][:-9],
        "lambda": h5(sequential(entry("Lambda", "l", function=code, module="os")), {"l": {}}),
        "activation": h5(sequential(entry("GRU", "g", **{**GRU2, "activation": code})), {"g": {}}),
        "class": h5({"class_name": "os.system", "config": {"command": "true"}}, {}),
        "external": external.getvalue(),
    }
    check_quiet(tmp_path, files, n_good=len(small()))


JUNK = [
    None, True, -1, 0, 10**400, 1e400, float("nan"), "", "x", "../..", [], [[]], [1, 2, 3], ["a"] * 3, {},
    {"config": 3},    {"class_name": "__keras_tensor__"}, {"class_name": "GRU", "config": {}}, {"config": {"name": []}},
]  # fmt: skip


def places(value, path=()):
    """Every place in a tree of JSON."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


FLOAT = {"name": "float32"}


def everything():
    """A functional model of Keras 3's form with one layer of most kinds."""
    parts = [
        entry("InputLayer", "x", batch_shape=[None, 9, 4], dtype="float32"),
        entry("ZeroPadding1D", "pad", padding=[2, 0]),
        entry("Conv1D", "conv", filters=4, kernel_size=[3], strides=[1], padding="valid", activation="relu", groups=1),
        entry("BatchNormalization", "norm", axis=[-1], epsilon=1e-3, center=False),
        entry("AveragePooling1D", "pool", pool_size=[2], strides=None, padding="valid"),
        entry("Bidirectional", "both", merge_mode="sum", layer=entry("GRU", "inner", **GRU2, reset_after=True)),
        entry("RNN", "rnn", cell=entry("GRUCell", "cell", units=4, reset_after=True), return_sequences=True),
        entry("TimeDistributed", "each", layer=entry("Dense", "d", units=4, activation="linear")),
        entry("Normalization", "adapt", axis=-1, mean=[[[1.0]]], variance=2.0, invert=False),
        entry("Rescaling", "scale", scale=0.5, offset={"class_name": "__numpy__", "config": {"value": 1.0}}),
        entry("ReLU", "relu", max_value=None, negative_slope=[0.0], threshold=0.0),
        entry("Reshape", "same", target_shape=[-1, 4]),
        entry("Masking", "mask", mask_value=0.0),
        entry("Dense", "out", units=2, activation="softmax", dtype={"class_name": "DTypePolicy", "config": FLOAT}),
    ]  # fmt: skip
    before = None
    for part in parts:
        history = {"class_name": "__keras_tensor__", "config": {"keras_history": [before, 0, 0]}}
        part |= {"module": "keras.layers", "name": part["config"]["name"]}
        part["inbound_nodes"] = [{"args": [history], "kwargs": {"mask": None}}] if before else []
        before = part["name"]
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [[before, 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "m", "layers": parts, **ends}}


def test_any_value_of_a_config_replaced():
    """Whatever stands where, a typed error comes, not one of Python."""
    model = everything()
    gru = {"k": np.ones((4, 12)), "r": np.ones((4, 12)), "b": np.ones((2, 12))}
    weights = {
        "conv": {"k": np.ones((3, 4, 4)), "b": np.ones(4)}, "norm": {k: np.ones(4) for k in "gmv"},
        "both": {f"{end}{key}": array for end in "fb" for key, array in gru.items()},
        "rnn": gru, "each": {"k": np.ones((4, 4))}, "out": {"k": np.ones((4, 2))},
    }  # fmt: skip
    data = hdf5_file.datasets(h5(None, weights, root=""), "x")
    sources = {name: [f"{name}/{name}/{key}:0" for key in arrays] for name, arrays in weights.items()}
    assert len(keras._build(keras.graph(model), data, sources, "3.0")[2]) > 12
    n_tried = 0
    for path in places(model):
        for junk in JUNK:
            with contextlib.suppress(LoadError):
                keras._build(keras.graph(replaced(model, path, junk)), data, sources, "3.0")
            n_tried += 1
    assert n_tried > 4000


def test_many_groups_are_no_bomb():
    """As one matrix they would have 17 GB of zeros."""
    conv = entry("Conv1D", "c", filters=65_536, kernel_size=[1], groups=65_536, batch_input_shape=[None, None, 65_536])
    data = h5({"class_name": "Sequential", "config": [conv]}, {"c": {"k": np.ones((1, 1, 65_536))}})
    with pytest.raises(UnsupportedError, match="4294967296 weights"):
        read(data)
