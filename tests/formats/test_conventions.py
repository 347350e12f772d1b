"""Each convention against its own formula, and every field of one by itself."""

import io

import numpy as np
import pytest

import streamgru
from streamgru.formats.conventions import PRESETS
from streamgru.formats.map import apply
from tests.formats import foreign_grus as foreign
from tests.formats.foreign_grus import N_HID, N_IN
from tests.oracle.gru_numpy import gru as reference

X = np.random.default_rng(1).uniform(-2, 2, (20, N_IN))
BLOCKS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def map_of(layer):
    """The map of one GRU."""
    return {
        "inputs": [{"name": "x", "size": N_IN}],
        "layers": [{"kind": "gru", "name": "gru", "n_hid": N_HID, **layer}],
    }


def npz(arrays):
    """The bytes of an .npz file."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def run(arrays, layer, dtype="float64"):
    """What the model of a map answers over X."""
    return streamgru.load(npz(arrays), map=map_of(layer), dtype=dtype).stream().run(X.astype(dtype))


@pytest.mark.parametrize("cls", foreign.ALL, ids=lambda cls: cls.__name__)
def test_a_convention_is_its_formula(cls):
    gru = cls()
    expected = foreign.states(gru, X)
    np.testing.assert_allclose(run(gru.arrays, cls.layer), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(run(gru.arrays, cls.layer, "float32"), expected, rtol=0, atol=1e-5)


def test_every_convention_is_tested():
    assert {cls.layer["convention"] for cls in foreign.ALL} == set(PRESETS)


@pytest.mark.parametrize("cls", foreign.ALL, ids=lambda cls: cls.__name__)
def test_a_convention_is_nothing_but_its_fields(cls):
    gru = cls()
    spelled_out = {**PRESETS[cls.layer["convention"]], **cls.layer}
    del spelled_out["convention"]
    np.testing.assert_array_equal(run(gru.arrays, spelled_out), run(gru.arrays, cls.layer))


@pytest.mark.parametrize("order", ["rzn", "rnz", "zrn", "znr", "nrz", "nzr"])
@pytest.mark.parametrize("rows", ["outputs", "inputs"])
@pytest.mark.parametrize("update", ["keep", "write"])
@pytest.mark.parametrize("variant", ["after", "before"])
def test_order_orientation_variant_and_update(order, rows, update, variant):
    """Arrays of PyTorch, rearranged here and back there."""
    native = foreign.Torch().arrays
    expected = reference(X, *(native[key] for key in BLOCKS), variant=variant)
    arrays = {}
    for key, array in native.items():
        parts = dict(zip("rzn", np.split(array, 3), strict=True))
        if update == "write":
            parts["z"] = -parts["z"]
        moved = np.concatenate([parts[gate] for gate in order])
        arrays[key] = moved.T if rows == "inputs" else moved
    told = {"order": order, "rows": rows, "update": update, "variant": variant, "arrays": foreign.Torch.layer["arrays"]}
    np.testing.assert_allclose(run(arrays, told), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("joined", ["xh", "hx"])
@pytest.mark.parametrize("one", [True, False])
def test_x_and_h_in_one_array(joined, one):
    native = foreign.Torch().arrays
    w, u = native["weight_ih"], native["weight_hh"]
    whole = np.concatenate([w, u] if joined == "xh" else [u, w], axis=1)
    arrays = {"b": native["bias_ih"], "c": native["bias_hh"]}
    arrays |= {"whole": whole} if one else dict(zip("rzn", np.split(whole, 3), strict=True))
    both = "whole" if one else {"zrn"[k]: "zrn"[k] for k in range(3)}
    layer = {"convention": "torch", "joined": joined, "arrays": {"both": both, "bias": "b", "recurrent_bias": "c"}}
    np.testing.assert_allclose(run(arrays, layer), reference(X, *(native[key] for key in BLOCKS)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("gate", ["hard_sigmoid", "hard_sigmoid_keras3"])
def test_a_hard_sigmoid_that_writes(gate):
    gru = foreign.Haiku()
    z_r_a = {key: np.split(gru.arrays[key], 3, axis=-1) for key in gru.arrays}
    kept = [np.concatenate([parts[1], -parts[0], parts[2]], axis=-1).T for parts in z_r_a.values()]
    expected = reference(X, *kept, variant="before", gate=gate)
    np.testing.assert_allclose(run(gru.arrays, foreign.Haiku.layer | {"gate": gate}), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("gate", ["relu", "tanh", "linear"])
def test_a_gate_that_cannot_be_turned(gate):
    with pytest.raises(streamgru.UnsupportedError, match=f'update = "write" with the gate {gate!r}'):
        run(foreign.Haiku().arrays, foreign.Haiku.layer | {"gate": gate})


@pytest.mark.parametrize("biases", ["one", "rows", "flat"])
def test_no_bias_at_all(biases):
    native = foreign.Torch().arrays
    arrays = {key: native[key] for key in BLOCKS[:2]}
    layer = {"convention": "torch", "biases": biases, "arrays": {"input": "weight_ih", "recurrent": "weight_hh"}}
    _, tensors, _ = apply(map_of(layer), arrays, "f")
    assert set(tensors) == {"gru.weight_ih", "gru.weight_hh"}
    np.testing.assert_allclose(run(arrays, layer), reference(X, *arrays.values()), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scaled", ["weights", "rows"])
def test_a_recurrent_diagonal_kept_apart_and_scales(scaled):
    """LPCNet's way: int8 with a scale for each output, the diagonal and the biases in floats."""
    rng = np.random.default_rng(3)
    w, u = rng.integers(-127, 128, (3 * N_HID, N_IN), np.int8), rng.integers(-127, 128, (3 * N_HID, N_HID), np.int8)
    diagonal, bias = rng.uniform(-1, 1, 3 * N_HID), rng.uniform(-1, 1, 3 * N_HID)
    s_w, s_u = (rng.uniform(0.001, 0.01, 3 * N_HID) if scaled == "rows" else np.full(3 * N_HID, 1 / 128) for _ in "wu")
    arrays = {"w": w, "u": u, "diag": diagonal, "b": bias}
    layer = {
        "convention": "torch",
        "arrays": {"input": "w", "recurrent": "u", "recurrent_diagonal": "diag", "bias": "b"},
    }
    if scaled == "rows":
        arrays |= {"s_w": s_w, "s_u": s_u}
        layer["arrays"] |= {"input_scale": "s_w", "recurrent_scale": "s_u"}
    else:
        layer["scale"] = 1 / 128
    whole = u * s_u[:, None] + np.concatenate([np.diag(part) for part in np.split(diagonal, 3)])
    expected = reference(X, w * s_w[:, None], whole, bias)
    np.testing.assert_allclose(run(arrays, layer), expected, rtol=0, atol=1e-12)


