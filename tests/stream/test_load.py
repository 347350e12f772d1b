import logging

import numpy as np
import pytest
from safetensors.numpy import save

import streamgru
from streamgru.formats import native
from streamgru.model import spec as s


@pytest.fixture
def tensors():
    rng = np.random.default_rng(0)
    shapes = {"weight_ih_l0": (12, 3), "weight_hh_l0": (12, 4), "bias_ih_l0": (12,), "bias_hh_l0": (12,)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def equations(tensors, x):
    """One layer, reset after the product, from zero: h after every step."""
    h, states = np.zeros(4), []
    w, u, b, c = (tensors[f"{key}_l0"].astype(np.float64) for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    for x_t in x:
        (a_r, a_z, a_n), (k_r, k_z, k_n) = np.split(w @ x_t + b, 3), np.split(u @ h + c, 3)
        r, z = 1 / (1 + np.exp(-a_r - k_r)), 1 / (1 + np.exp(-a_z - k_z))
        h = (1 - z) * np.tanh(a_n + r * k_n) + z * h
        states.append(h)
    return np.array(states)


@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-6), ("float64", 1e-12)])
def test_it_computes_what_the_file_says(tensors, dtype, atol):
    model = streamgru.load(save(tensors), dtype=dtype)
    assert (model.n_in, model.n_out, model.dtype) == (3, 4, dtype)
    x = np.random.default_rng(1).standard_normal((20, 3)).astype(np.float32)
    np.testing.assert_allclose(model.stream().run(x), equations(tensors, x), rtol=0, atol=atol)


def test_foreign_and_native_files_give_the_same_bits(tmp_path, tensors):
    first = streamgru.load(save(tensors))
    native.write(tmp_path / "m", first.spec, first.tensors)
    second = streamgru.load(tmp_path / "m")
    assert second.fingerprint == first.fingerprint
    x = np.ones((5, 3), np.float32)
    np.testing.assert_array_equal(first.stream().run(x), second.stream().run(x))


def test_a_stream_goes_on_in_a_model_loaded_again(tensors):
    x = np.ones((5, 3), np.float32)
    stream = streamgru.load(save(tensors)).stream()
    stream.run(x)
    again = streamgru.load(save(tensors)).restore(stream.snapshot())
    np.testing.assert_array_equal(stream.run(x), again.run(x))


def test_what_was_found_is_logged(tensors, caplog):
    with caplog.at_level(logging.INFO, "streamgru.load"):
        streamgru.load(save(tensors))
    assert "weight_ih_l0 (12, 3)" in caplog.text
    assert "layer gru.0: gru, reset after the product, 3 -> 4" in caplog.text


def test_with_a_spec(tmp_path, tensors):
    spec = s.sequential(
        s.Gru(name="gru", n_hid=4), s.Softmax(name="p"), inputs=(s.Input(name="x", size=3, features=("a", "b", "c")),)
    )
    assert streamgru.load(save(tensors), spec=spec).stream().step([1, 2, 3]).sum() == pytest.approx(1)
    wrong = s.sequential(s.Gru(name="gru", n_hid=5), inputs=(s.Input(name="x", size=3),))
    with pytest.raises(streamgru.SpecError, match=r"expected shape \(15, 3\), got \(12, 3\)"):
        streamgru.load(save(tensors), spec=wrong)


def test_a_spec_from_python_is_checked(tensors):
    spec = s.sequential(s.Gru(name="gru", n_hid=4, gate="maxout"), inputs=(s.Input(name="x", size=3),))
    with pytest.raises(streamgru.SpecError, match="maxout"):
        streamgru.load(save(tensors), spec=spec)


def test_a_name_in_the_file_that_no_layer_can_have(tensors):
    with pytest.raises(streamgru.SpecError, match="name"):
        streamgru.load(save({f"a/b.{name}": tensor for name, tensor in tensors.items()}))


def test_arguments_that_cannot_be(tensors):
    with pytest.raises(streamgru.SpecError, match="map: expected either layers"):
        streamgru.load(save(tensors), map={})
    with pytest.raises(streamgru.SpecError, match="got both"):
        streamgru.load(save(tensors), map={}, spec="spec.toml")
    with pytest.raises(streamgru.UnsupportedError, match="dtype"):
        streamgru.load(save(tensors), dtype="float16")
    with pytest.raises(streamgru.UnsupportedError, match="kernel"):
        streamgru.load(save(tensors), kernel="cuda")
    with pytest.raises(streamgru.FormatError, match="absent"):
        streamgru.load("absent")


def test_half_precision_files(tensors):
    halves = {name: tensor.astype(np.float16) for name, tensor in tensors.items()}
    x = np.random.default_rng(1).standard_normal((20, 3)).astype(np.float32)
    np.testing.assert_allclose(streamgru.load(save(halves)).stream().run(x), equations(halves, x), rtol=0, atol=1e-6)
