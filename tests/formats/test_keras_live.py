"""Files that Keras 3 writes, against its own answers: our spec and tensors evaluated in float64, and by the engine."""

import json
import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="needs keras")
pytest.importorskip("h5py", reason="needs h5py")

import streamgru  # noqa: E402
from streamgru.errors import SpecError, UnsupportedError  # noqa: E402
from streamgru.formats.read import read  # noqa: E402
from streamgru.model import spec as s  # noqa: E402
from tests.oracle import spec_numpy  # noqa: E402

layers = keras.layers
N_STEPS, N_IN = 23, 3
pytestmark = pytest.mark.filterwarnings("ignore")  # of Keras


def stack(*parts, n_steps=None, n_in=N_IN):
    return keras.Sequential([keras.Input((n_steps, n_in)), *parts])


def tokens(*parts):
    return keras.Sequential([keras.Input((None,), dtype="int32"), *parts])


def gru(n=4, **settings):
    return layers.GRU(n, return_sequences=True, **settings)


def two_inputs():
    a, b = keras.Input((None, 3), name="accelerometer"), keras.Input((None, 2), name="gyro scope")
    x = layers.Concatenate()([layers.Conv1D(4, 3, padding="causal", activation="relu")(a), b])
    return keras.Model([b, a], layers.Dense(2)(gru()(x)))


def two_outputs():
    x = keras.Input((None, 3))
    h = gru()(x)
    return keras.Model(x, [layers.Dense(3, activation="softmax", name="kind")(h), layers.Dense(1, name="speed")(h)])


def residual():
    x = keras.Input((None, 3))
    y = gru()(layers.Dense(4)(x))
    a, b = layers.Dense(4)(y), layers.Dense(4, activation="sigmoid")(y)
    y = layers.Add()([a, b, y])
    y = layers.Multiply()([y, layers.Subtract()([a, y])])
    y = layers.Average()([y, a * b, a + b])
    layers.Dense(9, name="unused")(y)
    return keras.Model(x, layers.Dense(1)(y))


def skipped_branch():
    """The layers stand in the file in an order in which they cannot run."""
    x = keras.Input((None, 3))
    short, long = layers.Dense(4)(x), gru()(gru()(x))
    return keras.Model(x, layers.Add()([short, long]))


