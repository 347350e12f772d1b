"""Keras files that no Keras of today writes: made by hand, from the formulas and layouts of Keras 1 and 2."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import streamgru
from streamgru.errors import SpecError, UnsupportedError
from streamgru.formats import keras_weights
from streamgru.formats.conventions import steps_oldest_first
from streamgru.formats.read import read
from streamgru.model import spec as s
from tests.formats.keras_files import GRU2, N_HID, N_IN, entry, gru2, h5, sequential
from tests.oracle import spec_numpy

pytest.importorskip("h5py", reason="needs h5py")

N_STEPS = 11

FIXTURES = Path(os.environ.get("STREAMGRU_FIXTURES", "absent"))


def clip(x):
    return np.clip(0.2 * x + 0.5, 0, 1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def before(x, w, gate=clip):
    """Keras 1 and 2 without reset_after, as its documentation writes it."""
    z_, r_, h_ = (slice(i * N_HID, (i + 1) * N_HID) for i in range(3))
    kernel, recurrent, bias = w["kernel"], w["recurrent_kernel"], w["bias"]
    h, states = np.zeros(N_HID), []
    for x_t in x:
        z = gate(x_t @ kernel[:, z_] + bias[z_] + h @ recurrent[:, z_])
        r = gate(x_t @ kernel[:, r_] + bias[r_] + h @ recurrent[:, r_])
        hh = np.tanh(x_t @ kernel[:, h_] + bias[h_] + (r * h) @ recurrent[:, h_])
        h = z * h + (1 - z) * hh
        states.append(h)
    return np.array(states)


def after(x, w, gate=clip):
    """Keras 2 with reset_after, in the memory layout of Keras."""
    h, states = np.zeros(N_HID), []
    for x_t in x:
        x_z, x_r, x_h = np.split(x_t @ w["kernel"] + w["bias"][0], 3)
        h_z, h_r, h_h = np.split(h @ w["recurrent_kernel"] + w["bias"][1], 3)
        z, r = gate(x_z + h_z), gate(x_r + h_r)
        h = z * h + (1 - z) * np.tanh(x_h + r * h_h)
        states.append(h)
    return np.array(states)


def answers(data, x, spec=None):
    return streamgru.load(data, dtype="float64", spec=spec).stream().run(x)


@pytest.fixture
def x(rng):
    return rng.standard_normal((N_STEPS, N_IN))


@pytest.mark.parametrize("told", [{}, {"reset_after": False}])
def test_keras_2_before(rng, x, told):
    """Early versions have no reset_after in the config, and mean what is now called False."""
    w = gru2(rng, 3 * N_HID)
    data = h5(sequential(entry("GRU", "gru_1", **GRU2, **told)), {"gru_1": w})
    np.testing.assert_allclose(answers(data, x), before(x, w), atol=1e-6)


def test_keras_2_after(rng, x):
    w = gru2(rng, (2, 3 * N_HID))
    data = h5(sequential(entry("GRU", "gru_1", **GRU2, reset_after=True)), {"gru_1": w}, "2.4.0-tf")
    np.testing.assert_allclose(answers(data, x), after(x, w), atol=1e-6)
    found = read(data)
    assert found.spec.origin == "Keras 2.4.0-tf"
    assert "reset after the product, gate hard_sigmoid (Keras 2: clip(0.2 x + 0.5, 0, 1))" in found.findings[0]


def test_hard_sigmoid_is_that_of_the_version(rng, x):
    w = gru2(rng, (2, 3 * N_HID))
    data = h5(sequential(entry("GRU", "gru_1", **GRU2, reset_after=True)), {"gru_1": w}, "3.15.1")
    np.testing.assert_allclose(answers(data, x), after(x, w, lambda v: np.clip(v / 6 + 0.5, 0, 1)), atol=1e-6)


def test_cudnn(rng, x):
    """CuDNNGRU holds what cuDNN wants: the memory of each gate as (n_out, n_in), under the shape of its transpose."""
    w = gru2(rng, (2, 3 * N_HID))

    def as_memory(kernel):
        return np.hstack([np.ascontiguousarray(gate.T).reshape(gate.shape) for gate in np.hsplit(kernel, 3)])

    held = {
        "kernel": as_memory(w["kernel"]),
        "recurrent_kernel": np.hstack([gate.T for gate in np.hsplit(w["recurrent_kernel"], 3)]),
        "bias": w["bias"].ravel(),
    }
    layer = entry("CuDNNGRU", "cu_dnngru_1", units=N_HID, return_sequences=True, stateful=False, go_backwards=False)
    np.testing.assert_allclose(
        answers(h5(sequential(layer), {"cu_dnngru_1": held}), x), after(x, w, sigmoid), atol=1e-6
    )
    spec = s.sequential(s.Gru(name="cu_dnngru_1", n_hid=N_HID), inputs=(s.Input(name="x", size=N_IN),))
    alone = h5(None, {"cu_dnngru_1": held}, root="")
    np.testing.assert_allclose(answers(alone, x, spec), after(x, w, sigmoid), atol=1e-6)


@pytest.mark.parametrize("n_arrays", [9, 3])
def test_keras_1(rng, x, n_arrays):
    """Its config is a list, its keys have other names, and its gates lie apart, or together (consume_less="gpu")."""
    w = gru2(rng, 3 * N_HID)
    held = dict(zip(("W", "U", "b"), w.values(), strict=True))
    if n_arrays == 9:
        held = {f"{name}_{gate}": np.split(array, 3, axis=-1)[i]
                for i, gate in enumerate("zrh") for name, array in held.items()}  # fmt: skip
    head = {"W": rng.normal(0, 0.5, (N_HID, 2)), "b": rng.normal(0, 0.5, 2)}
    layer = entry(
        "GRU", "gru_1", output_dim=N_HID, activation="tanh", inner_activation="hard_sigmoid", return_sequences=True,
        init="glorot_uniform", inner_init="orthogonal", consume_less="cpu", dropout_W=0.1, dropout_U=0.1,
        U_regularizer=None, W_regularizer=None, b_regularizer=None, input_dim=N_IN,
        input_length=None, go_backwards=False, unroll=False,
        batch_input_shape=[None, None, N_IN],
    )  # fmt: skip
    inner = entry("Dense", "dense_1", output_dim=2, activation="sigmoid", bias=True, init="uniform", input_dim=None)
    config = {"class_name": "Sequential", "config": [
        layer, entry("Dropout", "dropout_1", p=0.5), entry("TimeDistributed", "timedistributed_1", layer=inner)
    ]}  # fmt: skip
    data = h5(config, {"gru_1": held, "dropout_1": {}, "timedistributed_1": head}, "1.2.2", "{layer}_{name}:0")
    y = sigmoid(before(x, w) @ head["W"] + head["b"])
    np.testing.assert_allclose(answers(data, x), y, atol=1e-6)


def test_functional_of_keras_2(rng, x):
    """inbound_nodes are lists; a branch that no output needs is left out; the layers stand in any order."""
    w, head = gru2(rng, 3 * N_HID), {"kernel": rng.normal(size=(N_HID + N_IN, 2)), "bias": rng.normal(size=2)}
    entries = [
        {**entry("Dense", "dense_1", units=2, activation="linear"), "inbound_nodes": [[["both", 0, 0, {}]]]},
        {**entry("LSTM", "spare", units=2), "inbound_nodes": [[["input_1", 0, 0, {}]]]},
        {**entry("InputLayer", "input_1", batch_input_shape=[None, None, N_IN], sparse=False, dtype="float32")},
        {**entry("Concatenate", "both", axis=-1), "inbound_nodes": [[["gru_1", 0, 0, {}], ["input_1", 0, 0, {}]]]},
        {**entry("GRU", "gru_1", **GRU2), "inbound_nodes": [[["input_1", 0, 0]]]},
    ]
    for item in entries:
        item.setdefault("inbound_nodes", [])
        item["name"] = item["config"]["name"]
    config = {"class_name": "Model", "config": {"name": "m", "layers": entries, "input_layers": [["input_1", 0, 0]],
              "output_layers": [["dense_1", 0, 0]]}}  # fmt: skip
    data = h5(config, {"gru_1": w, "both": {}, "dense_1": head, "spare": {}}, part=2)
    y = np.concatenate([before(x, w), x], axis=1) @ head["kernel"] + head["bias"]
    np.testing.assert_allclose(answers(data, x), y, atol=1e-5)
    assert "layer spare left out, since no output of the model needs it" in read(data).findings
    entries[3]["inbound_nodes"][0][1] = ["dense_1", 0, 0]
    with pytest.raises(SpecError, match="called with itself"):
        read(h5(config, {"gru_1": w, "dense_1": head}))


def test_old_weights_alone(rng, x):
    w = gru2(rng, 3 * N_HID)
    data = h5(None, {"gru_1": w, "other": {"kernel": np.ones((2, 2))}}, root="")
    spec = s.sequential(
        s.Gru(name="gru_1", n_hid=N_HID, variant="before", gate="hard_sigmoid"), inputs=(s.Input(name="x", size=N_IN),)
    )
    np.testing.assert_allclose(answers(data, x, spec), before(x, w), atol=1e-6)
    assert "the weights of other are not used: the spec has no such layer" in read(data, spec).findings
    with pytest.raises(SpecError, match="no weights of that name; it has those of gru_1, other"):
        read(data, s.sequential(s.Gru(name="gru", n_hid=N_HID), inputs=(s.Input(name="x", size=N_IN),)))


CONFIGS = {
    r"has implementation_of = 'mine', which is not understood": {"implementation_of": "mine"},
    r"units from 1 to 65536, got 0": {"units": 0},
    r"units from 1 to 65536, got 'many'": {"units": "many"},
    r"use_bias to be true or false": {"use_bias": "yes"},
    r"no function for": {"activation": "my_activation"},
    r"its activation is \{'module': 'my_module'": {
        "activation": {"module": "my_module", "class_name": "function", "config": "tanh"}
    },
    r"time_major is True": {"time_major": True},
    r"it is quantised": {"dtype": "int8_from_float32"},
    r"shape \(any, 15\), got \(3, 12\)": {"units": 5},
}


@pytest.mark.parametrize("message", CONFIGS)
def test_a_config_that_is_not_understood(rng, message):
    config = sequential(entry("GRU", "gru_1", **{**GRU2, **CONFIGS[message]}))
    with pytest.raises((SpecError, UnsupportedError), match=message):
        read(h5(config, {"gru_1": gru2(rng, 3 * N_HID)}))


MODELS = {
    r"of the class 'MyModel'": {"class_name": "MyModel", "config": {}},
    r"a list of 1 to": {"class_name": "Sequential", "config": {"layers": []}},
    r"no layer of Keras": sequential({"class_name": "GRU", "module": "mine", "config": {"name": "g"}}),
    r"no layer for it": sequential(entry("Lambda", "lambda_1", function="os.system")),
    r"expected a name of its own": sequential(entry("GRU", "g", **GRU2), entry("GRU", "g", **GRU2)),
    r"its shape is": {"class_name": "Sequential", "config": [entry("GRU", "g", **GRU2)]},
}  # fmt: skip


@pytest.mark.parametrize("message", MODELS)
def test_a_model_that_is_not_understood(message):
    with pytest.raises((SpecError, UnsupportedError), match=message):
        read(h5(MODELS[message], {"g": {}}))


@pytest.mark.parametrize("version", ["0.3.1", "4.0.0", "none"])
def test_other_versions(rng, version):
    data = h5(sequential(entry("GRU", "gru_1", **GRU2)), {"gru_1": gru2(rng, 3 * N_HID)}, version)
    with pytest.raises(UnsupportedError, match="expected Keras 1, 2 or 3"):
        read(data)


def test_rows_and_columns():
    """Each element goes where the formula wants it."""
    columns = np.arange(2 * 6).reshape(2, 6)  # z z r r h h
    assert keras_weights.gate_rows(columns).tolist() == [[2, 8], [3, 9], [0, 6], [1, 7], [4, 10], [5, 11]]
    assert keras_weights.gate_rows(np.arange(6)).tolist() == [2, 3, 0, 1, 4, 5]
    kernel = np.arange(2 * 3 * 2).reshape(2, 3, 2)  # step, input, output
    assert steps_oldest_first(kernel, "kio").tolist() == [[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11]]


needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="fixtures are absent")


@needs_fixtures
def test_gait_phase_from_its_keras_file():
    found = read(FIXTURES / "gait_phase/gru_model.keras")
    with np.load(FIXTURES / "gait_phase/io.npz") as recorded:
        x, y = recorded["x_scaled"][:800], recorded["expected_y_f64"][:800]
    program = json.loads(s.to_json(found.spec))["programs"]["main"]
    got = spec_numpy.run(program, found.tensors, {found.spec.main.inputs[0].name: x})
    np.testing.assert_allclose(got, y, atol=1e-5)
    stepped = streamgru.load(FIXTURES / "gait_phase/gru_model.keras").stream().run(x.astype(np.float32))
    np.testing.assert_allclose(stepped, y, atol=1e-5)


@needs_fixtures
def test_gait_phase_has_the_layers_that_its_readme_tells():
    found = read(FIXTURES / "gait_phase/gru_model.keras")
    assert [type(layer).__name__ for layer in found.spec.main.layers] == [
        "Conv1d", "BatchNorm", "AveragePool1d", "Gru", "Dense", "Normalize",
    ]  # fmt: skip


@needs_fixtures
@pytest.mark.parametrize("kernel", ["blas", "packed"])
def test_handwriting_from_its_h5_file(kernel):
    (path,) = (FIXTURES / "handwriting_gru").glob("*.h5")
    model = streamgru.load(path, kernel=kernel)
    with np.load(FIXTURES / "handwriting_gru/io.npz") as recorded:
        x, y = recorded["x"].astype(np.float32), recorded["expected_softmax_f64"]
    got = np.stack([model.stream().run(letter)[-1] for letter in x])
    np.testing.assert_allclose(got, y, atol=1e-5)


@pytest.mark.parametrize("other", [{"module": "mymodule"}, {"registered_name": "mine>ReLU"}])
def test_an_activation_of_another_program_is_not_that_of_keras(rng, other):
    own = {"module": "keras.layers", "class_name": "ReLU", "config": {"name": "r"}, "registered_name": None}
    weights = {"gru_1": gru2(rng, (2, 3 * N_HID)), "d": {"kernel": np.ones((N_HID, 2)), "bias": np.ones(2)}}
    for activation in (own, own | other):
        dense = entry("Dense", "d", units=2, activation=activation)
        data = h5(sequential(entry("GRU", "gru_1", **GRU2, reset_after=True), dense), weights, "3.0")
        if activation is own:
            assert read(data).spec.main.layers[-1].function == "relu"
        else:
            with pytest.raises(UnsupportedError, match="no layer of Keras"):
                read(data)
