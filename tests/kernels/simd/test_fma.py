"""What stands in for missing instructions, against the instructions: fused multiply-adds and 16-bit floats."""

import pytest

from tests.kernels.simd import build

pytestmark = pytest.mark.timeout(600)  # it compiles the kernels first

N_TRIPLES = 4_000_000  # of each kind


def test_fused_multiply_adds_in_software_and_halves_are_exact(built, on_x86):
    folder, _ = built
    program = build.link(folder / "fma", "fma.c")
    assert build.run(program, N_TRIPLES).startswith("0 wrong")
