"""Sigmoid, tanh and exp of the packed kernels against libm in double, over a few million floats of all sizes.

`make exhaustive` takes all of them; the bounds are what it found, rounded up.
"""

import pytest

from tests.kernels.simd import build

pytestmark = pytest.mark.timeout(600)  # it compiles the kernels first

STRIDE = 509
WORST_ULP = {"sigmoid": 2.5, "tanh": 2.6, "exp": 1.1}


def test_every_function_is_as_exact_as_was_measured(built, driver):
    folder, objects = built
    program = build.link(folder / "exhaustive", "exhaustive.c", objects)
    answers = {isa: build.run(program, isa, "measure", STRIDE) for isa in build.isas(driver)}
    assert len(set(answers.values())) == 1
    text = answers["c"]
    for line in text.splitlines():
        name, n, _, _, worst, *rest = line.split()
        figures = dict(zip(rest[-8::2], map(int, rest[-7::2]), strict=True))
        assert int(n) > 2**31 // STRIDE
        assert 0.5 < float(worst) <= WORST_ULP[name]
        # 0 below the smallest normal number, and nowhere else; NaN from NaN, the limits at infinity, nothing beyond
        assert figures.pop("below_normal") > 0 or name == "tanh"
        assert figures == {"not_zero": 0, "lost": 0, "wrong": 0}
    assert [line.split()[0] for line in text.splitlines()] == list(WORST_ULP)
