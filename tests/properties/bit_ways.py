"""Prints a hash of what some networks answer, and fails if any way of asking gives other bits.

    STREAMGRU_ISA=avx2 python -m tests.properties.bit_ways

The ways: step by step, in blocks of any length, through a snapshot, in batches of any size, with the lanes in
any order, with a stream several times in a batch, on one thread and on two.
"""

import hashlib
import json
import sys

import numpy as np

import streamgru
from streamgru.formats.builtin import recordings
from streamgru.kernels import packed
from streamgru.model.functions import Curve
from streamgru.model.spec import (
    Activation,
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
from tests.golden.test_fixtures import FIXTURES
from tests.networks import bits, gru_tensors, spec_of, uniform
from tests.oracle.functions_numpy import CURVES

BATCHES = (1, 2, 3, 7, 8, 9, 31, 64, 96, 97, 257)
N_STEPS = 40


def curves(own):
    """Layers, one behind the other, that apply every function but those of all GRUs, and their tensors."""
    names = sorted(set(CURVES) - {"log", "sqrt", "exp"})
    layers, tensors, before = [], {}, 3
    for name in names:
        curve = Curve(function=name, **dict(zip(("alpha", "beta"), CURVES[name][1], strict=False)))
        layers.append(Gru(name=name, n_hid=19, candidate=curve, clip=1.5))
        tensors |= gru_tensors(own, name, before, 19)
        before = 19
    layers += [Activation(name=name + ".y", function=name) for name in ("exp", "sqrt", "log")]
    return tuple(layers), tensors


def networks(rng):
    """Name -> a model on the packed kernels, and x (n_steps, n_in)."""
    yield "builtin", streamgru.load("builtin:shoulder", kernel="packed"), recordings().items[0].x[:N_STEPS]
    for n_in, n_hid, variant in ((1, 1, "after"), (5, 33, "before"), (24, 100, "after")):
        tensors = gru_tensors(rng, "gru", n_in, n_hid)
        layers = (Gru(name="gru", n_hid=n_hid, variant=variant),)
        yield f"{variant} {n_in}-{n_hid}", model(layers, tensors, n_in), uniform(rng, N_STEPS, n_in)
    layers = (
        Embedding(name="word", n_out=6),
        Gru(name="gru.0", n_hid=20),
        LayerNorm(name="norm"),
        Gru(name="gru.1", n_hid=17, variant="before", gate="hard_sigmoid", clip=2.0),
        Concat(name="both", inputs=("norm", "gru.1")),
        Dense(name="head", n_out=9),
        Softmax(name="y"),
    )
    tensors = gru_tensors(rng, "gru.0", 6, 20) | gru_tensors(rng, "gru.1", 20, 17)
    tensors |= {"word.weight": uniform(rng, 30, 6), "head.weight": uniform(rng, 9, 37), "head.bias": uniform(rng, 9)}
    tokens = rng.integers(0, 30, (N_STEPS, 1)).astype(np.float32)
    yield "tokens", model(layers, tensors, 1, (Input(name="x", kind="token", vocab=30),)), tokens
    if FIXTURES.is_dir():
        with np.load(FIXTURES / "g2p_en" / "checkpoint20.npz", allow_pickle=False) as file:
            theirs = {"weight_ih": "w_ih", "weight_hh": "w_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}
            trained = {f"gru.{ours}": file[f"enc_{name}"] for ours, name in theirs.items()}
            letters = file["enc_emb"][rng.integers(0, 29, N_STEPS)]
        yield "g2p", model((Gru(name="gru", n_hid=256),), trained, 256), letters
    half = {name: value.astype(np.float16) if value.ndim == 2 else value for name, value in tensors.items()}
    yield "float16", model(layers, half, 1, (Input(name="x", kind="token", vocab=30),)), tokens
    # its own generator: the same numbers, whether the fixtures are there or not
    small, own = {}, np.random.default_rng(8)
    for name, value in tensors.items():
        if value.ndim == 2:
            small[f"{name}.q8"] = own.integers(-127, 128, value.shape).astype(np.int8)
            small[f"{name}.scale"] = np.ldexp(np.float32(0.003), -own.integers(0, 4, len(value)))
        else:
            small[name] = value
    yield "int8", model(layers, small, 1, (Input(name="x", kind="token", vocab=30),)), tokens
    layers, tensors = windows(own)
    x = uniform(own, N_STEPS, 5)
    yield "windows", model(layers, tensors, 5), x
    late = Conv1d(name="late", n_out=9, size=4, stride=2, before=2, inputs=("gru",))
    ahead = Conv1d(name="ahead", n_out=5, size=3, before=1, inputs=("x",))
    sums = Add(name="sum", inputs=("ahead", "x")), Gru(name="gru", n_hid=17, inputs=("sum",))
    tensors = gru_tensors(own, "gru", 5, 17) | {
        "ahead.weight": uniform(own, 5, 15), "late.weight": uniform(own, 9, 68).astype(np.float16),
    }  # fmt: skip
    yield "late", model((ahead, *sums, late), tensors, 5), x
    yield "curves", model(*curves(np.random.default_rng(9)), 3), uniform(np.random.default_rng(10), N_STEPS, 3)


def windows(rng):
    """Layers that look back, and their tensors."""
    layers = (
        Conv1d(name="conv", n_out=18, size=3, dilation=2, before=4, function="relu"),
        AveragePool1d(name="mean", size=3, before=2),
        Gru(name="gru", n_hid=20),
        MaxPool1d(name="top", size=4, before=3),
    )
    return layers, gru_tensors(rng, "gru", 18, 20) | {
        "conv.weight": uniform(rng, 18, 15),
        "conv.bias": uniform(rng, 18),
    }


def model(layers, tensors, n_in, inputs=None):
    return Model(spec_of(*layers, n_in=n_in, inputs=inputs), tensors, kernel="packed")


def same(way, name, got, expected):
    if bits(got) != bits(expected):
        sys.exit(f"{packed.isa}, {name}: other bits {way}")


def check(name, network, x, rng):
    """The answers to x, which every way must give."""
    stream = network.stream()
    answers = [stream.step(row) for row in x]
    expected = np.array([y for y in answers if y is not None])
    for length in (1, 3, len(x)):
        stream, got = network.stream(), []
        for start in range(0, len(x), length):
            got += list(stream.run(x[start : start + length]))
            stream = network.restore(stream.snapshot())
        same(f"in blocks of {length}", name, got, expected)
    if len(expected) == len(x):
        same("as a whole sequence", name, network.run(x[None])[0], expected)
    for n_streams in BATCHES:
        for threads in (1, 2):
            pool = network.pool(n_streams, threads=threads)
            handles = np.array([pool.open(i) for i in range(n_streams)], np.uint64)
            for step in range(3):
                order, due = rng.permutation(n_streams), np.empty(n_streams, np.uint8)
                got = pool.step(handles[order], np.repeat(x[step : step + 1], n_streams, 0), due=due)
                due_now = [] if answers[step] is None else [answers[step]] * n_streams
                same(f"in a batch of {n_streams}, {threads} threads", name, got[due != 0], due_now)
    pool = network.pool(1)
    pool.open("a")
    due = np.empty(len(x), np.uint8)
    same("many times in a batch", name, pool.step(["a"] * len(x), x, due=due)[due != 0], expected)
    return expected


def main():
    """Print the hashes as JSON."""
    rng = np.random.default_rng(5)
    hashes = {
        name: hashlib.sha256(bits(check(name, network, x, rng))).hexdigest()[:16] for name, network, x in networks(rng)
    }
    print(json.dumps(hashes))


if __name__ == "__main__":
    main()
