"""The float64 reference: GRU layers in NumPy, straight from the equations. Imports nothing of streamgru."""

import numpy as np

FUNCTIONS = {
    "linear": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "hard_sigmoid_keras3": lambda x: np.clip(x / 6 + 0.5, 0, 1),
}


def gru(
    x,
    weight_ih,
    weight_hh,
    bias_ih=0.0,
    bias_hh=0.0,
    h0=None,
    variant="after",
    gate="sigmoid",
    candidate="tanh",
    clip=np.inf,
):
    """One layer over x (n_steps, n_in); rows of the weights are r | z | n. Returns every h (n_steps, n_hid).

    *gate* and *candidate* are names, or functions themselves.
    """
    n_hid = np.shape(weight_hh)[1]
    arrays = (np.asarray(a, np.float64) for a in (weight_ih, weight_hh, bias_ih, bias_hh))
    w, u, b, c = (np.broadcast_to(a, (3 * n_hid, *a.shape[1:])) if a.ndim < 2 else a for a in arrays)
    (w_r, w_z, w_n), (u_r, u_z, u_n), (b_r, b_z, b_n), (c_r, c_z, c_n) = (np.split(a, 3) for a in (w, u, b, c))
    sigma, g = FUNCTIONS.get(gate, gate), FUNCTIONS.get(candidate, candidate)
    h = np.zeros(n_hid) if h0 is None else np.asarray(h0, np.float64)
    states = []
    for x_t in np.asarray(x, np.float64):
        r = sigma(np.clip(w_r @ x_t + b_r + u_r @ h + c_r, -clip, clip))
        z = sigma(np.clip(w_z @ x_t + b_z + u_z @ h + c_z, -clip, clip))
        recurrent = r * (u_n @ h + c_n) if variant == "after" else u_n @ (r * h) + c_n
        n = g(np.clip(w_n @ x_t + b_n + recurrent, -clip, clip))
        h = (1 - z) * n + z * h
        states.append(h)
    return np.array(states)


def log_softmax(x):
    shifted = x - np.max(x, axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(x):
    """Along the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
