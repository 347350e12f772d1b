"""Against networks that others have trained, and what their own frameworks answered.

The files are not part of the project; without them these tests are skipped. Every conversion here is
written for its test alone, from the README beside the file, and shares nothing with the importers.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import streamgru
from streamgru.model import spec as s
from tests.oracle import gru_numpy

FIXTURES = Path(os.environ.get("STREAMGRU_FIXTURES", Path(__file__).parents[3] / "shared" / "fixtures"))

pytestmark = pytest.mark.skipif(not FIXTURES.is_dir(), reason="fixtures are absent")

SINGLE = [("float32", 1e-5), ("float64", 1e-5)]


def arrays(*path):
    with np.load(FIXTURES.joinpath(*path), allow_pickle=False) as file:
        return dict(file)


def zrh_to_rzn(columns):
    """Keras' columns z | r | h, of anything with them last, to rows r | z | n."""
    z, r, h = np.split(columns, 3, axis=-1)
    return np.concatenate([r, z, h], axis=-1).T.copy()


def keras_gru(name, kernel, recurrent, bias):
    """The tensors of a Keras GRU; a bias of two rows is (input, recurrent)."""
    tensors = {f"{name}.weight_ih": zrh_to_rzn(kernel), f"{name}.weight_hh": zrh_to_rzn(recurrent)}
    if bias.ndim == 2:
        return tensors | {f"{name}.bias_ih": zrh_to_rzn(bias[0]), f"{name}.bias_hh": zrh_to_rzn(bias[1])}
    return tensors | {f"{name}.bias_ih": zrh_to_rzn(bias)}


def dense(name, kernel, bias):
    """The tensors of a dense layer whose kernel is (n_in, n_out)."""
    return {f"{name}.weight": kernel.T.copy(), f"{name}.bias": bias}


def tensorflow_1_gru(name, gates_kernel, gates_bias, candidate_kernel, candidate_bias):
    """The tensors of a TF 1 GRUCell: kernels over [x, h], gates r | u, where u is our z."""
    n_hid = len(candidate_bias)
    kernel = np.concatenate([gates_kernel, candidate_kernel], axis=1).T  # (3*n_hid, n_in + n_hid), rows r | z | n
    return {
        f"{name}.weight_ih": kernel[:, :-n_hid].copy(),
        f"{name}.weight_hh": kernel[:, -n_hid:].copy(),
        f"{name}.bias_ih": np.concatenate([gates_bias, candidate_bias]),
    }


def compare(actual, expected, tolerance):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), SINGLE)
def test_handwriting_reset_before_with_the_old_hard_sigmoid(dtype, tolerance):
    """Keras 2.2.4 on a microcontroller's data: letters, point by point."""
    h5py = pytest.importorskip("h5py", reason="needs h5py")
    io = arrays("handwriting_gru", "io.npz")
    with h5py.File(next((FIXTURES / "handwriting_gru").glob("*.h5"))) as file:
        weights = {}
        file["model_weights"].visititems(
            lambda name, item: weights.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    named = {name.rpartition("/")[2].removesuffix(":0"): value for name, value in weights.items() if "gru" in name}
    head = {name.rpartition("/")[2].removesuffix(":0"): value for name, value in weights.items() if "dense" in name}
    tensors = keras_gru("gru", named["kernel"], named["recurrent_kernel"], named["bias"])
    tensors |= dense("head", head["kernel"], head["bias"])
    spec = s.sequential(
        s.Gru(name="gru", n_hid=100, variant="before", gate="hard_sigmoid"),
        s.Dense(name="head", n_out=26),
        s.Softmax(name="letter"),
        inputs=(s.Input(name="point", size=2),),
        outputs=(s.Output(name="letter", labels=tuple("abcdefghijklmnopqrstuvwxyz")),),
    )
    model = streamgru.Model(spec, tensors, dtype=dtype)
    for x, h, softmax in zip(io["x"], io["expected_h_seq_keras"], io["expected_softmax_f64"], strict=True):
        trace = model.stream().trace(x)
        compare(trace.gates["gru"].h, h, tolerance)
        compare(trace.y[-1], softmax, tolerance)
    last = model.run(io["x"])[:, -1].argmax(axis=1)
    assert sum(model.labels[i] == label for i, label in zip(last, io["labels"], strict=True)) == 15


@pytest.mark.parametrize(("dtype", "tolerance"), SINGLE)
def test_keyword_spotting_from_tensorflow_1(dtype, tolerance):
    io, weights = arrays("arm_kws_gru", "io.npz"), arrays("arm_kws_gru", "weights.npz")
    tensors = tensorflow_1_gru(
        "gru", *(weights[f"{part}_{kind}"] for part in ("gates", "candidate") for kind in ("kernel", "bias"))
    ) | dense("head", weights["W_o"], weights["b_o"])
    spec = s.sequential(
        s.Gru(name="gru", n_hid=154, variant="before"),
        s.Dense(name="head", n_out=12),
        s.Softmax(name="word"),
        inputs=(s.Input(name="mfcc", size=10),),
    )
    model = streamgru.Model(spec, tensors, dtype=dtype)
    for i, x in enumerate(io["mfcc"]):
        trace = model.stream().trace(x)
        compare(trace.gates["gru"].h, io["expected_h_seq_f64"][i], tolerance if dtype == "float32" else 1e-12)
        compare(trace.gates["gru"].h[-1], io["expected_h_last_tf"][i], tolerance)
        compare(trace.y[-1], io["expected_softmax_tf"][i], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), SINGLE)
