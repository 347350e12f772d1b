"""GRUs as their frameworks define them, from the formulas, in float64: made without the code under test.

Each class makes random arrays in the layout of its framework, and steps as its framework does.
"""

import numpy as np

N_IN, N_HID = 3, 5


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def numbers(seed=0):
    """A maker of random arrays in float64."""
    rng = np.random.default_rng(seed)
    return lambda *shape: rng.uniform(-1, 1, shape)


class Torch:
    """torch.nn.GRUCell: rows r, z, n; two biases; the reset gate acts after the product."""

    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    layer = {  # noqa: RUF012
        "convention": "torch",
        "arrays": {
            "input": "weight_ih", "recurrent": "weight_hh", "bias": "bias_ih", "recurrent_bias": "bias_hh",
        },
    }  # fmt: skip

    def __init__(self, seed=0):
        make = numbers(seed)
        shapes = ((3 * N_HID, N_IN), (3 * N_HID, N_HID), (3 * N_HID,), (3 * N_HID,))
        self.arrays = {name: make(*shape) for name, shape in zip(self.names, shapes, strict=True)}

    def step(self, x, h):
        w, u, b, c = (self.arrays[name] for name in self.names)
        x_r, x_z, x_n = np.split(w @ x + b, 3)
        h_r, h_z, h_n = np.split(u @ h + c, 3)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        return (1 - z) * np.tanh(x_n + r * h_n) + z * h


class Keras:
    """keras.layers.GRU with reset_after=True: columns z, r, h; two rows of biases."""

    layer = {  # noqa: RUF012
        "convention": "keras",
        "arrays": {"input": "kernel", "recurrent": "recurrent_kernel", "bias": "bias"},
    }

    def __init__(self):
        make = numbers()
        self.arrays = {
            "kernel": make(N_IN, 3 * N_HID), "recurrent_kernel": make(N_HID, 3 * N_HID), "bias": make(2, 3 * N_HID),
        }  # fmt: skip

    def biases(self):
        return self.arrays["bias"]

    def step(self, x, h):
        b, c = self.biases()
        x_z, x_r, x_h = np.split(x @ self.arrays["kernel"] + b, 3)
        h_z, h_r, h_h = np.split(h @ self.arrays["recurrent_kernel"] + c, 3)
        z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
        return z * h + (1 - z) * np.tanh(x_h + r * h_h)


class CuDnnKeras(Keras):
    """keras.layers.CuDNNGRU: the same with both biases in one row."""

    layer = Keras.layer | {"biases": "flat"}

    def __init__(self):
        super().__init__()
        self.arrays["bias"] = self.arrays["bias"].reshape(-1)

    def biases(self):
        return self.arrays["bias"].reshape(2, -1)


class KerasResetBefore:
    """keras.layers.GRU with reset_after=False: one bias."""

    layer = Keras.layer | {"convention": "keras_reset_before"}

    def __init__(self):
        make = numbers()
        self.arrays = {
            "kernel": make(N_IN, 3 * N_HID), "recurrent_kernel": make(N_HID, 3 * N_HID), "bias": make(3 * N_HID),
        }  # fmt: skip

    def step(self, x, h):
        x_z, x_r, x_h = np.split(x @ self.arrays["kernel"] + self.arrays["bias"], 3)
        u_z, u_r, u_h = np.split(self.arrays["recurrent_kernel"], 3, axis=1)
        z, r = sigmoid(x_z + h @ u_z), sigmoid(x_r + h @ u_r)
        return z * h + (1 - z) * np.tanh(x_h + (r * h) @ u_h)


class OldKeras(KerasResetBefore):
    """Keras 1 and 2 before reset_after: the hard sigmoid of that time in the gates."""

    layer = KerasResetBefore.layer | {"gate": "hard_sigmoid"}

    def step(self, x, h):
        x_z, x_r, x_h = np.split(x @ self.arrays["kernel"] + self.arrays["bias"], 3)
        u_z, u_r, u_h = np.split(self.arrays["recurrent_kernel"], 3, axis=1)
        z, r = (np.clip(0.2 * a + 0.5, 0, 1) for a in (x_z + h @ u_z, x_r + h @ u_r))
        return z * h + (1 - z) * np.tanh(x_h + (r * h) @ u_h)


