"""What a map may say, and how it is told what is wrong with it."""

import json

import numpy as np
import pytest
from safetensors.numpy import save

import streamgru
from streamgru.errors import SpecError
from streamgru.formats.map import apply
from streamgru.formats.map_schema import read_map
from streamgru.model import spec as s
from tests.formats.foreign_grus import N_HID, N_IN, Keras, Onnx, Torch, states
from tests.formats.test_conventions import map_of, npz

X = np.random.default_rng(1).uniform(-2, 2, (20, N_IN))

TOML = """
title = "a title"
inputs = [{ name = "x", size = 3, features = ["a", "b", "c"] }]
outputs = [{ name = "level", unit = "m", factor = 2.0 }]

[[layers]]
kind = "gru"
name = "gru"
n_hid = 5
convention = "keras"
arrays = { input = "kernel", recurrent = "recurrent_kernel", bias = "bias" }
"""


def test_toml_json_and_python_are_the_same(tmp_path):
    gru = Keras()
    (tmp_path / "map.toml").write_text(TOML)
    told = map_of(Keras.layer) | {"title": "a title", "outputs": [{"name": "level", "unit": "m", "factor": 2.0}]}
    told["inputs"][0]["features"] = ("a", "b", "c")
    (tmp_path / "map.json").write_text(json.dumps(told))
    found = [streamgru.load(npz(gru.arrays), map=src) for src in (tmp_path / "map.toml", tmp_path / "map.json", told)]
    assert len({model.fingerprint for model in found}) == 1
    assert found[0].spec == found[1].spec == found[2].spec
    assert found[0].spec.title == "a title"
    assert found[0].spec.main.outputs[0].unit == "m"


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "h5"])
def test_the_same_from_every_format(tmp_path, suffix):
    gru = Keras()
    path = tmp_path / f"a.{suffix}"
    if suffix == "h5":
        h5py = pytest.importorskip("h5py", reason="needs h5py")
        with h5py.File(path, "w") as file:
            for name, array in gru.arrays.items():
                file[name] = array
    else:
        path.write_bytes(npz(gru.arrays) if suffix == "npz" else save(gru.arrays))
    model = streamgru.load(path, map=map_of(Keras.layer), dtype="float64")
    np.testing.assert_allclose(model.stream().run(X), states(gru, X), rtol=0, atol=1e-12)


def arrays_of_all(rng):
    """A network of every kind of layer that has tensors, in floats, and the map of it."""
    arrays = {
        "table": rng.uniform(-1, 1, (7, 4)), "w": rng.uniform(-1, 1, (4, 6)), "b": rng.uniform(-1, 1, 6),
        **{f"bn_{key}": rng.uniform(0.5, 1, 6) for key in ("gamma", "beta", "mean", "var")},
        "ln": rng.uniform(-1, 1, (1, 6)), "times": rng.uniform(-1, 1, 6),
    }  # fmt: skip
    layers = [
        {"kind": "embedding", "name": "letters", "n_out": 4, "arrays": {"weight": "table"}},
        {
            "kind": "dense", "name": "hidden", "n_out": 6, "function": "tanh", "rows": "inputs",
            "arrays": {"weight": "w", "bias": "b"},
        },
        {
            "kind": "batchnorm", "name": "bn", "eps": 1e-3,
            "arrays": {"weight": "bn_gamma", "bias": "bn_beta", "mean": "bn_mean", "var": "bn_var"},
        },
        {"kind": "layernorm", "name": "ln", "arrays": {"weight": "ln"}},
        {"kind": "scale", "name": "times", "arrays": {"weight": "times"}},
    ]  # fmt: skip
    return arrays, {"inputs": [{"name": "letter", "kind": "token", "vocab": 7}], "layers": layers}


def test_the_other_layers(rng):
    a, told = arrays_of_all(rng)
    model = streamgru.load(npz(a), map=told, dtype="float64")
    x = np.tanh(a["table"][3] @ a["w"] + a["b"])
    x = (x - a["bn_mean"]) / np.sqrt(a["bn_var"] + 1e-3) * a["bn_gamma"] + a["bn_beta"]
    x = (x - x.mean()) / np.sqrt(x.var() + 1e-5) * a["ln"][0] * a["times"]
    np.testing.assert_allclose(model.stream().step([3]), x, rtol=0, atol=1e-12)


def test_other_layers_turned_flat_and_in_integers(rng):
    a, told = arrays_of_all(rng)
    expected = apply(told, a, "f")[1]
    a |= {"table": a["table"].T, "w": a["w"].T.reshape(-1), "times": np.int16([100, -50, 25, 0, 1, 2])}
    told["layers"][0]["rows"] = "outputs"
    told["layers"][1] |= {"rows": "outputs", "flat": True}
    told["layers"][4]["scale"] = 0.01
    found = apply(told, a, "f")[1]
    assert found.pop("times.weight").tolist() == np.float32([1, -0.5, 0.25, 0, 0.01, 0.02]).tolist()
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor, expected[name])


