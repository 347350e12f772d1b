"""The hot path takes no memory, and the collector has nothing to do."""

import contextlib
import gc
import sys
import tracemalloc

import numpy as np
import pytest

from streamgru.errors import NonFiniteError
from streamgru.model.spec import AveragePool1d, Gru
from streamgru.stream.model import Model
from tests.networks import DTYPES, VARIANTS, gru_model, gru_tensors, spec_of, uniform

N_CALLS = 100_000


def blocks_kept(run, *arguments):
    """Blocks of memory that exist after *run* and did not before, those of counting included."""
    before = sys.getallocatedblocks()
    run(*arguments)
    return sys.getallocatedblocks() - before


def peak_bytes(run):
    """The most memory that *run* held at any moment."""
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    run()
    return tracemalloc.get_traced_memory()[1] - before


def steps(stream, x, y, n_calls):
    step = stream.step
    for _ in range(n_calls):
        step(x, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_allocates_nothing(variant, dtype, rng):
    stream = gru_model(rng, n_hid=16, dtype=dtype, variant=variant).stream()
    x, y = uniform(rng, 3, dtype=dtype), np.empty(16, dtype)
    steps(stream, x, y, 100)
    gc.collect()
    collections = sum(generation["collections"] for generation in gc.get_stats())
    assert blocks_kept(steps, stream, x, y, N_CALLS) == blocks_kept(steps, stream, x, y, 0)
    assert sum(generation["collections"] for generation in gc.get_stats()) == collections


def test_a_step_asks_for_no_memory_at_all(rng):
    """Not even for a moment: the peak that numpy's and Python's allocators report does not move."""
    stream = gru_model(rng, n_hid=16).stream()
    x, y = uniform(rng, 3), np.empty(16, np.float32)
    steps(stream, x, y, 100)
    tracemalloc.start()
    try:
        nothing = peak_bytes(lambda: None)
        assert peak_bytes(lambda: stream.step(x, y)) == nothing
        assert peak_bytes(lambda: stream.step(x)) >= nothing + y.nbytes  # what does allocate would be seen
    finally:
        tracemalloc.stop()


def bound_steps(bound, n_calls):
    step = bound.step
    for _ in range(n_calls):
        step()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_bound_step_allocates_nothing(dtype, rng):
    x, y = uniform(rng, 3, dtype=dtype), np.empty(16, dtype)
    bound = gru_model(rng, n_hid=16, dtype=dtype).stream().bind(x, y)
    bound_steps(bound, 100)
    gc.collect()
    assert blocks_kept(bound_steps, bound, N_CALLS) == blocks_kept(bound_steps, bound, 0)
    tracemalloc.start()
    try:
        assert peak_bytes(bound.step) == peak_bytes(lambda: None)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_step_without_an_answer_allocates_nothing(dtype, rng):
    layers = (AveragePool1d(name="pool", size=4, stride=3, before=1), Gru(name="gru", n_hid=16))
    model = Model(spec_of(*layers), gru_tensors(rng, "gru", 3, 16), dtype=dtype)
    stream, x, y = model.stream(), uniform(rng, 3, dtype=dtype), np.empty(16, dtype)
    bound = model.stream().bind(x, y)
    steps(stream, x, y, 100)
    bound_steps(bound, 100)
    gc.collect()
    assert blocks_kept(steps, stream, x, y, N_CALLS) == blocks_kept(steps, stream, x, y, 0)
    assert blocks_kept(bound_steps, bound, N_CALLS) == blocks_kept(bound_steps, bound, 0)


def ticks(pool, handles, x, y, status, n_calls):
    for _ in range(n_calls):
        pool.step(handles, x, out=y, status=status)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_tick_of_a_pool_keeps_nothing(threads, rng):
    """It takes memory for a moment, which does not grow with the number of ticks."""
    n_rows = 400  # of 128 units, 120 rows are worth a second thread
    pool = gru_model(rng, n_hid=128).pool(n_rows, threads=threads)
    handles = np.array([pool.open(i) for i in range(n_rows)], np.uint64)
    x, y, status = uniform(rng, n_rows, 3), np.empty((n_rows, 128), np.float32), np.empty(n_rows, np.uint8)
    arguments = pool, handles, x, y, status
    ticks(*arguments, 100)
    gc.collect()
    assert blocks_kept(ticks, *arguments, 1000) < 20
    tracemalloc.start()
    try:
        one = peak_bytes(lambda: ticks(*arguments, 1))
        assert 0 < one < 200 * n_rows  # what a row needs: places, marks; never its output or state
        assert peak_bytes(lambda: ticks(*arguments, 100)) <= one + 1000
    finally:
        tracemalloc.stop()


def test_an_array_in_the_wrong_dtype_is_not_kept(rng):
    stream = gru_model(rng, n_hid=16).stream()
    x, y = uniform(rng, 3, dtype="float64"), np.empty(16, np.float32)
    steps(stream, x, y, 100)
    assert blocks_kept(steps, stream, x, y, 10_000) < 20


def test_refusals_leak_nothing(rng):
    stream = gru_model(rng).stream()
    x, y = np.array([1, np.nan, 3], np.float32), np.empty(5, np.float32)

    def refused(n_calls):
        for _ in range(n_calls):
            with contextlib.suppress(NonFiniteError):
                stream.step(x, y)
        gc.collect()

    refused(100)
    assert blocks_kept(refused, 2000) < 100
