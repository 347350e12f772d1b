"""Networks that others have trained, from their original files by a map, against what their makers' code answered.

The files are not part of the project; without them these tests are skipped. The maps are, beside this file.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import streamgru
from streamgru.formats.bare import arrays as open_arrays
from streamgru.formats.map import apply
from streamgru.model import spec as s
from tests.golden.test_fixtures import FIXTURES, arrays

MAPS = Path(__file__).with_name("maps")
EXAMPLES = Path(__file__).parents[2] / "examples"
ARM_KWS = EXAMPLES / "spoken_commands" / "arm_kws.toml"
RNNOISE = EXAMPLES / "noise_suppression" / "rnnoise.toml"
G2P = EXAMPLES / "spelling_to_phonemes" / "g2p.toml"

pytestmark = pytest.mark.skipif(not FIXTURES.is_dir(), reason="fixtures are absent")


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_spoken_commands_of_tensorflow_1(dtype):
    io = arrays("arm_kws_gru", "io.npz")
    model = streamgru.load(FIXTURES / "arm_kws_gru" / "weights.npz", map=ARM_KWS, dtype=dtype)
    for i, x in enumerate(io["mfcc"]):
        trace = model.stream().trace(x)
        close(trace.gates["gru"].h, io["expected_h_seq_f64"][i], 1e-5 if dtype == "float32" else 1e-12)
        close(trace.gates["gru"].h[-1], io["expected_h_last_tf"][i])
        close(trace.y[-1], io["expected_softmax_tf"][i])
    last = model.run(io["mfcc"])[:, -1].argmax(axis=1)
    said = {str(name): model.labels[k] for name, k in zip(io["names"], last, strict=True)}
    assert said == {"yes": "yes", "no": "no", "silence": "_silence_", "noise": "_silence_"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_noise_suppression_of_rnnoise(dtype):
    io = arrays("rnnoise_v01", "io.npz")
    model = streamgru.load(FIXTURES / "rnnoise_v01" / "weights_int8.npz", map=RNNOISE, dtype=dtype)
    trace = model.stream().trace(io["features"])
    tight = 1e-5 if dtype == "float32" else 1e-9
    h, expected = trace.gates["denoise_gru"].h, io["h_denoise_f64"]
    close(h / np.maximum(1, np.abs(expected)), expected / np.maximum(1, np.abs(expected)), tight)
    close(trace.y[:, :22], io["expected_gains_f64"], tight)
    close(trace.y[:, 22], io["expected_vad_f64"], tight)
    close(trace.y[:, :22], io["expected_gains_c"], 1e-4)  # its tanh is a table


def test_spelling_to_phonemes_in_two_models():
    expected = arrays("g2p_en", "expected.npz")
    cases = json.loads((FIXTURES / "g2p_en" / "cases.json").read_text())["cases"]
    encoder, decoder = (
        streamgru.load(FIXTURES / "g2p_en" / "checkpoint20.npz", map=MAPS / f"g2p_{part}.toml")
        for part in ("encoder", "decoder")
    )
    start = 0
    for case, final, length in zip(cases, expected["encoder_final_h"], expected["logits_len"], strict=True):
        h = encoder.stream().run([[token] for token in case["grapheme_ids"]])[-1]
        close(h, final)
        stream = decoder.stream()
        stream.state = {"decoder": h}
        token, said = 2, []
        for logits in expected["logits"][start : start + length]:
            y = stream.step([token])
            close(y, logits, 3e-5)  # sums up to 30, in which their own float32 is off by 1.7e-5 from float64
            token = int(y.argmax())
            said.append(token)
        assert [token for token in said if token != 3] == case["phoneme_ids"]
        start += length


def test_spelling_to_phonemes_as_data():
    """Two programs, the state handed on, the answer fed back."""
    weights = (FIXTURES / "g2p_en" / "checkpoint20.npz").read_bytes()
    spec, tensors, findings = apply(G2P, open_arrays(weights, "g2p"), "g2p")
    assert spec.handoffs == (
        s.Handoff(source="encoder", source_layer="encoder", target="decoder", target_layer="decoder"),
    )
    assert spec.programs["decoder"].feedback == s.Feedback(input="phoneme", start=2, stop=3, limit=20)
    assert [layer.name for layer in spec.programs["encoder"].layers] == ["letters", "encoder"]
    original = arrays("g2p_en", "checkpoint20.npz")
    names = {"weight_ih": "w_ih", "weight_hh": "w_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}
    for layer in ("encoder", "decoder"):
        for ours, theirs in names.items():
            np.testing.assert_array_equal(tensors[f"{layer}.{ours}"], original[f"{layer[:3]}_{theirs}"])
    assert len(findings) - 2 == len(tensors) == len(original)


def test_spelling_to_phonemes_from_the_original_file():
    """One map, one model: reads a word, hands its state on, and feeds every phoneme back."""
    model = streamgru.load(FIXTURES / "g2p_en" / "checkpoint20.npz", map=G2P)
    for case in json.loads((FIXTURES / "g2p_en" / "cases.json").read_text())["cases"]:
        written = model.generate([[token] for token in case["grapheme_ids"]])
        assert [token for token in written.tokens.tolist() if token != 3] == case["phoneme_ids"]


@pytest.mark.parametrize("dtype, kernel", [("float32", "packed"), ("float32", "blas"), ("float64", "blas")])
def test_gait_phase_of_keras_3(dtype, kernel):
    io = arrays("gait_phase", "io.npz")
    weights = FIXTURES / "gait_phase" / "weights.npz"
    model = streamgru.load(weights, map=MAPS / "gait_phase.toml", dtype=dtype, kernel=kernel)
    trace = model.stream().trace(io["x_scaled"])
    close(trace.y, io["expected_y_keras"])
    close(trace.gates["gru"].h, io["expected_h_keras"])
    close(trace.y, io["expected_y_f64"], 1e-5 if dtype == "float32" else 1e-12)
    at = io["window_end_index"]
    close(trace.y[at], io["expected_window_y_keras"], 2e-6 + 1e-6 * (dtype == "float32"))


def test_gait_phase_of_keras_3_up_to_its_gru():
    """Convolution, normalisation and pooling, from the tensors that the map gives them."""
    weights, io = arrays("gait_phase", "weights.npz"), arrays("gait_phase", "io.npz")
    spec, tensors, _ = apply(MAPS / "gait_phase.toml", weights, "f")
    t = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}

    def windows(x, size):
        padded = np.concatenate([np.zeros((size - 1, x.shape[1])), x])
        return np.lib.stride_tricks.sliding_window_view(padded, size, axis=0).transpose(0, 2, 1)  # step, oldest first

    x = windows(io["x_scaled"], 20).reshape(-1, 40) @ t["conv.weight"].T + t["conv.bias"]
    x = (x - t["norm.mean"]) / np.sqrt(t["norm.var"] + spec.main.layers[1].eps) * t["norm.weight"] + t["norm.bias"]
    close(windows(x, 3).mean(axis=1), io["gru_input_f64"], 1e-12)
    assert [type(layer).__name__ for layer in spec.main.layers] == [
        "Conv1d", "BatchNorm", "AveragePool1d", "Gru", "Dense", "Normalize",
    ]  # fmt: skip


def test_handwriting_from_hdf5():
    pytest.importorskip("h5py", reason="needs h5py")
    io = arrays("handwriting_gru", "io.npz")
    path = next((FIXTURES / "handwriting_gru").glob("*.h5"))
    names = list(open_arrays(path.read_bytes(), "h5"))
    gru, dense = (
        {name.rpartition("/")[2]: name for name in names if part in name and name.startswith("model_weights")}
        for part in ("gru", "dense")
    )
    model = streamgru.load(path, map={
        "inputs": [{"name": "point", "size": 2}],
        "ignore": ["optimizer_weights/*"],
        "layers": [
            {
                "kind": "gru", "name": "gru", "n_hid": 100, "convention": "keras_reset_before", "gate": "hard_sigmoid",
                "arrays": {"input": gru["kernel:0"], "recurrent": gru["recurrent_kernel:0"], "bias": gru["bias:0"]},
            },
            {
                "kind": "dense", "name": "head", "n_out": 26, "rows": "inputs",
                "arrays": {"weight": dense["kernel:0"], "bias": dense["bias:0"]},
            },
            {"kind": "softmax", "name": "letter"},
        ],
    })  # fmt: skip
    for x, h, softmax in zip(io["x"], io["expected_h_seq_keras"], io["expected_softmax_keras"], strict=True):
        trace = model.stream().trace(x)
        close(trace.gates["gru"].h, h)
        close(trace.y[-1], softmax)
