"""A pool on several threads: the bits, marks and errors of single streams, whatever is in a batch."""

import functools
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamgru.errors import NonFiniteError, UnknownStream
from streamgru.model.spec import Gru
from streamgru.stream.model import Model
from tests.networks import DTYPES, KERNELS, bits, gru_model, gru_tensors, spec_of, uniform

N_HID = 193  # from 52 rows on, threads share a batch
COMBINATIONS = [(dtype, kernel) for dtype in DTYPES for kernel in KERNELS[dtype]]
SIZES = [*range(1, 20), 51, 52, 53, 54, 95, 96, 97, 105, 106, 191, 192, 193, 194, 299, 300]
STEPPED, UNKNOWN, BAD_INPUT, DIVERGED = range(4)
AT_T, AFTER_SEQ, CHECKSUM = 80, 96, -16  # places in a snapshot: t and seq, what follows them, the end
FAULTS = {UNKNOWN: "no stream", BAD_INPUT: "expected a finite", DIVERGED: "would not be finite"}
ROOT = Path(__file__).parents[2]
REFUSED = """
import os, resource
import numpy as np
from tests.networks import bits, gru_model, uniform

model, x = gru_model(np.random.default_rng(1), n_hid=96), uniform(np.random.default_rng(2), 300, 3)
pools = [model.pool(300), model.pool(300, threads=4)]
for pool in pools:
    for i in range(300):
        pool.open(i)
before = len(os.listdir("/proc/self/task"))
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (4 << 20)  # less than the stack of a thread
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
first, second = [bits(pool.step(range(300), x)) for pool in pools]
print(first == second, len(os.listdir("/proc/self/task")) - before)
"""


@functools.cache
def network(dtype="float32", kernel="packed", n_hid=N_HID):
    """One whose state is soon not finite, if its first two inputs are large."""
    rng = np.random.default_rng(7)
    tensors = gru_tensors(rng, "gru", 3, n_hid)
    tensors["gru.weight_ih"] *= 1e3
    tensors["gru.weight_ih"][:, :2] = [1e3, -1e3]
    gru = Gru(name="gru", n_hid=n_hid, candidate="linear")
    return Model(spec_of(gru), tensors, dtype=dtype, kernel=kernel)


def opened(model, ids, threads):
    pool = model.pool(len(ids), threads=threads)
    for id in ids:
        pool.open(id)
    return pool


def one_by_one(streams, ids, x):
    """What single calls give for each row: outputs, and what became of it."""
    y, marks = [], []
    for id, row in zip(ids, x, strict=True):
        try:
            y.append(streams[id].step(row))
            marks.append(STEPPED)
        except KeyError:
            marks.append(UNKNOWN)
        except NonFiniteError:
            marks.append(DIVERGED if np.isfinite(row).all() else BAD_INPUT)
        if marks[-1] != STEPPED:
            y.append(np.full(N_HID, np.nan, row.dtype))
    return np.array(y), marks


def states(pool):
    return [pool.snapshot(id) for id in pool]


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("dtype, kernel", COMBINATIONS)
def test_every_size_of_a_batch(dtype, kernel, threads, rng):
    model = network(dtype, kernel)
    ids = list(range(max(SIZES)))
    pool, singles = opened(model, ids, threads), {id: model.stream() for id in ids}
    assert pool.threads == threads
    for n in SIZES:
        order = rng.permutation(ids)[:n].tolist()
        x = uniform(rng, n, 3, bound=1e-3, dtype=dtype)
        assert bits(pool.step(order, x)) == bits(one_by_one(singles, order, x)[0]), n
    assert states(pool) == [singles[id].snapshot() for id in ids]


@pytest.mark.parametrize("n_hid", [1, 17, 512])
def test_networks_that_are_shared_late_and_early(n_hid, rng):
    """Of 512 units seven rows are worth a second thread, and 300 keep it busy long enough to meet the first."""
    model = gru_model(rng, n_hid=n_hid)
    pools = [opened(model, range(300), threads) for threads in (1, 2, 7)]
    for n in (1, 2, 3, 8, 20, 45, 300, 300, 300):
        ids, x = rng.integers(0, 300, n).tolist(), uniform(rng, n, 3)
        first, *others = [bits(pool.step(ids, x)) for pool in pools]
        assert others == [first, first]
    assert states(pools[0]) == states(pools[1]) == states(pools[2])


def small_weights(tensors, weights):
    """The matrices of a layer in float16, or in int8 with a scale per row."""
    found = {name: tensor for name, tensor in tensors.items() if ".bias" in name}
    for name in tensors.keys() - found.keys():
        if weights == "float16":
            found[name] = tensors[name].astype(np.float16)
        else:
            found[f"{name}.scale"] = scale = np.abs(tensors[name]).max(axis=1) / np.float32(127)
            found[f"{name}.q8"] = np.round(tensors[name] / scale[:, None]).astype(np.int8)
    return found


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_small_weights(weights, rng):
    tensors = small_weights(gru_tensors(rng, "gru", 3, N_HID), weights)
    model = Model(spec_of(Gru(name="gru", n_hid=N_HID)), tensors, kernel="packed")
    ids = list(range(150))
    pools, singles = [opened(model, ids, threads) for threads in (1, 2)], {id: model.stream() for id in ids}
    for n in (1, 60, 150, 300):
        some, x = rng.integers(0, 150, n).tolist(), uniform(rng, n, 3)
        expected = bits(one_by_one(singles, some, x)[0])
        assert [bits(pool.step(some, x)) for pool in pools] == [expected] * 2