def test_g2p_encoder_and_decoder_from_pytorch(dtype, tolerance):
    """Letters in, then greedy phonemes: the decoder starts from the encoder's last state."""
    weights, expected = arrays("g2p_en", "checkpoint20.npz"), arrays("g2p_en", "expected.npz")
    cases = json.loads((FIXTURES / "g2p_en" / "cases.json").read_text())

    def part(prefix, vocab, *head):
        tensors = {"emb.weight": weights[f"{prefix}_emb"]}
        for ours, theirs in {"weight_ih": "w_ih", "weight_hh": "w_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}.items():
            tensors[f"gru.{ours}"] = weights[f"{prefix}_{theirs}"]
        if head:
            tensors |= {"head.weight": weights["fc_w"], "head.bias": weights["fc_b"]}
        spec = s.sequential(
            s.Embedding(name="emb", n_out=256),
            s.Gru(name="gru", n_hid=256),
            *head,
            inputs=(s.Input(name="token", kind="token", vocab=vocab),),
        )
        return streamgru.Model(spec, tensors, dtype=dtype)

    encoder, decoder = part("enc", 29), part("dec", 74, s.Dense(name="head", n_out=74))
    letters, words = cases["graphemes"], [case["word"] for case in cases["cases"]]
    assert len(words) == len(expected["encoder_final_h"])
    start = 0
    for i, word in enumerate(words):
        known = [letter if letter in letters else "<unk>" for letter in word]  # an apostrophe is not
        tokens = [[letters.index(letter)] for letter in [*known, "</s>"]]
        h = encoder.stream().run(tokens)[-1]
        compare(h, expected["encoder_final_h"][i], tolerance)
        stream = decoder.stream()
        stream.state = {"gru": h}
        token, stop = 2, start + expected["logits_len"][i]
        for logits in expected["logits"][start:stop]:
            y = stream.step([token])
            compare(y, logits, 3 * tolerance)
            token = int(y.argmax())
            assert token == logits.argmax()
        start = stop


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_noise_suppression_with_relu_and_int8(dtype):
    """RNNoise 0.1: three GRUs that feed each other, whose states are not bounded."""
    io, raw = arrays("rnnoise_v01", "io.npz"), arrays("rnnoise_v01", "weights_int8.npz")
    weights = {name: value.astype(np.float64) / 256 for name, value in raw.items()}

    def gru(name, n_in):
        kernel, recurrent = weights[f"{name}_weights"].reshape(n_in, -1), weights[f"{name}_recurrent_weights"]
        return keras_gru(name, kernel, recurrent.reshape(kernel.shape[1] // 3, -1), weights[f"{name}_bias"])

    def head(name, n_in):
        return dense(name, weights[f"{name}_weights"].reshape(n_in, -1), weights[f"{name}_bias"])

    tensors = head("input_dense", 42) | gru("vad_gru", 24) | gru("noise_gru", 90) | gru("denoise_gru", 114)
    tensors |= head("vad_output", 24) | head("denoise_output", 96)
    relu = {"variant": "before", "candidate": "relu"}
    spec = s.sequential(
        s.Dense(name="input_dense", n_out=24, function="tanh"),
        s.Gru(name="vad_gru", n_hid=24, **relu),
        s.Concat(name="to_noise", inputs=("input_dense", "vad_gru", "features")),
        s.Gru(name="noise_gru", n_hid=48, **relu),
        s.Concat(name="to_denoise", inputs=("vad_gru", "noise_gru", "features")),
        s.Gru(name="denoise_gru", n_hid=96, **relu),
        s.Dense(name="denoise_output", n_out=22, function="sigmoid"),
        s.Dense(name="vad_output", inputs=("vad_gru",), n_out=1, function="sigmoid"),
        s.Concat(name="y", inputs=("denoise_output", "vad_output")),
        inputs=(s.Input(name="features", size=42),),
        outputs=(s.Output(name="gains", stop=22), s.Output(name="vad", start=22)),
    )
    model = streamgru.Model(spec, tensors, dtype=dtype)
    trace = model.stream().trace(io["features"])
    tight = 1e-5 if dtype == "float32" else 1e-9
    np.testing.assert_allclose(trace.y[:, :22], io["expected_gains_f64"], rtol=0, atol=tight)
    np.testing.assert_allclose(trace.y[:, 22], io["expected_vad_f64"], rtol=0, atol=tight)
    scale = np.maximum(1, np.abs(io["h_denoise_f64"]))
    np.testing.assert_allclose(trace.gates["denoise_gru"].h / scale, io["h_denoise_f64"] / scale, rtol=0, atol=tight)
    np.testing.assert_allclose(trace.y[:, :22], io["expected_gains_c"], rtol=0, atol=1e-4)  # its tanh is a table
    np.testing.assert_allclose(trace.y[:, 22], io["expected_vad_c"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), SINGLE)
def test_gait_phase_from_keras_3(dtype, tolerance):
    """From what enters the GRU on; the state is carried over 6000 steps."""
    io, weights = arrays("gait_phase", "io.npz"), arrays("gait_phase", "weights.npz")
    tensors = keras_gru("gru", *(weights[f"gru__{key}"] for key in ("kernel", "recurrent_kernel", "bias")))
    tensors |= dense("dense", weights["dense__kernel"], weights["dense__bias"])
    spec = s.sequential(
        s.Gru(name="gru", n_hid=16),
        s.Dense(name="dense", n_out=2),
        s.Normalize(name="unit"),
        inputs=(s.Input(name="x", size=16),),
    )
    trace = streamgru.Model(spec, tensors, dtype=dtype).stream().trace(io["gru_input_f64"])
    compare(trace.gates["gru"].h, io["expected_h_keras"], tolerance)
    compare(trace.y, io["expected_y_keras"], tolerance)
    compare(trace.y, io["expected_y_f64"], tolerance if dtype == "float32" else 1e-9)


def test_the_oracle_agrees_with_tensorflow_on_reset_before():
    """TensorFlow's own answers hold the oracle's other variant, as the golden files hold the first."""
    io, weights = arrays("arm_kws_gru", "io.npz"), arrays("arm_kws_gru", "weights.npz")
    tensors = tensorflow_1_gru(
        "gru", *(weights[f"{part}_{kind}"] for part in ("gates", "candidate") for kind in ("kernel", "bias"))
    )
    h = gru_numpy.gru(io["mfcc"][0], *tensors.values(), variant="before")
    compare(h, io["expected_h_seq_f64"][0], 1e-12)
    compare(h[-1], io["expected_h_last_tf"][0], 1e-5)


OTHERS = {
    "gait_phase/*.tflite": "TensorFlow Lite",
    "gait_phase/weights.npz": "NumPy archive",
    "arm_kws_gru/*.pb": "expected a .safetensors file",
}


@pytest.mark.parametrize("pattern", OTHERS)
def test_files_of_other_frameworks_are_refused(pattern):
    paths = list(FIXTURES.glob(pattern))
    assert paths
    for path in paths:
        with pytest.raises(streamgru.LoadError, match=OTHERS[pattern]):
            streamgru.load(path)