MODELS = {
    "after": lambda: stack(gru(5), layers.Dense(2)),
    "before": lambda: stack(gru(5, reset_after=False), layers.Dense(2, activation="sigmoid")),
    "after, no bias": lambda: stack(gru(use_bias=False), layers.Dense(2, use_bias=False)),
    "before, no bias": lambda: stack(gru(use_bias=False, reset_after=False)),
    "functions": lambda: stack(gru(activation="relu", recurrent_activation="hard_sigmoid"), layers.ReLU()),
    "two": lambda: stack(gru(dropout=0.2, recurrent_dropout=0.1), layers.Dropout(0.5), gru(2, stateful=False)),
    "last": lambda: stack(gru(), layers.GRU(3), layers.Dense(4, activation="softmax")),
    "cell": lambda: stack(layers.RNN(layers.GRUCell(4, reset_after=False), return_sequences=True)),
    "bidirectional": lambda: stack(layers.Bidirectional(gru()), layers.Dense(2)),
    "bidirectional, last": lambda: stack(layers.Bidirectional(layers.GRU(4)), layers.Dense(2)),
    "bidirectional, sum": lambda: stack(layers.Bidirectional(gru(), merge_mode="sum")),
    "bidirectional, mul": lambda: stack(layers.Bidirectional(gru(reset_after=False), merge_mode="mul")),
    "bidirectional, ave": lambda: stack(layers.Bidirectional(gru(use_bias=False), merge_mode="ave")),
    "bidirectional, unlike": lambda: stack(layers.Bidirectional(gru(), backward_layer=gru(2, go_backwards=True))),
    "backwards": lambda: stack(layers.GRU(4, go_backwards=True)),
    "causal": lambda: stack(layers.Conv1D(4, 5, padding="causal", activation="tanh"), gru()),
    "dilated": lambda: stack(layers.Conv1D(4, 3, padding="causal", dilation_rate=3, use_bias=False), gru()),
    "grouped": lambda: stack(layers.Dense(4), layers.Conv1D(6, 3, padding="causal", groups=2), gru()),
    "same": lambda: stack(layers.Conv1D(4, 4, padding="same"), gru()),
    "same, strides": lambda: stack(layers.Conv1D(4, 4, padding="same", strides=3), gru(), n_steps=N_STEPS),
    "valid, strides": lambda: stack(layers.Conv1D(4, 4, strides=2), gru()),
    "causal, strides": lambda: stack(layers.Conv1D(4, 3, strides=2, padding="causal", activation="softmax"), gru()),
    "padded": lambda: stack(layers.ZeroPadding1D((2, 1)), layers.Conv1D(4, 3), gru()),
    "padded pool": lambda: stack(gru(), layers.ZeroPadding1D((2, 0)), layers.AveragePooling1D(3, strides=1), gru()),
    "average": lambda: stack(layers.AveragePooling1D(3, strides=1, padding="same"), gru()),
    "average, strides": lambda: stack(gru(), layers.AveragePooling1D(3), gru()),
    "maximum": lambda: stack(layers.MaxPooling1D(2), gru(), layers.MaxPooling1D(3, strides=1, padding="same")),
    "norms": lambda: stack(layers.BatchNormalization(), gru(), layers.LayerNormalization(), layers.UnitNormalization()),
    "half norms": lambda: stack(layers.BatchNormalization(scale=False), layers.LayerNormalization(center=False), gru(),
                                layers.BatchNormalization(center=False), layers.LayerNormalization(scale=False)),
    "scaled": lambda: stack(layers.Rescaling(0.1, 0.5), layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0] * 3),
                            gru(3), layers.Normalization(mean=[1.0] * 3, variance=[2.0] * 3, invert=True)),
    "idle": lambda: stack(layers.GaussianNoise(0.1), layers.SpatialDropout1D(0.1), gru(), layers.Activation("linear"),
                          layers.Reshape((-1, 4)), layers.ActivityRegularization(0.1), layers.Activation("softmax")),
    "distributed": lambda: stack(gru(), layers.TimeDistributed(layers.Dense(3, activation="softmax"))),
    "embedding": lambda: tokens(layers.Embedding(7, 3), gru(), layers.Dense(7, activation="softmax")),
    "embedding, last": lambda: tokens(layers.Embedding(7, 3), layers.GRU(4), layers.Flatten(), layers.Dense(1)),
    "two inputs": two_inputs,
    "two outputs": two_outputs,
    "residual": residual,
    "skipped branch": skipped_branch,
}  # fmt: skip
CURVES = {
    "leaky": lambda: stack(gru(activation="leaky_relu"), layers.LeakyReLU(0.1), layers.LeakyReLU(), gru()),
    "elu": lambda: stack(gru(activation="elu"), layers.ELU(0.7), layers.Dense(3, activation="gelu")),
    "clip": lambda: stack(layers.ReLU(6.0), layers.Dense(4, activation="relu6"), gru(activation="softsign")),
    "others": lambda: stack(layers.Dense(4, activation="selu"), layers.Dense(4, activation="silu"),
                            layers.ReLU(threshold=0.5), layers.Activation("softplus"), gru(),
                            layers.Activation("exponential")),
    "a layer": lambda: stack(gru(), layers.Dense(3, activation=layers.LeakyReLU(0.2))),
}  # fmt: skip


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(7)
    yield
    keras.backend.clear_session()


def shaken(model, rng):
    """Weights as after a training: the biases, scales and statistics that Keras makes 0 and 1 as well."""
    model.set_weights([
        np.abs(rng.normal(1, 0.3, w.shape)) if np.all(w == 1) else rng.normal(0, 0.4, w.shape)
        for w in model.get_weights()
    ])  # fmt: skip
    return model


def data(model, rng, n_steps=N_STEPS):
    return [
        rng.integers(0, 7, (1, n_steps)) if len(tensor.shape) == 2
        else rng.standard_normal((1, n_steps, tensor.shape[-1])).astype(np.float32)
        for tensor in model.inputs
    ]  # fmt: skip


def expected(model, xs):
    ys = model(xs if len(xs) > 1 else xs[0])
    ys = [np.asarray(y.detach()) for y in (ys if isinstance(ys, list) else [ys])]
    return np.concatenate([np.atleast_2d(y[0]) for y in ys], axis=1)


def inputs_of(model, found, xs):
    """The arrays by the names that they have in the spec: those of Keras, with plain characters."""
    names = [tensor._keras_history.operation.name.replace(" ", "_") for tensor in model.inputs]
    if isinstance(model, keras.Sequential):
        names = [found.spec.main.inputs[0].name]
    return {name: x[0] for name, x in zip(names, xs, strict=True)}


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("which", [*MODELS, *CURVES])
def test_the_same_answers(tmp_path, rng, which, ending):
    model = shaken((MODELS | CURVES)[which](), rng)
    model.save(tmp_path / f"model{ending}")
    found = read(tmp_path / f"model{ending}")
    xs = data(model, rng)
    program = json.loads(s.to_json(found.spec))["programs"]["main"]
    y = spec_numpy.run(program, found.tensors, inputs_of(model, found, xs))
    np.testing.assert_allclose(y, expected(model, xs), atol=2e-5, rtol=2e-5)
    assert found.findings and found.spec.origin == f"Keras {keras.__version__}"


