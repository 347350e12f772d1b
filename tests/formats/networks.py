"""Small networks and files for the tests of the formats, made without the code under test."""

import json

import numpy as np

from streamgru.model import spec as s

N_IN, N_HID, N_OUT = 3, 4, 2


def tensors(seed=0):
    """A GRU of 3 -> 4 and a head of 4 -> 2, under native names."""
    rng = np.random.default_rng(seed)
    shapes = {
        "gru.0.weight_ih": (3 * N_HID, N_IN),
        "gru.0.weight_hh": (3 * N_HID, N_HID),
        "gru.0.bias_ih": (3 * N_HID,),
        "gru.0.bias_hh": (3 * N_HID,),
        "head.weight": (N_OUT, N_HID),
        "head.bias": (N_OUT,),
    }
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def spec():
    return s.sequential(
        s.Gru(name="gru.0", n_hid=N_HID), s.Dense(name="head", n_out=N_OUT), inputs=(s.Input(name="x", size=N_IN),)
    )


def safetensors_bytes(header, body=b"", size=None):
    """A safetensors file by hand, also a wrong one: header is an object, or the very bytes of it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text + body


def entry(shape=(1,), dtype="F32", offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def torch_gru(n_in, n_hid, n_layers=1, prefix="", bias=True, seed=0):
    """What nn.GRU(n_in, n_hid, n_layers).state_dict() holds."""
    rng = np.random.default_rng(seed)
    made = {}
    for k in range(n_layers):
        made[f"{prefix}weight_ih_l{k}"] = (3 * n_hid, n_hid if k else n_in)
        made[f"{prefix}weight_hh_l{k}"] = (3 * n_hid, n_hid)
        if bias:
            made[f"{prefix}bias_ih_l{k}"] = made[f"{prefix}bias_hh_l{k}"] = (3 * n_hid,)
    return {name: rng.uniform(-0.5, 0.5, shape).astype(np.float32) for name, shape in made.items()}


def torch_linear(n_in, n_out, prefix, bias=True, seed=1):
    """What nn.Linear(n_in, n_out).state_dict() holds."""
    rng = np.random.default_rng(seed)
    shapes = {f"{prefix}weight": (n_out, n_in)} | ({f"{prefix}bias": (n_out,)} if bias else {})
    return {name: rng.uniform(-0.5, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
