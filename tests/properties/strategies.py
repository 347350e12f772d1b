"""Small random networks, and what to feed them."""

import numpy as np
from hypothesis import strategies as st

from streamgru.model.spec import Activation, Concat, Dense, Gru
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