WHOLE = [which for which in MODELS if which.startswith(("bidirectional", "backwards"))]


@pytest.mark.parametrize("which", sorted((MODELS | CURVES).keys() - {*WHOLE, "two inputs"}))
def test_the_engine_gives_them_too(tmp_path, rng, which):
    model = shaken((MODELS | CURVES)[which](), rng)
    model.save(tmp_path / "model.keras")
    loaded = streamgru.load(tmp_path / "model.keras", dtype="float64")
    xs = data(model, rng)
    y = loaded.stream().run(np.concatenate([x.reshape(N_STEPS, -1) for x in xs], axis=1).astype(np.float64))
    want = expected(model, xs)
    if len(want) == 1:
        y = y[-1:]  # of a network that answers once, the last of its guesses
    assert len(want) - 4 <= len(y) <= len(want)  # what looks ahead owes the last answers of a sequence that just ends
    np.testing.assert_allclose(y, want[: len(y)], atol=2e-5, rtol=2e-5)


def test_names_of_inputs_and_outputs(tmp_path):
    two_inputs().save(tmp_path / "in.keras")
    two_outputs().save(tmp_path / "out.keras")
    assert {item.name for item in read(tmp_path / "in.keras").spec.main.inputs} == {"accelerometer", "gyro_scope"}
    outputs = read(tmp_path / "out.keras").spec.main.outputs
    assert [(o.name, o.start, o.stop) for o in outputs] == [("kind", 0, 3), ("speed", 3, 4)]


def lambda_model():
    return stack(gru(), layers.Lambda(lambda x: x * 2))


class Custom(layers.Layer):
    def call(self, x):
        return x


def initial_state():
    x, h = keras.Input((None, 3)), keras.Input((4,))
    return keras.Model([x, h], gru()(x, initial_state=h))


def its_state():
    x = keras.Input((None, 3))
    _, state = layers.GRU(4, return_sequences=True, return_state=True)(x)
    return keras.Model(x, layers.Dense(2)(state))


def shared():
    x, layer = keras.Input((None, 4)), gru()
    return keras.Model(x, layer(layer(x)))


def nested():
    return stack(keras.Sequential([keras.Input((None, 3)), gru()]), layers.Dense(1))


def constant():
    x = keras.Input((None, 3))
    return keras.Model(x, gru()(x) * 2.0)


REFUSED = {
    "Lambda": lambda_model,
    "Custom": lambda: stack(gru(), Custom()),
    "LSTM": lambda: stack(layers.LSTM(4)),
    "SimpleRNN": lambda: stack(layers.SimpleRNN(4)),
    "GRUCell|StackedRNNCells": lambda: stack(layers.RNN([layers.GRUCell(4), layers.GRUCell(4)])),
    "initial_state|initial state": initial_state,
    "tensor 1": its_state,
    "called 2 times": shared,
    "Sequential": nested,
    "called with 2": constant,
    "backwards and returns sequences": lambda: stack(gru(go_backwards=True)),
    "Masking": lambda: stack(layers.Masking(), gru()),
    "mask_value": lambda: stack(layers.Masking(-1.0), layers.Dense(2)),
    "mask_zero": lambda: tokens(layers.Embedding(7, 3, mask_zero=True), gru()),
    "GlobalAveragePooling1D": lambda: stack(gru(), layers.GlobalAveragePooling1D()),
    "'same' with strides": lambda: stack(layers.Conv1D(4, 4, padding="same", strides=3)),
    "behind a ZeroPadding1D": lambda: stack(layers.ZeroPadding1D(1), gru()),
    "would count": lambda: stack(layers.ZeroPadding1D(1), layers.MaxPooling1D(2)),
    "channels_first": lambda: stack(layers.AveragePooling1D(2, data_format="channels_first"), n_steps=4),
    "cannot mix": lambda: stack(layers.Reshape((2, 6)), gru(), n_steps=4),
    "its axis": lambda: stack(layers.BatchNormalization(axis=1), gru(), n_steps=4),
    "RepeatVector": lambda: stack(layers.GRU(4), layers.RepeatVector(3), gru()),
    "rms_scaling": lambda: stack(layers.LayerNormalization(rms_scaling=True)),
    "mish": lambda: stack(layers.Dense(3, activation="mish")),
    "merge_mode": lambda: keras.Model(*bidirectional_apart()),
}


