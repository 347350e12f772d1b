"""What test_races.py has a ThreadSanitizer look at: scenes of several threads, played by an interpreter of their own.

Races are for the sanitizer to find; what is compared here only shows that the threads did their work.
"""

import ctypes
import sys
import threading
import time
from pathlib import Path

import numpy as np

import streamgru
from streamgru.errors import StreamBusy, UnknownStream
from streamgru.model.quantise import quantise
from streamgru.model.spec import Gru
from streamgru.stream import embed, timing
from streamgru.stream.model import Model
from tests.networks import bits, gru_tensors, spec_of, uniform

N_HID, N_ROWS = 193, 120  # a step gives the GIL away, a batch of 52 rows and more is shared
RNG = np.random.default_rng(20261123)


def network(kernel="packed", small=False):
    """One GRU; *small*: its matrices are int8."""
    tensors = gru_tensors(RNG, "gru", 3, N_HID)
    for name in ("gru.weight_ih", "gru.weight_hh") if small else ():
        weight = quantise(tensors.pop(name))
        tensors[f"{name}.q8"], tensors[f"{name}.scale"] = weight.q8, weight.scale
    return Model(spec_of(Gru(name="gru", n_hid=N_HID)), tensors, kernel=kernel)


def networks():
    return [network(), network(small=True), network("blas")]


def in_threads(*calls):
    """Run every call in a thread of its own, all starting together; their results."""
    barrier, results = threading.Barrier(len(calls)), {}

    def run(i, call):
        barrier.wait()
        results[i] = call()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[i] for i in range(len(calls))]  # KeyError: one has raised


def hammer(use, n_calls):
    """Call *use* until it went through so many times; how often another thread was in its way."""
    done = refused = 0
    while done < n_calls:
        try:
            use()
            done += 1
        except StreamBusy:
            refused += 1
            time.sleep(0)  # the other one may need the GIL to come to an end
    return refused


def batches():
    """A pool whose batches are shared, one after the other: as many rounds as the most frequent stream has rows."""
    for model in networks():
        pools = [model.pool(N_ROWS, threads=threads) for threads in (1, 2, 3)]
        for pool in pools:
            pool.restore({id: model.stream().snapshot() for id in range(N_ROWS)})
        for n_rows in (N_ROWS, 1, 60, 2 * N_ROWS):
            ids, x = [i % N_ROWS for i in range(n_rows)], uniform(RNG, n_rows, 3)
            first, *others = [bits(pool.step(ids, x)) for pool in pools]
            assert others == [first, first]


def streams_of_one_model():
    """Four threads, each with a stream of its own: single steps, bound ones, a block, steps from C."""
    x = uniform(RNG, 40, 3)

    def stepped(model):
        stream = model.stream()
        return np.array([stream.step(row) for row in x])

    def bound(model):
        row, y = np.empty(3, np.float32), []
        bound = model.stream().bind(row)
        for row[:] in x:
            y.append(bound.step().copy())
        return np.array(y)

    def block(model):
        return model.stream().run(x)

    def embedded(model):
        return np.array(list(c_steps(model.stream(), x)))

    for model in networks():
        ways = (stepped, bound, block, embedded)
        found = in_threads(*[lambda way=way, model=model: bits(way(model)) for way in ways])
        assert found == [bits(model.stream().run(x))] * 4


def c_function(name, kind, *types):
    """A function of ``streamgru.stream.embed``, as C sees it."""
    capsule, api = embed.__pyx_capi__[name], ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return kind(*types)(api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule)))


def c_steps(stream, x):
    """The outputs of ``sg_step``, which is called without the GIL."""
    pointer = ctypes.c_void_p
    handle = c_function("sg_stream_of", ctypes.PYFUNCTYPE, pointer, ctypes.py_object)(stream)
    step = c_function("sg_step", ctypes.CFUNCTYPE, ctypes.c_int, pointer, pointer, pointer)
    for row in x:
        y = np.empty(N_HID, np.float32)
        assert step(handle, row.ctypes.data, y.ctypes.data) == 0
        yield y


def one_stream():
    """All that two threads, and more, may try with one stream; who comes second is refused."""
    model, x = network(), uniform(RNG, 3)
    stream, block = model.stream(), uniform(RNG, 8, 3)
    uses = [lambda: stream.step(x)] * 2 + [
        stream.bind(x).step,
        lambda: (stream.run(block), stream.trace(block)),
        lambda: (timing.step_ns(stream, x, 2), timing.block_ns(stream, x, 2)),
        lambda: (stream.snapshot(), stream.fork(), stream.state, stream.reset(), setattr(stream, "state", {})),
        lambda: (stream.n_steps, repr(stream)),
    ]
    assert sum(in_threads(*[lambda use=use: hammer(use, 40) for use in uses])) > 0, "no thread met another one"


def one_pool():
    """One thread steps, the others come and go, look at what is open, and end what is idle."""
    model = network()
    pool, x, snapshot = model.pool(2 * N_ROWS, threads=2), uniform(RNG, N_ROWS, 3), model.stream().snapshot()
    handles = np.array([pool.open(id) for id in range(N_ROWS)], np.uint64)
    status = np.empty(N_ROWS, np.uint8)

    def come_and_go():
        id = threading.get_ident()
        hammer(lambda: pool.open(id), 1)
        hammer(lambda: pool.reset(id), 1)
        hammer(lambda: pool.step([id], x[:1]), 1)
        hammer(lambda: pool.close(id), 1)

    def look():
        pool.snapshot(0), pool.snapshots(), pool.handle(1)
        assert 0 in pool and len(pool) >= N_ROWS and list(pool) and repr(pool)

    def expire():
        pool.open("idle", snapshot)
        time.sleep(0.01)
        hammer(lambda: pool.expire(60), 1)
        hammer(lambda: pool.close("idle"), 1)

    step, marked = lambda: pool.step(handles, x), lambda: pool.step(handles, x, status=status)
    counts = [(step, 12), (marked, 12), (come_and_go, 12), (come_and_go, 12), (look, 12), (expire, 6)]
    assert sum(in_threads(*[lambda use=use, n=n: hammer(use, n) for use, n in counts])) > 0, "no thread met another one"
    assert len(pool) == N_ROWS and all(pool.handle(id) in handles for id in range(N_ROWS))
    try:
        pool.close("idle")
    except UnknownStream:
        pool.expire(-1)
    assert len(pool) == 0


def pools_of_one_model():
    """Each thread has a pool of its own, with threads of its own; pools are made and dropped meanwhile."""
    model, x = network(), uniform(RNG, N_ROWS, 3)

    def live():
        for _ in range(3):
            pool = model.pool(N_ROWS, threads=2)
            pool.restore({id: model.stream().snapshot() for id in range(N_ROWS)})
            y = pool.step(range(N_ROWS), x)
        return bits(y)

    assert len(set(in_threads(live, live, live))) == 1


if __name__ == "__main__":
    assert Path(streamgru.__file__).is_relative_to(Path.cwd()), f"{streamgru.__file__} has not been built for this"
    sys.setswitchinterval(1e-6)
    for scene in sys.argv[1:]:
        globals()[scene]()
        print(scene, flush=True)