def both_ways(layer, arrays):
    """Spec and tensors of a layer of both directions."""
    spec, tensors, _ = apply(map_of(layer | {"direction": "both"}), arrays, "f")
    forward, reverse, whole = spec.main.layers
    assert (forward.direction, reverse.direction, whole.inputs) == (
        "forward", "reverse", ("gru.forward", "gru.reverse"),
    )  # fmt: skip
    return [[tensors[f"{name}.{key}"] for key in BLOCKS] for name in whole.inputs]


@pytest.mark.parametrize("cls", [foreign.Onnx, foreign.OnnxAfter])
def test_both_directions_stacked(cls):
    gru = cls(directions=2)
    forward, reverse = both_ways(cls.layer, gru.arrays)
    variant = cls.layer.get("variant", "before")
    for k, (tensors, x) in enumerate(((forward, X), (reverse, X[::-1]))):
        expected = foreign.states(gru, x, direction=k)
        np.testing.assert_allclose(reference(x, *tensors, variant=variant), expected, rtol=0, atol=1e-12)


def test_both_directions_with_names_of_their_own():
    one, other = foreign.Torch(0), foreign.Torch(1)
    arrays = one.arrays | {f"{key}_reverse": array for key, array in other.arrays.items()}
    reverse = {key: f"{name}_reverse" for key, name in foreign.Torch.layer["arrays"].items()}
    tensors = both_ways(foreign.Torch.layer | {"reverse": reverse}, arrays)
    for gru, found in zip((one, other), tensors, strict=True):
        np.testing.assert_allclose(reference(X, *found), foreign.states(gru, X), rtol=0, atol=1e-12)


def test_a_single_reverse_layer():
    spec, _, _ = apply(map_of(foreign.Onnx.layer | {"direction": "reverse"}), foreign.Onnx().arrays, "f")
    assert spec.main.layers[0].direction == "reverse"


def test_initial_states_of_both_directions():
    gru = foreign.OnnxAfter(directions=2)
    arrays = gru.arrays | {"h0": np.arange(2.0 * N_HID).reshape(2, N_HID)}
    layer = foreign.OnnxAfter.layer | {"arrays": foreign.Onnx.layer["arrays"] | {"h0": "h0"}, "direction": "both"}
    spec, tensors, _ = apply(map_of(layer), arrays, "f")
    assert [one.initial for one in spec.main.layers[:2]] == ["learned", "learned"]
    np.testing.assert_array_equal(tensors["gru.reverse.h0"], arrays["h0"][1])
