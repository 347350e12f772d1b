"""Against what PyTorch answered when the golden files were made; torch is not needed here."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import streamgru
from tests.networks import KERNELS, of_layer
from tests.oracle import gru_numpy

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.safetensors") if not path.stem.startswith("format_1"))


def golden(name):
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return file["x"], file["y_float32"], file["y_float64"]


def test_there_are_golden_files():
    assert len(NAMES) == 7
    assert all(path.stat().st_size <= 60_000 for path in FOLDER.glob("*.*[sz]"))


@pytest.mark.parametrize("name", NAMES)
def test_float64(name):
    x, _, expected = golden(name)
    actual = streamgru.load(FOLDER / f"{name}.safetensors", dtype="float64").stream().run(x)
    assert actual.dtype == np.float64
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS["float32"])
@pytest.mark.parametrize("name", NAMES)
def test_float32_is_about_as_exact_as_torch(name, kernel):
    x, torchs, exact = golden(name)
    actual = streamgru.load(FOLDER / f"{name}.safetensors", kernel=kernel).stream().run(x)
    assert actual.dtype == np.float32
    error = np.abs(actual - exact).max()
    # One unit in the last place of a number below 1 is granted where torch happens to be all but exact.
    assert error <= max(2 * np.abs(torchs - exact).max(), 2**-24)
    assert error < 1e-6


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
def test_files_of_format_1_are_read_for_ever(dtype, tolerance):
    """Every layer and every key of the first format, and what it computed when it was written."""
    model = streamgru.load(FOLDER / "format_1.safetensors", dtype=dtype)
    with np.load(FOLDER / "format_1.npz", allow_pickle=False) as file:
        np.testing.assert_allclose(model.stream().run(file["x"]), file["y"], rtol=0, atol=tolerance)
    kinds = {type(layer).__struct_config__.tag for layer in model.spec.main.layers}
    assert len(kinds) == 13
    first, rest = model.spec.main.outputs
    assert (first.unit, first.factor, first.offset, first.stop) == ("degrees", 180.0, -90.0, 1)
    assert (rest.labels, rest.start) == (("no", "yes"), 1)
    assert model.spec.main.inputs[1].features == ("left", "right")


def small_by_numpy(x):
    """What the file with small weights computes, straight from its tensors."""
    tensors = {}
    for name, tensor in load_file(FOLDER / "format_1_small.safetensors").items():
        plain, _, form = name.rpartition(".")
        if form not in ("q8", "scale"):
            tensors[name] = tensor.astype(np.float64)
        elif form == "q8":
            scale = load_file(FOLDER / "format_1_small.safetensors")[f"{plain}.scale"]
            tensors[plain] = tensor.astype(np.float32) * scale[:, None]
    token = x[:, 0].astype(int)
    y = np.hstack([tensors["table8.weight"][token], tensors["table16.weight"][token], x[:, 1:]]).astype(np.float64)
    y = np.tanh(y @ tensors["dense8.weight"].astype(np.float64).T + tensors["dense8.bias"])
    for name, variant in (("gru8", "after"), ("gru16", "before"), ("mixed", "after")):
        y = gru_numpy.gru(y, **of_layer(tensors, name), variant=variant)
    return y @ tensors["head16.weight"].T + tensors["head16.bias"]


def test_small_weights_of_format_1_are_read_for_ever():
    """int8 and float16, apart and together in one layer, and tables of both; the bits of the packed kernels too."""
    path = FOLDER / "format_1_small.safetensors"
    with np.load(FOLDER / "format_1_small.npz", allow_pickle=False) as file:
        x, y, y_packed = file["x"], file["y"], file["y_packed"]
    np.testing.assert_allclose(small_by_numpy(x), y, rtol=0, atol=1e-12)
    np.testing.assert_allclose(streamgru.load(path, dtype="float64").stream().run(x), y, rtol=0, atol=1e-12)
    np.testing.assert_allclose(streamgru.load(path, kernel="blas").stream().run(x), y, rtol=0, atol=1e-6)
    packed = streamgru.load(path, kernel="packed").stream().run(x)
    np.testing.assert_array_equal(packed, y_packed, strict=True)
    np.testing.assert_allclose(packed, y, rtol=0, atol=1e-3)
    assert {tensor.dtype.name for tensor in load_file(path).values()} == {"int8", "float16", "float32"}


@pytest.mark.parametrize("name", NAMES)
def test_step_by_step_is_the_same(name):
    x, _, _ = golden(name)
    model = streamgru.load(FOLDER / f"{name}.safetensors")
    stream = model.stream()
    np.testing.assert_array_equal(np.array([stream.step(x_t) for x_t in x]), model.stream().run(x))


@pytest.mark.parametrize("name", NAMES)
def test_the_oracle_agrees(name):
    """What holds the oracle, which judges all else, to PyTorch."""
    x, _, expected = golden(name)
    tensors = {key.rpartition(".")[2]: array for key, array in load_file(FOLDER / f"{name}.safetensors").items()}
    h, keys = x, ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    for suffix in [f"_l{k}" for k in range(3) if f"weight_ih_l{k}" in tensors] or [""]:
        h = gru_numpy.gru(h, *(tensors[key + suffix] for key in keys if key + suffix in tensors))
    if "weight" in tensors:
        h = h @ tensors["weight"].astype(np.float64).T + tensors["bias"]
    np.testing.assert_allclose(h, expected, rtol=0, atol=1e-12)
