"""A state that decays ends at exactly 0 and is never subnormal: such numbers are slow on many CPUs."""

import ctypes as c
import platform
import sys
from pathlib import Path

import numpy as np
import pytest

from streamgru.model.spec import Gru
from streamgru.stream import embed
from streamgru.stream.model import Model
from tests.compiling import compiled
from tests.networks import KERNELS, VARIANTS, gru_tensors, spec_of
from tests.realtime.embedded import function, pointer_to

N_IN, N_HID, N_STEPS = 3, 20, 4000
CASES = [(dtype, kernel) for dtype, kernels in KERNELS.items() for kernel in kernels]


def tensors(rng, variant):
    """A network that forgets: candidates without a bias, small recurrent weights."""
    found = gru_tensors(rng, "gru", N_IN, N_HID, bound=0.1)
    for name in ("gru.bias_ih", "gru.bias_hh"):
        found[name][2 * N_HID :] = 0
    return found


def states(model, n_steps=N_STEPS):
    """The state after each step without input, from a step with input on."""
    stream = model.stream()
    stream.step(np.ones(N_IN, model.dtype))
    h = stream.trace(np.zeros((n_steps, N_IN), model.dtype)).gates["gru"].h
    return h, stream


def subnormal(values):
    return (values != 0) & (np.abs(values) < np.finfo(values.dtype).tiny)


@pytest.mark.parametrize("dtype, kernel", CASES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_decaying_state_ends_at_zero(variant, dtype, kernel, rng):
    spec = spec_of(Gru(name="gru", n_hid=N_HID, variant=variant), n_in=N_IN)
    h, stream = states(Model(spec, tensors(rng, variant), dtype=dtype, kernel=kernel))
    assert np.all(h[0] != 0) and np.all(h[-1] == 0) and np.all(stream.state["gru"] == 0)
    assert not subnormal(h).any()
    assert np.all(np.signbit(h[-1]) == 0)  # a pure zero, of which snapshots have the same bytes


@pytest.mark.parametrize("dtype", KERNELS)
def test_by_the_equations_alone_it_would_be_subnormal(dtype, rng):
    """What the tests above would see without the rule: the smallest network there is, in NumPy."""
    z, h, seen = np.dtype(dtype).type(0.5), np.dtype(dtype).type(1), []
    for _ in range(N_STEPS):
        h = z * h
        seen.append(h)
    assert subnormal(np.array(seen)).any()


@pytest.fixture(scope="module")
def note_tiny(tmp_path_factory):
    """Steps with one input: nanoseconds per step, the best of 20 parts; at which of them a number was subnormal."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("reads the flags of x86-64 on Linux")
    source = Path(__file__).with_name("flags.c")
    library = c.CDLL(str(compiled(tmp_path_factory.mktemp("flags") / "flags.so", source, flags=["-O2"])))
    library.note_tiny.restype = c.c_double

    def run(stream, x, n_steps):
        y, noted = np.empty(stream.model.n_out, x.dtype), np.empty(n_steps, np.uint8)
        pointers = [c.c_void_p(array.ctypes.data) for array in (x, y)]
        step, own = c.c_void_p(function(embed, "sg_step")), c.c_void_p(pointer_to(stream))
        parts = [c.c_void_p(part.ctypes.data) for part in np.split(noted, 20)]
        return min(library.note_tiny(step, own, *pointers, c.c_long(n_steps // 20), part) for part in parts), noted

    return run


@pytest.mark.parametrize("dtype, kernel", CASES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_faded_state_costs_no_subnormal_number(variant, dtype, kernel, rng, note_tiny):
    """Not in the state alone: no operation of a step has one as its operand or as its result."""
    spec = spec_of(Gru(name="gru", n_hid=N_HID, variant=variant), n_in=N_IN)
    stream = Model(spec, tensors(rng, variant), dtype=dtype, kernel=kernel).stream()
    ones, zeros = np.ones(N_IN, dtype), np.zeros(N_IN, dtype)
    fresh_ns, fresh = note_tiny(stream, ones, N_STEPS)
    _, fading = note_tiny(stream, zeros, N_STEPS)
    faded_ns, faded = note_tiny(stream, zeros, N_STEPS)
    met = np.flatnonzero(fading)
    print(f"{variant} {kernel} {dtype}: {fresh_ns:.0f} ns a step, faded {faded_ns:.0f} ns; on the way {met.size} steps "
          f"with a subnormal number, {met[:1]} to {met[-1:]}")  # fmt: skip
    assert not fresh.any() and not faded.any()
    assert met.size < 200  # of tanh on the way down: r * r of a tiny r


def test_a_subnormal_input_is_noted(rng, note_tiny):
    """Inputs are taken as they are; and this is what the test above would see."""
    stream = Model(spec_of(Gru(name="gru", n_hid=N_HID), n_in=N_IN), tensors(rng, "after"), kernel="packed").stream()
    _, noted = note_tiny(stream, np.full(N_IN, 1e-40, np.float32), 100)
    assert noted.all()