def bidirectional_apart():
    x = keras.Input((None, 3))
    forward, _ = layers.Bidirectional(gru(), merge_mode=None)(x)
    return x, forward


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused_is_named(tmp_path, message):
    REFUSED[message]().save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedError, match=message):
        read(tmp_path / "model.keras")


def test_weights_alone_need_a_spec(tmp_path, rng):
    model = shaken(stack(gru(5, reset_after=False, name="cell"), layers.Dense(2, name="out")), rng)
    model.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(SpecError, match=r"weights alone, of the layers .*cell, .*out"):
        read(tmp_path / "model.weights.h5")
    spec = s.sequential(
        s.Gru(name="cell", n_hid=5, variant="before"), s.Dense(name="out", n_out=2), inputs=(s.Input(name="x", size=3),)
    )
    loaded = streamgru.load(tmp_path / "model.weights.h5", spec=spec)
    xs = data(model, rng)
    np.testing.assert_allclose(loaded.stream().run(xs[0][0]), expected(model, xs), atol=1e-5)
    wrong = s.sequential(s.Gru(name="cell", n_hid=5), inputs=(s.Input(name="x", size=3),))
    with pytest.raises(SpecError, match=r"resets after the product of shape \(2, 15\), got \(15,\)"):
        read(tmp_path / "model.weights.h5", wrong)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_part_of_a_model(tmp_path, rng, ending):
    """A spec takes what it names, and what cannot be run stays in the file."""
    model = shaken(stack(gru(name="cell"), layers.Bidirectional(gru(), name="both")), rng)
    model.save(tmp_path / f"model{ending}")
    spec = s.sequential(
        s.Gru(name="cell", n_hid=4), s.Gru(name="both.forward", n_hid=4), inputs=(s.Input(name="x", size=3),)
    )
    loaded = streamgru.load(tmp_path / f"model{ending}", spec=spec)
    xs = data(model, rng)
    np.testing.assert_allclose(loaded.stream().run(xs[0][0]), expected(model, xs)[:, :4], atol=1e-5)


@pytest.mark.parametrize("which", [*WHOLE, "last", "embedding", "residual"])
def test_whole_sequences(tmp_path, rng, which):
    """What reads from the end is run over sequences that have one."""
    model = shaken(MODELS[which](), rng)
    model.save(tmp_path / "model.keras")
    loaded = streamgru.load(tmp_path / "model.keras", dtype="float64")
    xs = data(model, rng)
    want = expected(model, xs)
    y = loaded.run(xs[0].reshape(1, N_STEPS, -1).astype(np.float64))
    np.testing.assert_allclose(y[0][-len(want) :], want, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_inputs_come_in_the_order_of_the_caller(tmp_path, rng, ending):
    """Not in that in which the layers take them; of one size, nothing else would tell."""
    acc, gyro = (keras.Input((N_STEPS, 3), name=name) for name in ("acc", "gyro"))
    model = shaken(keras.Model([acc, gyro], gru(name="cell")(layers.Concatenate()([gyro, acc]))), rng)
    model.save(tmp_path / f"model{ending}")
    loaded = streamgru.load(tmp_path / f"model{ending}")
    assert [item.name for item in loaded.spec.main.inputs] == ["acc", "gyro"]
    x = rng.standard_normal((N_STEPS, 6)).astype(np.float32)
    want = np.asarray(model([x[None, :, :3], x[None, :, 3:]]).detach())[0]
    np.testing.assert_allclose(loaded.stream().run(x), want, atol=1e-5)


@pytest.mark.parametrize("frozen", ["forward_layer", "backward_layer"])
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_bidirectional_layer_with_one_half_frozen(tmp_path, rng, ending, frozen):
    """An .h5 lists what is trained first."""
    model = shaken(stack(layers.Bidirectional(gru(), name="both")), rng)
    getattr(model.get_layer("both"), frozen).trainable = False
    model.save(tmp_path / f"model{ending}")
    xs = data(model, rng)
    y = streamgru.load(tmp_path / f"model{ending}").run(xs[0])[0]
    np.testing.assert_allclose(y, expected(model, xs), atol=1e-5)


def test_steps_that_keras_would_repeat_are_refused(tmp_path):
    many, one = keras.Input((None, 4)), keras.Input((1, 4))
    keras.Model([many, one], gru()(layers.Add()([many, one]))).save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedError, match="different numbers of steps"):
        read(tmp_path / "model.keras")
