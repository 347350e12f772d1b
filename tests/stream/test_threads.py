"""Threads: a stream has one owner and is never torn, a model is everybody's, the GIL is given away."""

import sys
import threading
import time

import numpy as np
import pytest

from streamgru.errors import StreamBusy
from streamgru.model.spec import Gru
from streamgru.stream.model import Model
from tests.networks import KERNELS, bits, gru_model, gru_tensors, spec_of, uniform

LARGE = 200  # units: a step gives the GIL away


@pytest.fixture(autouse=True)
def switch_often():
    """Let Python change threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def in_threads(*calls):
    """Run every call in a thread of its own, all starting together; their results, or what they raised."""
    barrier, results = threading.Barrier(len(calls)), [None] * len(calls)

    def run(i, call):
        barrier.wait()
        try:
            results[i] = call()
        except Exception as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def hammer(use, n_calls):
    """How often *use* went through; StreamBusy is the only way in which it may fail."""
    done = 0
    for _ in range(n_calls):
        try:
            use()
        except StreamBusy:
            continue
        done += 1
    return done


def test_two_threads_on_one_stream(rng):
    """Each step is made whole or refused: the state is that of as many single steps."""
    model = gru_model(rng, n_hid=128)  # large enough for a step to give the GIL away
    x = uniform(rng, 3)
    stream = model.stream()
    counts = in_threads(*[lambda: hammer(lambda: stream.step(x), 2000)] * 3)
    alone = model.stream()
    for _ in range(sum(counts)):
        alone.step(x)
    assert stream.n_steps == sum(counts) > 0
    assert bits(stream.state["gru"]) == bits(alone.state["gru"])


def test_a_second_thread_is_told(rng):
    """While a long block runs, everything else that touches the state is refused at once."""
    stream = gru_model(rng, n_hid=64).stream()
    block, x = uniform(rng, 300_000, 3), uniform(rng, 3)
    thread = threading.Thread(target=stream.run, args=(block,))
    uses = [
        lambda: stream.step(x),
        lambda: stream.run(block[:2]),
        lambda: stream.trace(block[:2]),
        stream.reset,
        stream.fork,
        stream.snapshot,
        lambda: stream.state,
        lambda: setattr(stream, "state", {}),
    ]
    thread.start()
    while stream.n_steps == 0:
        time.sleep(0)
    refused = 0
    for use in uses:
        try:
            use()
        except StreamBusy as error:
            assert "another thread" in str(error)
            refused += 1
    running = thread.is_alive()
    thread.join()
    assert running, "the block ended before the others came; make it longer"
    assert refused == len(uses) and stream.n_steps == len(block)
    stream.step(x)


def test_a_model_is_shared(rng):
    model = gru_model(rng, n_in=8, n_hid=100)
    x = uniform(rng, 400, 8)
    expected = bits(model.stream().run(x))
    stream = model.stream()
    calls = [
        lambda: model.stream().run(x),
        lambda: np.array([stream.step(row) for row in x]),
        lambda: model.run(x[None]),
    ]
    for got in in_threads(*calls, *[calls[0]] * 3):
        assert bits(got) == expected


def stepped(model, x):
    """One step after the other."""
    stream = model.stream()
    return np.array([stream.step(row) for row in x])


def stepped_bound(model, x):
    """The same, with buffers that are bound once."""
    row = np.empty(model.n_in, model.dtype)
    bound, y = model.stream().bind(row), []
    for values in x:
        row[:] = values
        y.append(bound.step().copy())
    return np.array(y)


@pytest.mark.parametrize("way", [stepped, stepped_bound])
@pytest.mark.parametrize("n_hid", [16, LARGE])
@pytest.mark.parametrize("kernel", KERNELS["float32"])
def test_streams_of_one_model_are_stepped_in_parallel(kernel, n_hid, way, rng):
    model = Model(spec_of(Gru(name="gru", n_hid=n_hid)), gru_tensors(rng, "gru", 3, n_hid), kernel=kernel)
    xs = uniform(rng, 4, 500, 3)
    expected = [bits(model.stream().run(x)) for x in xs]
    assert [bits(y) for y in in_threads(*[lambda x=x: way(model, x) for x in xs])] == expected


@pytest.mark.parametrize("way", [stepped, stepped_bound])
def test_a_large_step_gives_the_gil_away(way, rng):
    sys.setswitchinterval(10)  # nobody is made to give it away
    thread = threading.Thread(target=way, args=(gru_model(rng, n_hid=LARGE), uniform(rng, 3000, 3)))
    ticks = 0
    thread.start()
    while thread.is_alive():
        ticks += 1
        time.sleep(0)
    assert ticks > 10


def test_two_threads_on_one_pool(rng):
    model = gru_model(rng)
    pool, x = model.pool(8), uniform(rng, 4, 3)
    for id in range(4):
        pool.open(id)

    def come_and_go():
        id = f"guest {threading.get_ident()}"
        pool.open(id)
        while id in pool:
            hammer(lambda: pool.close(id), 1)

    calls = [lambda: hammer(lambda: pool.step([0, 1, 2, 3], x), 2000)] * 2
    *counts, _ = in_threads(*calls, lambda: hammer(come_and_go, 2000))
    assert len(pool) == 4
    for id in range(4):
        single = model.stream()
        for _ in range(sum(counts)):
            single.step(x[id])
        assert pool.snapshot(id) == single.snapshot()


@pytest.mark.parametrize("method", ["run", "pool"])
def test_the_gil_is_given_away(method, rng):
    """Another thread counts on while a block of many steps runs."""
    sys.setswitchinterval(10)  # nobody is made to give it away
    model = gru_model(rng, n_hid=64)
    x = uniform(rng, 50_000, 3)
    if method == "run":
        thread = threading.Thread(target=model.stream().run, args=(x,))
    else:
        pool = model.pool(1)
        thread = threading.Thread(target=pool.step, args=(np.full(len(x), pool.open("a"), np.uint64), x))
    ticks = 0
    thread.start()
    while thread.is_alive():
        ticks += 1
        time.sleep(0)
    assert ticks > 10


def test_handles_that_change_during_a_step_do_no_harm(rng):
    """What a batch steps is decided once: neither handles nor marks of the caller's are looked at again."""
    pool = gru_model(rng, n_hid=32).pool(4)
    streams = [pool.open(name) for name in "abcd"]
    handles = np.array(streams * 5000, np.uint64)
    status, x = np.zeros(handles.size, np.uint8), uniform(rng, handles.size, 3)
    once = handles.copy()
    stop = threading.Event()

    def meddle():
        while not stop.is_set():
            handles[:] = 0
            status[:] = 0
            handles[:] = once

    thread = threading.Thread(target=meddle)
    thread.start()
    for _ in range(20):
        pool.step(handles, x, status=status)
    stop.set()
    thread.join()
    assert len(pool) == 4
