"""Matrices of int8 in a file: what is right is taken, each thing that is wrong is refused."""

import numpy as np
import pytest

from streamgru.errors import SpecError
from streamgru.model.layout import ALIGN, lay_out
from streamgru.model.small import WIDEST, Quantised
from streamgru.model.spec import Concat, Dense, Gru, Input, LayerNorm
from tests.networks import gru_tensors, spec_of

SPEC = spec_of(Gru(name="gru", n_hid=4), LayerNorm(name="norm"), Dense(name="head", n_out=2))


def tensors(changes=()):
    """A network whose head is int8; *changes* replace tensors, None takes one away."""
    rng = np.random.default_rng(0)
    found = gru_tensors(rng, "gru", 3, 4) | {
        "head.weight.q8": rng.integers(-127, 128, (2, 4)).astype(np.int8),
        "head.weight.scale": np.array([0.01, 0.02], np.float32),
        "head.bias": np.zeros(2, np.float32),
    }
    return {name: tensor for name, tensor in (found | dict(changes)).items() if tensor is not None}


def test_it_is_found():
    given = tensors()
    placed = lay_out(SPEC.main, given, ALIGN).layers[-1]
    found = placed.tensors["weight"]
    assert isinstance(found, Quantised)
    expected = given["head.weight.q8"] * given["head.weight.scale"].astype(np.float64)[:, None]
    np.testing.assert_allclose(found.widened(), expected, rtol=1e-7)
    assert found.info.nbytes == 8 + 8


def test_a_scale_may_be_zero():
    lay_out(SPEC.main, tensors({"head.weight.scale": np.zeros(2, np.float32)}), ALIGN)


def scale(*numbers, dtype=np.float32):
    return {"head.weight.scale": np.array(numbers, dtype)}


def q8(*rows, dtype=np.int8):
    return {"head.weight.q8": np.array(rows, dtype)}


WRONG = {
    "no scale": ({"head.weight.scale": None}, r"'head.weight.scale': expected shape \(2,\), what a unit of each row"),
    "no q8": ({"head.weight.q8": None}, "'head.weight': expected shape .* none of that name"),
    "negative scale": (scale(0.1, -1), r"'head.weight.scale': expected numbers from 0 to .*, got -1.0 in row 1"),
    "NaN scale": (scale(np.nan, 1), "'head.weight.scale': expected numbers from 0 .*, got nan in row 0"),
    "infinite scale": (scale(np.inf, 1), "'head.weight.scale': .*, got inf in row 0"),
    "scale too large for a float": (scale(1, 1e37), "'head.weight.scale': .* in row 1"),
    "scale of a wrong shape": (scale(1, 2, 3), r"'head.weight.scale': expected float32 \(2,\), got float32 \(3,\)"),
    "scale of one number": (scale(1), r"'head.weight.scale': expected float32 \(2,\), got float32 \(1,\)"),
    "scale in a column": ({"head.weight.scale": np.ones((2, 1), np.float32)}, r"got float32 \(2, 1\)"),
    "scale of another dtype": (scale(1, 2, dtype=np.float64), r"expected float32 \(2,\), got float64 \(2,\)"),
    "scale of integers": (scale(1, 2, dtype=np.int8), r"expected float32 \(2,\), got int8 \(2,\)"),
    "q8 of a wrong shape": (q8([1, 2, 3], [4, 5, 6]), r"'head.weight.q8': expected int8 \(2, 4\), got int8 \(2, 3\)"),
    "q8 transposed": ({"head.weight.q8": np.ones((4, 2), np.int8)}, r"expected int8 \(2, 4\), got int8 \(4, 2\)"),
    "q8 of uint8": (q8([1] * 4, [2] * 4, dtype=np.uint8), r"expected int8 \(2, 4\), got uint8 \(2, 4\)"),
    "-128": (q8([1] * 4, [-128] * 4), "'head.weight.q8': expected -127 to 127, got -128; quantise with a scale of"),
    "int8 and floats": ({"head.weight": np.ones((2, 4), np.float32)}, "expected one form of 'head.weight', .*remove"),
    "a bias of int8": (
        {"head.bias": None, "head.bias.q8": np.ones(2, np.int8), "head.bias.scale": np.ones(1, np.float32)},
        "'head.bias.q8': expected no int8 here, only matrices may be; store 'head.bias' in floats",
    ),
    "a norm of int8": ({"norm.weight.q8": np.ones(4, np.int8)}, "'norm.weight.q8': expected no int8 here"),
    "q8 of a layer that is not": ({"tail.weight.q8": np.ones((2, 4), np.int8)}, "no layer .* uses .*'tail.weight.q8'"),
    "a scale too many": ({"gru.weight_ih.scale": np.ones(12, np.float32)}, "no layer .* 'gru.weight_ih.scale'"),
    "int8 without a scale in its name": (
        {"head.weight": np.ones((2, 4), np.int8), "head.weight.q8": None, "head.weight.scale": None},
        "'head.weight': expected floats, got int8",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused(what):
    changes, message = WRONG[what]
    with pytest.raises(SpecError, match=message):
        lay_out(SPEC.main, tensors(changes), ALIGN)


@pytest.mark.parametrize("n_cols", [WIDEST, WIDEST + 1])
def test_sums_of_products_fit_32_bits(n_cols):
    """The inputs of a network have at most 65,536 numbers each; a concat may have more."""
    assert 127 * 127 * WIDEST < 2**31
    sizes = (50_000, 50_000, n_cols - 100_000)
    inputs = tuple(Input(name=f"x{i}", size=size) for i, size in enumerate(sizes))
    spec = spec_of(Concat(name="all", inputs=("x0", "x1", "x2")), Dense(name="head", n_out=1), inputs=inputs)
    given = {"head.weight.q8": np.full((1, n_cols), 127, np.int8), "head.weight.scale": np.ones(1, np.float32)}
    if n_cols == WIDEST:
        lay_out(spec.main, given, ALIGN)
        return
    message = r"'head.weight.q8': expected at most 133,000 columns .* got 133,001.*; store 'head.weight' in floats"
    with pytest.raises(SpecError, match=message):
        lay_out(spec.main, given, ALIGN)
