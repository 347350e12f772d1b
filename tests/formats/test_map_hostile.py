"""Files and maps made to hurt: a LoadError, or a model of the same shapes; nothing is executed."""

import contextlib
import io
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save

import streamgru
from streamgru.errors import LoadError
from tests.formats.watching import check_quiet

MAP = {
    "inputs": [{"name": "x"}],
    "layers": [{
        "kind": "gru", "name": "g", "n_hid": 1, "convention": "rnnoise", "scale": 0.5,
        "arrays": {"input": "w", "recurrent": "u"},
    }],
}  # fmt: skip


def tensors():
    return {key: np.full(3, 2, np.int8) for key in "wu"}


def npz(compressed=False, **arrays):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


@pytest.fixture(params=["npz", "deflated", "safetensors"])
def small(request):
    if request.param == "safetensors":
        return save(tensors())
    return npz(request.param == "deflated", **tensors())


def test_every_prefix_is_refused(small):
    streamgru.load(small, map=MAP)
    for size in range(len(small)):
        with pytest.raises(LoadError):
            streamgru.load(small[:size], map=MAP)


def test_every_flipped_bit_is_refused_or_harmless(small):
    loaded = 0
    for bit in range(8 * len(small)):
        data = bytearray(small)
        data[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(LoadError):
            model = streamgru.load(bytes(data), map=MAP)
            assert {name: tensor.shape for name, tensor in model.tensors.items()} == {
                "g.weight_ih": (3, 1), "g.weight_hh": (3, 1),
            }  # fmt: skip
            loaded += 1
    assert loaded  # in a zip those of times and the like; the numbers have checksums


@pytest.mark.timeout(20)
def test_a_bomb_does_not_inflate():
    file = io.BytesIO()
    header = b"\x93NUMPY\x01\0\x76\0" + b"{'descr': '|i1', 'fortran_order': False, 'shape': (3, 1), }".ljust(118)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "wu":
            archive.writestr(f"{name}.npy", header + bytes(150 << 20))
    data = file.getvalue()
    assert len(data) < 1 << 20
    with pytest.raises(LoadError, match="when inflated"):
        streamgru.load(data, map=MAP)


@pytest.mark.parametrize("array", [
    np.full(3, np.nan, np.float32), np.full(3, np.inf), np.ones(3, complex), np.array(["a", "b", "c"]),
    np.array([1, "b", None], object), np.zeros(3, [("a", "f4")]), np.ones((3,) * 4), np.ones(0),
])  # fmt: skip
def test_arrays_that_are_no_weights(array):
    data = npz(w=array, u=tensors()["u"])
    for convention in ({}, {"scale": 1.0}):
        told = MAP | {"layers": [MAP["layers"][0] | convention]}
        with pytest.raises(LoadError, match="'w'"):
            streamgru.load(data, map=told)


@pytest.mark.parametrize("text", [
    "", "x", "inputs = 1", "[[layers]]", "layers = []", "format = 2", "\0", "a" * 100_000, "[" * 10_000,
    "layers = [" + "{a=" * 2000, "{" * 10_000, "{}", "[]", '{"layers": [[]]}', "[[layers]]\nname = 1\nkind = []",
    "[[layers]]\nkind = 'gru'\nname = 'g'\nconvention = []", "[[layers]]\nkind = 'gru'\nname = 'g'\nconvention = {}",
    "[[layers]]\nkind = 'gru'\nname = 'g'\nn_hid = 99999999999999999999\nconvention = 'torch'\narrays = {}",
    "[[layers]]\nkind = 'gru'\nname = 'g'\nn_hid = 65536\nconvention = 'torch'\narrays = {input = 'w'}",
    "[[layers]]\nkind = 'gru'\nname = 'g'\nn_hid = 1\nconvention = 'torch'\narrays = {input = {rr = 'w'}}",
    "[[layers]]\nkind = 'gru'\nname = 'g'\nn_hid = 1\nconvention = 'torch'\nscale = nan\narrays = {input = 'w'}",
    "[[layers]]\nkind = 'gru'\nname = 'g'\nn_hid = 1\nconvention = 'torch'\nscale = 1e999\narrays = {input = 'w'}",
    "[[layers]]\nkind = 'dense'\nname = 'd'\nn_out = 65536\nrows = 'inputs'\narrays = {weight = 'w'}",
    "[[layers]]\nkind = 'gru'\nname = '../x'\nn_hid = 1\nconvention = 'torch'\narrays = {}",
    "[[layers]]\nkind = 'softmax'\nname = 's'\narrays = {weight = 'w'}",
    "[[layers]]\nkind = 'add'\nname = 's'\ninputs = []",
    "[[layers]]\nkind = 'slice'\nname = 's'\nstart = 5\nstop = 9",
])  # fmt: skip
def test_maps_that_are_wrong(text, tmp_path):
    path = tmp_path / "map.toml"
    path.write_bytes(text.encode())
    with pytest.raises(LoadError):
        streamgru.load(npz(**tensors()), map=path)
    path.write_bytes(b'inputs = [{ name = "x" }]\n' + text.encode())
    with pytest.raises(LoadError):
        streamgru.load(npz(**tensors()), map=path)


@pytest.mark.parametrize("told", [{"layers": object()}, {1: 2}, {"layers": [{"kind": {1, 2}}]}, {"title": b"\xff"}])
def test_maps_in_python_that_are_wrong(told):
    with pytest.raises(LoadError, match="map: "):
        streamgru.load(npz(**tensors()), map=told)


def test_loading_executes_nothing(tmp_path):
    """Watched by an audit hook in a process of its own."""
    code = b"\x93NUMPY\x01\0\x1f\0{'descr': __import__('os').wait}"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("w.npy", code)
        archive.writestr("../u.npy", code)
    files = {
        "good": npz(**tensors()),
        "torn": npz(**tensors())[:-1],
        "objects": npz(w=np.array([{}, 1, 2], object), u=tensors()["u"]),
        "code": file.getvalue(),
        "record": npz(w=np.zeros(3, [("f", "O")]), u=tensors()["u"]),
        "safetensors": save(tensors()),
    }
    check_quiet(tmp_path, files, MAP)


def test_one_array_for_many_layers_has_bounds(monkeypatch):
    """It is read for each, and a small archive inflates to much."""
    layer = MAP["layers"][0]
    many = MAP | {"layers": [layer | {"name": f"g{i}"} for i in range(40)]}
    data = npz(**tensors())
    streamgru.load(data, map=many)
    monkeypatch.setattr("streamgru.formats.arrays.MAX_BYTES", 100)
    with pytest.raises(LoadError, match=r"layer 'g16'.* at most 100 bytes for all layers"):
        streamgru.load(data, map=many)


@pytest.mark.timeout(10)
def test_patterns_are_short():
    for pattern in ("[" * 20_000, "*" * 300):
        with pytest.raises(LoadError, match="ignore"):
            streamgru.load(npz(**tensors()), map=MAP | {"ignore": [pattern]})
