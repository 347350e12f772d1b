"""Small random networks, and what to feed them."""

import numpy as np
from hypothesis import strategies as st

from streamgru.model.spec import Activation, AveragePool1d, Concat, Conv1d, Dense, Gru, MaxPool1d
from streamgru.stream.model import Model
from tests.networks import DTYPES, FUNCTIONS, KERNELS, VARIANTS, gru_tensors, spec_of, uniform

BOUND = 0.25  # of the weights: no unbounded activation runs away within N_STEPS
N_STEPS = 20


@st.composite
def models(draw):
    """One to three GRU layers of any kind, perhaps beside their input, perhaps with a head."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_in = size = draw(st.integers(1, 4))
    layers, tensors, before = [], {}, "x"
    for i in range(draw(st.integers(1, 3))):
        n_hid, initial = draw(st.integers(1, 9)), draw(st.sampled_from(["zero", "learned"]))
        layers.append(
            Gru(
                name=f"gru.{i}",
                n_hid=n_hid,
                inputs=(before,),
                initial=initial,
                variant=draw(st.sampled_from(VARIANTS)),
                gate=draw(st.sampled_from(FUNCTIONS)),
                candidate=draw(st.sampled_from(FUNCTIONS)),
                clip=draw(st.sampled_from([None, 0.125, 3.0])),
            )
        )
        tensors |= gru_tensors(rng, f"gru.{i}", size, n_hid, BOUND, initial == "learned", draw(st.booleans()))
        before, size = f"gru.{i}", n_hid
        if draw(st.booleans()):
            layers.append(Concat(name=f"both.{i}", inputs=(before, "x")))
            before, size = f"both.{i}", size + n_in
    if draw(st.booleans()):
        layers.append(Dense(name="head", n_out=2, function=draw(st.sampled_from(FUNCTIONS))))
        tensors["head.weight"] = uniform(rng, 2, size, bound=BOUND)
        layers.append(Activation(name="last", function="tanh"))
    dtype = draw(st.sampled_from(DTYPES))
    return Model(spec_of(*layers, n_in=n_in), tensors, dtype=dtype, kernel=draw(st.sampled_from(KERNELS[dtype])))


@st.composite
def inputs(draw, model):
    """X (n_steps, n_in) for *model*."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return uniform(rng, draw(st.integers(1, N_STEPS)), model.n_in, dtype=model.dtype)


def blocks(draw, x):
    """Cut x at random places."""
    cuts = sorted(draw(st.lists(st.integers(0, len(x)), max_size=5)))
    return np.split(x, cuts)


@st.composite
def late_networks(draw):
    """Layers, some of which look at several rows and some at two values, and their tensors; the last one is y."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_in, size, before = draw(st.integers(1, 3)), 0, "x"
    size, earlier, layers, tensors = n_in, {}, [], {}
    for i in range(draw(st.integers(1, 5))):
        name, stride = f"layer.{i}", draw(st.sampled_from([1, 1, 1, 2, 3]))
        earlier[before] = size
        match draw(st.sampled_from(["conv", "conv", "mean", "top", "gru", "both"])):
            case "conv":
                n_rows, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
                padding = draw(st.integers(0, (n_rows - 1) * dilation))
                layer = Conv1d(
                    name=name, n_out=draw(st.integers(1, 5)), size=n_rows, stride=stride, dilation=dilation,
                    before=padding, function=draw(st.sampled_from(FUNCTIONS)), inputs=(before,),
                )  # fmt: skip
                tensors[f"{name}.weight"] = uniform(rng, layer.n_out, n_rows * size, bound=BOUND)
                size = layer.n_out
            case "mean" | "top" as kind:
                n_rows = draw(st.integers(1, 5))
                padding = draw(st.integers(0, n_rows - 1))
                pool = AveragePool1d if kind == "mean" else MaxPool1d
                layer = pool(name=name, size=n_rows, stride=stride, before=padding, inputs=(before,))
            case "gru":
                layer = Gru(name=name, n_hid=draw(st.integers(1, 5)), inputs=(before,))
                tensors |= gru_tensors(rng, name, size, layer.n_hid, BOUND)
                size = layer.n_hid
            case "both":
                others = draw(st.lists(st.sampled_from(sorted(earlier)), min_size=1, max_size=3))
                layer = Concat(name=name, inputs=(before, *others))
                size += sum(earlier[other] for other in others)
        layers.append(layer)
        before = name
    return n_in, tuple(layers), tensors