class Onnx:
    """The ONNX operator: z, r, h; an axis of directions; B is Wb and Rb in a row; reset before by default."""

    layer = {"convention": "onnx", "arrays": {"input": "W", "recurrent": "R", "bias": "B"}}  # noqa: RUF012

    def __init__(self, directions=1):
        make = numbers()
        self.arrays = {
            "W": make(directions, 3 * N_HID, N_IN), "R": make(directions, 3 * N_HID, N_HID),
            "B": make(directions, 6 * N_HID),
        }  # fmt: skip

    def step(self, x, h, direction=0):
        w, u, b = (self.arrays[name][direction] for name in "WRB")
        w_z, w_r, w_h = np.split(w, 3)
        u_z, u_r, u_h = np.split(u, 3)
        wb_z, wb_r, wb_h, rb_z, rb_r, rb_h = np.split(b, 6)
        z = sigmoid(w_z @ x + u_z @ h + wb_z + rb_z)
        r = sigmoid(w_r @ x + u_r @ h + wb_r + rb_r)
        return (1 - z) * np.tanh(w_h @ x + u_h @ (r * h) + rb_h + wb_h) + z * h


class OnnxAfter(Onnx):
    """With linear_before_reset=1."""

    layer = Onnx.layer | {"variant": "after"}

    def step(self, x, h, direction=0):
        w, u, b = (self.arrays[name][direction] for name in "WRB")
        x_z, x_r, x_h = np.split(w @ x + b[: 3 * N_HID], 3)
        h_z, h_r, h_h = np.split(u @ h + b[3 * N_HID :], 3)
        z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
        return (1 - z) * np.tanh(x_h + r * h_h) + z * h


class Tf1:
    """tf.nn.rnn_cell.GRUCell: gates r, u and the candidate, each of [x, h]."""

    layer = {  # noqa: RUF012
        "convention": "tf1",
        "arrays": {
            "both": {"rz": "gates/kernel", "n": "candidate/kernel"},
            "bias": {"rz": "gates/bias", "n": "candidate/bias"},
        },
    }

    def __init__(self):
        make = numbers()
        self.arrays = {
            "gates/kernel": make(N_IN + N_HID, 2 * N_HID), "gates/bias": make(2 * N_HID),
            "candidate/kernel": make(N_IN + N_HID, N_HID), "candidate/bias": make(N_HID),
        }  # fmt: skip

    def step(self, x, h):
        a = self.arrays
        r, u = np.split(sigmoid(np.concatenate([x, h]) @ a["gates/kernel"] + a["gates/bias"]), 2)
        c = np.tanh(np.concatenate([x, r * h]) @ a["candidate/kernel"] + a["candidate/bias"])
        return u * h + (1 - u) * c


class Flax:
    """flax.linen.GRUCell: a Dense per gate; of the recurrent ones only hn has a bias."""

    layer = {  # noqa: RUF012
        "convention": "flax",
        "arrays": {
            "input": {"r": "ir/kernel", "z": "iz/kernel", "n": "in/kernel"},
            "recurrent": {"r": "hr/kernel", "z": "hz/kernel", "n": "hn/kernel"},
            "bias": {"r": "ir/bias", "z": "iz/bias", "n": "in/bias"},
            "recurrent_bias": {"n": "hn/bias"},
        },
    }

    def __init__(self):
        make = numbers()
        self.arrays = {f"i{gate}/kernel": make(N_IN, N_HID) for gate in "rzn"}
        self.arrays |= {f"h{gate}/kernel": make(N_HID, N_HID) for gate in "rzn"}
        self.arrays |= {f"{name}/bias": make(N_HID) for name in ("ir", "iz", "in", "hn")}

    def step(self, x, h):
        a = self.arrays
        r = sigmoid(x @ a["ir/kernel"] + a["ir/bias"] + h @ a["hr/kernel"])
        z = sigmoid(x @ a["iz/kernel"] + a["iz/bias"] + h @ a["hz/kernel"])
        n = np.tanh(x @ a["in/kernel"] + a["in/bias"] + r * (h @ a["hn/kernel"] + a["hn/bias"]))
        return (1 - z) * n + z * h


class FlaxNnx:
    """flax.nnx.GRUCell: two Denses, r, z, n; the recurrent one has no bias at all."""

    layer = {  # noqa: RUF012
        "convention": "flax_nnx",
        "arrays": {"input": "dense_i.kernel", "recurrent": "dense_h.kernel", "bias": "dense_i.bias"},
    }

    def __init__(self):
        make = numbers()
        self.arrays = {
            "dense_i.kernel": make(N_IN, 3 * N_HID), "dense_i.bias": make(3 * N_HID),
            "dense_h.kernel": make(N_HID, 3 * N_HID),
        }  # fmt: skip

    def step(self, x, h):
        x_r, x_z, x_n = np.split(x @ self.arrays["dense_i.kernel"] + self.arrays["dense_i.bias"], 3)
        h_r, h_z, h_n = np.split(h @ self.arrays["dense_h.kernel"], 3)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        return (1 - z) * np.tanh(x_n + r * h_n) + z * h


