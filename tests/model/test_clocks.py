"""Clocks against a list of the steps at which they are due."""

import itertools

import pytest

from streamgru.errors import SpecError
from streamgru.model.clocks import EVERY, Clock, common

N_STEPS = 40
CLOCKS = [Clock(first, stride) for first, stride in itertools.product((0, 1, 2, 7, 39, 40, 100), (1, 2, 3, 7, 50))]


@pytest.mark.parametrize("clock", CLOCKS, ids=str)
def test_due_and_count(clock):
    steps = list(range(clock.first, N_STEPS, clock.stride))
    assert [step for step in range(N_STEPS) if clock.due(step)] == steps
    assert [clock.count(n) for n in range(N_STEPS + 1)] == [sum(step < n for step in steps) for n in range(N_STEPS + 1)]


@pytest.mark.parametrize("clock", CLOCKS, ids=str)
def test_after_a_window(clock):
    """The n-th window ends with the row of number n * stride + reach - before."""
    for reach, before, stride in [(0, 0, 1), (2, 0, 1), (2, 1, 3), (2, 2, 2), (8, 3, 5)]:
        found = clock.after_window(reach, before, stride)
        for n in range(4):
            assert found.first + n * found.stride == clock.first + clock.stride * (n * stride + reach - before)


def test_the_clock_of_two():
    assert common("layer", (EVERY, Clock(3, 1), Clock(1, 1))) == Clock(3, 1)
    with pytest.raises(SpecError, match=r"layer 'layer': .* one at every 1. step and one at every 2.; give the layers"):
        common("layer", (EVERY, Clock(0, 2)))