@pytest.mark.parametrize("axes", ["oik", "oki", "iok", "iko", "koi", "kio"])
def test_convolutions(rng, axes):
    kernel = rng.uniform(-1, 1, (4, 3, 2))  # outputs, inputs, steps
    moved = kernel.transpose(["oik".index(axis) for axis in axes])
    layer = {"kind": "conv1d", "name": "conv", "n_out": 4, "size": 2, "axes": axes, "arrays": {"weight": "k"}}
    told = {"inputs": [{"name": "x", "size": 3}], "layers": [layer]}
    _, tensors, _ = apply(told, {"k": moved}, "f")
    x = rng.uniform(-1, 1, (2, 3))  # the older step first
    expected = np.einsum("oik,ki->o", kernel, x)
    np.testing.assert_allclose(tensors["conv.weight"] @ x.reshape(-1), expected, rtol=0, atol=1e-12)
    if axes != "oik":
        layer["axes"] = "oik"
        with pytest.raises(SpecError, match=f'fits axes = "{axes}"'):
            apply(told, {"k": moved}, "f")
    del layer["axes"]
    with pytest.raises(SpecError, match="tell the order of its axes"):
        apply(told, {"k": moved}, "f")


def test_arrays_of_other_byte_orders_and_float16(rng):
    gru = Torch()
    half = {name: array.astype(np.float16) for name, array in gru.arrays.items()}
    big = {name: array.astype(">f2") for name, array in half.items()}
    found = [streamgru.load(npz(arrays), map=map_of(Torch.layer)) for arrays in (half, big)]
    assert found[0].fingerprint == found[1].fingerprint


def two_programs(name="other"):
    def program(layer, prefix):
        return {
            "inputs": [{"name": "x", "size": N_IN}],
            "layers": [{
                "kind": "gru", "name": layer, "n_hid": N_HID, "convention": "torch",
                "arrays": {key: f"{prefix}{array}" for key, array in Torch.layer["arrays"].items()},
            }],
        }  # fmt: skip

    one, other = (Torch(seed).arrays for seed in (0, 1))
    arrays = one | {f"second_{key}": array for key, array in other.items()}
    return {"programs": {"first": program("gru", ""), "second": program(name, "second_")}}, arrays


def test_layers_of_two_programs_may_share_a_name_only_with_their_arrays():
    told, arrays = two_programs()
    assert len(apply(told, arrays, "f")[1]) == 8
    told, arrays = two_programs("gru")
    with pytest.raises(SpecError, match=r"the programs differ in 'gru\.weight_ih'"):
        apply(told, arrays, "f")
    told["programs"]["second"] = told["programs"]["first"]
    told["ignore"] = ["second_*"]
    assert len(apply(told, arrays, "f")[1]) == 4


def test_findings_tell_what_became_what():
    _, _, findings = apply(map_of(Keras.layer), Keras().arrays, "f")
    assert findings == (
        "kernel (3, 15) -> gru, input: columns z | r | n",
        "recurrent_kernel (5, 15) -> gru, recurrent: columns z | r | n",
        "bias (2, 15) -> gru, bias: z | r | n, that of the input product first",
        "layer gru: gru, reset after the product; the update gate keeps",
    )


def gru_with(**changes):
    return map_of(Torch.layer | changes)


def without(*keys):
    return map_of({key: value for key, value in Torch.layer.items() if key not in keys})


def names(**changes):
    return gru_with(arrays=Torch.layer["arrays"] | changes)