@st.composite
def batches(draw):
    """Ids, some unknown and many repeated, and their rows, some bad."""
    n_rows, n_streams = draw(st.integers(1, 300)), draw(st.integers(1, 120))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ids, x = rng.integers(0, n_streams, n_rows).tolist(), uniform(rng, n_rows, 3, bound=1e-3)
    rows = st.lists(st.integers(0, n_rows - 1), max_size=4)
    for row in draw(rows):
        x[row, :2] = 3e38
    for row in draw(rows):
        x[row, draw(st.integers(0, 2))] = draw(st.sampled_from([np.nan, np.inf]))
    for row in draw(rows):
        ids[row] = "nobody"
    return ids, x


@settings(max_examples=60)
@given(batch=batches(), threads=st.sampled_from([1, 2, 3]))
def test_status_marks_what_single_streams_refuse(batch, threads):
    ids, x = batch
    pool, singles = opened(network(), range(120), threads), {id: network().stream() for id in range(120)}
    status = np.full(len(ids), 99, np.uint8)
    t, seq = np.arange(len(ids)) / 8, np.arange(len(ids))
    y = pool.step(ids, x, status=status, t=t, seq=seq)
    expected, marks = one_by_one(singles, ids, x)
    assert status.tolist() == marks
    assert bits(y) == bits(expected)
    last = {id: row for row, (id, mark) in enumerate(zip(ids, marks, strict=True)) if mark == STEPPED}
    for id, single in singles.items():
        got, alone = pool.snapshot(id), single.snapshot()
        assert got[AFTER_SEQ:CHECKSUM] == alone[AFTER_SEQ:CHECKSUM]
        if id in last:
            assert struct.unpack_from("<dq", got, AT_T) == (last[id] / 8, last[id])
        else:
            assert got == alone


@settings(max_examples=60)
@given(batch=batches(), threads=st.sampled_from([1, 2, 3]))
def test_strict_steps_all_or_nothing(batch, threads):
    """The error is that of the first bad row; what can be seen without stepping comes before what cannot."""
    ids, x = batch
    pool = opened(network(), range(120), threads)
    pool.step(range(120), np.full((120, 3), 1e-3))
    before = states(pool)
    singles = {id: network().restore(blob) for id, blob in zip(pool, before, strict=True)}
    expected, marks = one_by_one(singles, ids, x)
    first = min((row for row, mark in enumerate(marks) if mark in (UNKNOWN, BAD_INPUT)), default=None)
    if first is None and DIVERGED in marks:
        first = marks.index(DIVERGED)
    if first is None:
        assert bits(pool.step(ids, x)) == bits(expected)
        assert states(pool) == [single.snapshot() for single in singles.values()]
        return
    with pytest.raises((UnknownStream, NonFiniteError)) as caught:
        pool.step(ids, x)
    assert FAULTS[marks[first]] in str(caught.value)
    assert str(caught.value).startswith((f"row {first}:", f"X[{first}, "))
    assert states(pool) == before


@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_row_that_diverges_is_named(threads):
    """Also where a later row diverges in an earlier round."""
    x = np.full((200, 3), 1e-3, np.float32)
    x[1, :2] = x[150, :2] = 3e38
    pool = opened(network(), range(200), threads)
    ids = [0, 0, *range(1, 199)]
    before = states(pool)
    with pytest.raises(NonFiniteError, match="row 1: the new state"):
        pool.step(ids, x)
    assert states(pool) == before
    pool.step(range(200), np.full((200, 3), 1e-3))


@pytest.mark.skipif(sys.platform != "linux", reason="looks in /proc")
def test_threads_start_with_the_first_large_batch_and_end_with_the_pool(rng):
    def n_tasks():
        return len(list(Path("/proc/self/task").iterdir()))

    model = gru_model(rng, n_hid=N_HID)
    x = uniform(rng, 300, 3)
    before = n_tasks()
    pool = opened(model, range(300), 3)
    pool.step(range(51), x[:51])
    assert n_tasks() == before
    for n_rows in (52, 300, 1):  # the sizes of the batches above rest on the 52
        pool.step(range(n_rows), x[:n_rows])
        assert n_tasks() == before + 2
    del pool
    assert n_tasks() == before


@pytest.mark.skipif(sys.platform != "linux", reason="looks in /proc")
def test_without_threads_the_caller_does_it_all(rng):
    """Where the system refuses to start one, here because the address space is used up."""
    done = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "True 0\n", done.stderr