class Haiku:
    """hk.GRU: z, r, a; reset before; the update gate writes."""

    layer = {"convention": "haiku", "arrays": {"input": "w_i", "recurrent": "w_h", "bias": "b"}}  # noqa: RUF012

    def __init__(self):
        make = numbers()
        self.arrays = {"w_i": make(N_IN, 3 * N_HID), "w_h": make(N_HID, 3 * N_HID), "b": make(3 * N_HID)}

    def step(self, x, h):
        x_z, x_r, x_a = np.split(x @ self.arrays["w_i"] + self.arrays["b"], 3)
        u_z, u_r, u_a = np.split(self.arrays["w_h"], 3, axis=1)
        z, r = sigmoid(x_z + h @ u_z), sigmoid(x_r + h @ u_r)
        return (1 - z) * h + z * np.tanh(x_a + (r * h) @ u_a)


class Lasagne:
    """lasagne.layers.GRULayer: three arrays of each kind; reset after; the update gate writes; hid_init (1, n_hid)."""

    layer = {  # noqa: RUF012
        "convention": "lasagne",
        "arrays": {
            "input": {"r": "W_in_to_resetgate", "z": "W_in_to_updategate", "n": "W_in_to_hidden_update"},
            "recurrent": {"r": "W_hid_to_resetgate", "z": "W_hid_to_updategate", "n": "W_hid_to_hidden_update"},
            "bias": {"r": "b_resetgate", "z": "b_updategate", "n": "b_hidden_update"},
            "h0": "hid_init",
        },
    }

    def __init__(self):
        make = numbers()
        gates = ("resetgate", "updategate", "hidden_update")
        self.arrays = {f"W_in_to_{gate}": make(N_IN, N_HID) for gate in gates}
        self.arrays |= {f"W_hid_to_{gate}": make(N_HID, N_HID) for gate in gates}
        self.arrays |= {f"b_{gate}": make(N_HID) for gate in gates} | {"hid_init": make(1, N_HID)}
        self.h0 = self.arrays["hid_init"][0]

    def step(self, x, h):
        a = self.arrays
        r = sigmoid(x @ a["W_in_to_resetgate"] + h @ a["W_hid_to_resetgate"] + a["b_resetgate"])
        u = sigmoid(x @ a["W_in_to_updategate"] + h @ a["W_hid_to_updategate"] + a["b_updategate"])
        c = np.tanh(x @ a["W_in_to_hidden_update"] + r * (h @ a["W_hid_to_hidden_update"]) + a["b_hidden_update"])
        return (1 - u) * h + u * c


class Rnnoise:
    """RNNoise until 0.1.1: flat int8, all in units of 1/256; z, r, h; reset before; a relu for the candidate."""

    layer = {  # noqa: RUF012
        "convention": "rnnoise",
        "arrays": {"input": "weights", "recurrent": "recurrent_weights", "bias": "bias"},
    }

    def __init__(self):
        rng = np.random.default_rng(0)
        sizes = {"weights": N_IN, "recurrent_weights": N_HID, "bias": 1}
        self.arrays = {name: rng.integers(-127, 128, n * 3 * N_HID, np.int8) for name, n in sizes.items()}

    def step(self, x, h):
        a = {name: array.reshape(-1, 3, N_HID) / 256 for name, array in self.arrays.items()}  # [input, gate, unit]
        w, u, b = a["weights"], a["recurrent_weights"], a["bias"][0]
        z = sigmoid(b[0] + x @ w[:, 0] + h @ u[:, 0])
        r = sigmoid(b[1] + x @ w[:, 1] + h @ u[:, 1])
        return z * h + (1 - z) * np.maximum(b[2] + x @ w[:, 2] + (r * h) @ u[:, 2], 0)


ALL = (
    Torch, Keras, CuDnnKeras, KerasResetBefore, OldKeras, Onnx, OnnxAfter, Tf1, Flax, FlaxNnx, Haiku, Lasagne, Rnnoise,
)  # fmt: skip


def states(gru, x, **options):
    """h after every step over x."""
    h, found = getattr(gru, "h0", np.zeros(N_HID)), []
    for x_t in x:
        h = gru.step(x_t, h, **options)
        found.append(h)
    return np.array(found)