WRONG = {
    "unknown array": (names(input="weight_hi"), "f has no array 'weight_hi'; did you mean 'weight_ih' or 'weight_hh'"),
    "far off": (names(input="qqq"), "f has no array 'qqq'; the file has 'weight_ih', 'weight_hh', 'bias_ih'"),
    "turned": (gru_with(rows="inputs"), r"expected shape \(3, 15\), got \(15, 3\), which fits rows = \"outputs\""),
    "stacked": (gru_with(stacked=True), r"expected shape \(1, 15, 3\), got \(15, 3\), which fits stacked = false"),
    "n_hid": (gru_with(n_hid=6), r"expected shape \(18, 3\), got \(15, 3\)"),
    "biases": (gru_with(biases="rows"), 'biases = "rows" needs one array'),
    "gates": (names(input={"rz": "weight_ih"}), r"expected shape \(10, 3\), got \(15, 3\)"),
    "gate twice": (names(input={"rz": "weight_ih", "zn": "weight_ih"}), "a gate is in two arrays"),
    "gate missing": (names(input={"rzn": "weight_ih"}, recurrent={}), "arrays.recurrent.*got none of r, z, n"),
    "no weights": (gru_with(arrays={"recurrent": "weight_hh"}), "arrays.input: expected weights of r, z and n"),
    "letters": (names(input={"rzx": "weight_ih"}), "Expected `str` matching regex"),
    "both and input": (names(both="weight_ih"), "not in all three"),
    "joined": (gru_with(arrays={"both": "weight_ih"}), 'both needs joined = "xh"'),
    "forgotten": (names(recurrent_bias={}), r"no layer uses 'bias_hh' of f;.*ignore = \['bias_hh'\]"),
    "scale": (gru_with(scale=0.1), "scale = 0.1 is for integers, and its arrays have floats"),
    "scales": (names(input_scale={"r": "b_r"}), "f has no array 'b_r'"),
    "initial": (gru_with(initial="learned"), r"initial state in arrays\.h0"),
    "reverse": (gru_with(reverse=Torch.layer["arrays"]), 'need direction = "both"'),
    "both ways": (gru_with(direction="both"), "needs the arrays of the second one"),
    "convention": (gru_with(convention="pytorch"), "expected a convention of torch, keras.*got 'pytorch'"),
    "no convention": (without("convention"), "tell its variant, after or before, or name a convention: torch"),
    "no order": (without("convention") | {}, "variant"),
    "variant alone": (
        map_of({"variant": "after", "arrays": {}}),
        "missing required field `order`.*or name a convention",
    ),
    "no arrays": (without("arrays"), "missing required field `arrays`"),
    "unknown key": (gru_with(ordr="rzn"), "a gru layer has no key 'ordr'; did you mean 'order'"),
    "unknown gate function": (gru_with(gate="sigmoidal"), "sigmoidal"),
    "unknown kind": (
        {**map_of({}), "layers": [{"kind": "lstm", "name": "a"}]},
        "expected a kind of gru, dense.*'lstm'",
    ),
    "no inputs": ({"layers": map_of(Torch.layer)["layers"]}, "expected inputs"),
    "an input that is not there": (gru_with(inputs=["y"]), "its input 'y' is no input or earlier layer"),
    "layers and programs": (
        map_of(Torch.layer) | {"programs": {"main": map_of(Torch.layer)}},
        "expected either layers",
    ),
    "key at the top": (map_of(Torch.layer) | {"layer": 1}, "unknown field `layer`"),
    "version": (map_of(Torch.layer) | {"format": 2}, "format"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_maps(what):
    told, message = WRONG[what]
    with pytest.raises(SpecError, match=message):
        apply(told, Torch().arrays, "f")


def test_hints_for_flat_stacked_and_biases():
    flat = {name: array.reshape(-1) for name, array in Torch().arrays.items()}
    with pytest.raises(SpecError, match=r"got \(45,\), which fits flat = true"):
        apply(map_of(Torch.layer), flat, "f")
    gru = Onnx()
    with pytest.raises(SpecError, match="which fits stacked = true"):
        apply(map_of(Onnx.layer | {"stacked": False}), gru.arrays, "f")
    with pytest.raises(SpecError, match='which fits biases = "flat"'):
        apply(map_of(Onnx.layer | {"biases": "one"}), gru.arrays, "f")
    with pytest.raises(SpecError, match='which fits stacked = true and direction = "both"'):
        apply(map_of(Onnx.layer | {"stacked": False}), Onnx(directions=2).arrays, "f")
    with pytest.raises(SpecError, match='which fits biases = "rows"'):
        apply(map_of(Keras.layer | {"convention": "keras_reset_before"}), Keras().arrays, "f")


def test_integers_need_a_scale():
    arrays = {name: (100 * array).astype(np.int8) for name, array in Torch().arrays.items()}
    with pytest.raises(SpecError, match=r"'weight_ih': has integers \(int8\); give scale = X"):
        apply(map_of(Torch.layer), arrays, "f")


OTHERS = {
    "rows": ({"rows": None}, "tell what its rows are"),
    "turned": ({"rows": "outputs"}, r"expected shape \(6, 4\), got \(4, 6\), which fits rows = \"inputs\""),
    "tensor": ({"arrays": {"weights": "w"}}, "it has no tensor 'weights'; a layer of this kind has weight, bias"),
    "axes": ({"axes": "oik"}, "axes is for conv1d layers"),
    "scale": ({"scale": 0.5}, "scale = 0.5 is for integers"),
    "missing": ({"arrays": {"bias": "b"}}, r"name its array in arrays.weight, of shape \(6, 4\)"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_wrong_other_layers(what, rng):
    changes, message = OTHERS[what]
    arrays, told = arrays_of_all(rng)
    told["layers"][1] |= changes
    with pytest.raises(SpecError, match=message):
        apply(told, arrays, "f")


def test_rows_are_for_matrices(rng):
    arrays, told = arrays_of_all(rng)
    told["layers"][2]["rows"] = "inputs"
    with pytest.raises(SpecError, match="rows is for dense and embedding layers"):
        apply(told, arrays, "f")


def test_what_has_no_tensors_names_none():
    told = {"inputs": [{"name": "x"}], "layers": [{"kind": "softmax", "name": "p", "arrays": {"weight": "w"}}]}
    with pytest.raises(SpecError, match="it has no tensor 'weight'; a layer of this kind has none"):
        apply(told, {}, "f")


def test_a_map_has_all_that_a_spec_has():
    """So that nothing that a spec can say is lost in a map."""
    for part, of_spec in ((read_map(map_of(Torch.layer)), s.Spec), (read_map(map_of(Torch.layer)), s.Program)):
        assert set(of_spec.__struct_fields__) <= set(type(part).__struct_fields__)
