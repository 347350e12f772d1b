"""The networks whose steps are counted: each kind of layer, weights and size that has code of its own."""

import itertools

import numpy as np

from streamgru.model.layout import Q8, SCALE
from streamgru.model.spec import (
    Add,
    AveragePool1d,
    Concat,
    Conv1d,
    Dense,
    Embedding,
    Gru,
    Input,
    LayerNorm,
    MaxPool1d,
    Softmax,
)
from streamgru.stream.model import Model
from tests.networks import gru_tensors, spec_of, uniform

N_IN, VOCAB = 6, 10


def networks():
    """Models by name, all of ``packed``."""
    models = {
        f"{variant} {n_hid}": one_gru(n_hid, variant)
        for variant in ("after", "before")
        for n_hid in (1, 8, 64, 100, 256)
    }
    for stored in (as_f16, as_q8):
        for variant, n_hid in itertools.product(("after", "before"), (8, 64)):
            models[f"{variant} {n_hid} {stored.__name__.removeprefix('as_')}"] = one_gru(n_hid, variant, stored)
    models |= {"windows": windows(1, 0), "late windows": windows(2, 2)}
    return models | {f"stack {kind.__name__.removeprefix('as_')}": stack(kind) for kind in (as_f32, as_f16, as_q8)}


def as_f32(tensors):
    """As they are."""
    return tensors


def as_f16(tensors):
    """Matrices in 16 bits."""
    return {name: value.astype(np.float16) if value.ndim == 2 else value for name, value in tensors.items()}


def as_q8(tensors):
    """Matrices in 8 bits, with a scale for each row; but the embedding, which is no factor of a product."""
    found = {}
    for name, value in tensors.items():
        if value.ndim != 2 or name.startswith("embedding"):
            found[name] = value
            continue
        scale = np.abs(value).max(axis=1) / np.float32(127)
        found[name + Q8], found[name + SCALE] = np.rint(value / scale[:, None]).astype(np.int8), scale
    return found


def one_gru(n_hid, variant, stored=as_f32):
    """One layer over N_IN numbers."""
    tensors = gru_tensors(np.random.default_rng(n_hid), "gru", N_IN, n_hid)
    return Model(spec_of(Gru(name="gru", n_hid=n_hid, variant=variant), n_in=N_IN), stored(tensors), kernel="packed")


def stack(stored):
    """A token and numbers; two layers with a norm between; a head with probabilities."""
    rng = np.random.default_rng(3)
    spec = spec_of(
        Embedding(name="embedding", n_out=5, inputs=("token",)),
        Concat(name="both", inputs=("embedding", "x")),
        Gru(name="low", n_hid=9),
        LayerNorm(name="norm"),
        Gru(name="high", n_hid=17, variant="before"),
        Dense(name="hidden", n_out=12, function="relu"),
        Dense(name="head", n_out=7),
        Softmax(name="p"),
        inputs=(Input(name="token", size=1, kind="token", vocab=VOCAB), Input(name="x", size=N_IN - 1)),
    )
    tensors = {
        "embedding.weight": uniform(rng, VOCAB, 5),
        "norm.weight": uniform(rng, 9),
        "norm.bias": uniform(rng, 9),
        "hidden.weight": uniform(rng, 12, 17),
        "hidden.bias": uniform(rng, 12),
        "head.weight": uniform(rng, 7, 12),
        "head.bias": uniform(rng, 7),
        **gru_tensors(rng, "low", 10, 9),
        **gru_tensors(rng, "high", 9, 17),
    }
    return Model(spec, stored(tensors), kernel="packed")


def windows(stride, ahead):
    """What keeps rows of its input, with and without some that it waits for."""
    rng = np.random.default_rng(4)
    spec = spec_of(
        Conv1d(name="conv", n_out=N_IN, size=3, dilation=2, before=4 - ahead, inputs=("x",)),
        Add(name="sum", inputs=("conv", "x")),
        AveragePool1d(name="mean", size=3, stride=stride, before=2),
        Gru(name="gru", n_hid=9),
        MaxPool1d(name="top", size=2, before=1),
        n_in=N_IN,
    )
    tensors = gru_tensors(rng, "gru", N_IN, 9) | {"conv.weight": uniform(rng, N_IN, 3 * N_IN)}
    return Model(spec, tensors, kernel="packed")


def inputs(n_rows):
    """Rows that each of the networks takes: the first number is a token."""
    rng = np.random.default_rng(1)
    x = uniform(rng, n_rows, N_IN)
    x[:, 0] = rng.integers(0, VOCAB, n_rows)
    return x
