"""Streams of a pool that come and go: expiry, snapshots and restoring in bulk, slots, and what an idle one costs."""

import gc
import time
import tracemalloc

import numpy as np
import pytest

from streamgru.errors import PoolFull, ShapeError, SnapshotError, UnknownStream
from streamgru.stream.ids import Ended
from streamgru.stream.model import Model
from tests.networks import DTYPES, bits, gru_model, gru_tensors, uniform

IDLE_BYTES = 256  # what a stream may cost beside its state, id included
HEADER_BYTES = 24  # of the state: t, seq, n_steps


@pytest.fixture(params=DTYPES)
def model(request, rng):
    return gru_model(rng, dtype=request.param)


@pytest.fixture
def pool(model, rng):
    """Three streams, each somewhere else."""
    pool = model.pool(5)
    for id in ("a", b"a", 1):
        pool.open(id)
        pool.step([id], uniform(rng, 1, 3))
    return pool


def test_expire_ends_what_was_idle_and_nothing_else(model, rng):
    pool = model.pool(3)
    old = pool.open("old")
    pool.open("stepped"), pool.step(["old"], uniform(rng, 1, 3))
    last = pool.snapshot("old")
    between_s = time.monotonic()
    time.sleep(0.5)
    pool.step(["stepped"], uniform(rng, 1, 3)), pool.open("new")
    idle_s = time.monotonic() - between_s
    (ended,) = pool.expire(idle_s)
    assert isinstance(ended, Ended) and ended.id == "old" and ended.snapshot == last and ended.idle_s > idle_s
    assert sorted(pool) == ["new", "stepped"] and pool.expire(idle_s + 60) == []
    with pytest.raises(UnknownStream):
        pool.step([old], [[1, 2, 3]])
    pool.open("old", ended.snapshot)
    assert pool.snapshot("old") == last


def test_what_is_refused_does_not_keep_a_stream_open(model, rng):
    pool, bad = model.pool(2), np.full((1, 3), np.nan)
    pool.open("bad"), pool.open("good")
    between_s = time.monotonic()
    time.sleep(0.5)
    pool.step(["bad"], bad, status=np.zeros(1, np.uint8))
    pool.step(["good"], uniform(rng, 1, 3))
    assert [ended.id for ended in pool.expire(time.monotonic() - between_s)] == ["bad"]


def test_all_of_them_expire(pool):
    expected = pool.snapshots()
    assert {ended.id: ended.snapshot for ended in pool.expire(-1)} == expected
    assert len(pool) == 0 and pool.expire(-1) == []


def test_snapshots(pool):
    assert pool.snapshots() == {id: pool.snapshot(id) for id in ("a", b"a", 1)}
    handle = pool.handle(b"a")
    assert pool.snapshots(["a", handle, np.uint64(handle)]) == {"a": pool.snapshot("a"), b"a": pool.snapshot(b"a")}
    assert pool.snapshots([]) == {}
    pool.close("a")
    assert list(pool.snapshots()) == [b"a", 1]
    with pytest.raises(UnknownStream, match="no stream 'a' is open"):
        pool.snapshots([b"a", "a"])
    assert len(pool.snapshots()) == 2  # it is not busy


@pytest.mark.parametrize("threads", [1, 2])
def test_a_pool_goes_on_in_another_one(threads, model, rng):
    ids, x = [f"s{i}" for i in range(300)], uniform(rng, 300, 3)
    pool = model.pool(300)
    pool.restore({id: model.stream().snapshot() for id in ids})
    pool.step(ids, x, t=np.arange(300.0), seq=np.arange(300))
    other = model.pool(301, threads=threads)
    other.open("before")
    other.restore(pool.snapshots())
    assert len(other) == 301
    assert bits(other.step(ids, x)) == bits(pool.step(ids, x))
    assert {id: other.snapshot(id) for id in ids} == pool.snapshots()


def test_restore_carries_to_another_model(pool, model, rng):
    other = Model(model.spec, gru_tensors(rng, "gru", 3, 5), dtype=model.dtype).pool(3)
    with pytest.raises(SnapshotError, match="carry=True"):
        other.restore(pool.snapshots())
    other.restore(pool.snapshots(), carry=True)
    assert len(other) == 3


FAULTS = {
    "full": (lambda blob: {"b": blob, "c": blob, "d": blob, "e": blob}, PoolFull, "all 5 streams"),
    "open already": (lambda blob: {"b": blob, "a": blob, "c": blob}, ValueError, "'a' is open already"),
    "damaged": (lambda blob: {"b": blob, "c": blob[:-1] + bytes([blob[-1] ^ 1])}, SnapshotError, "checksum"),
    "no bytes": (lambda blob: {"b": blob, "c": None}, SnapshotError, "expected bytes"),
    "no id": (lambda blob: {"b": blob, 1.5: blob}, ShapeError, "id: expected str, bytes or int, got float"),
    "a bool": (lambda blob: {"b": blob, False: blob}, ShapeError, "got bool"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_restore_opens_all_or_none(fault, pool):
    snapshots, error, words = FAULTS[fault]
    before, handles = pool.snapshots(), [pool.handle(id) for id in pool]
    blob = before[1]
    for _ in range(3):
        with pytest.raises(error, match=words):
            pool.restore(snapshots(blob))
        assert pool.snapshots() == before and list(pool) == list(before) and len(pool) == 3
        assert [pool.handle(id) for id in pool] == handles
        assert "b" not in pool and "c" not in pool
    pool.restore({"b": blob, "c": blob})
    assert len(pool) == 5 and pool.snapshot("c") == blob


def test_slots_are_used_again(model, rng):
    """As many streams as one likes, one after the other; no handle is ever given twice, and every one starts anew."""
    pool, start = model.pool(3), model.stream().snapshot()
    pool.open("stays")
    handles = set()
    for i in range(500):
        handle = pool.open(i)
        assert pool.snapshot(handle) == start
        pool.step([handle], uniform(rng, 1, 3))
        handles.add(handle)
        pool.close(i)
    assert len(handles) == 500 and list(pool) == ["stays"]
    for handle in handles:
        with pytest.raises(UnknownStream):
            pool.snapshot(handle)
    pool.open("x"), pool.open("y")
    with pytest.raises(PoolFull):
        pool.open("z")


NAMES = {"str": "plant 3/sensor {:07}".format, "bytes": lambda i: b"sensor %07d" % i, "int": lambda i: 2**40 + i}


@pytest.mark.parametrize("n_streams", [10_000, 43_700])  # the latter just after the tables of ids have grown
@pytest.mark.parametrize("kind", NAMES)
def test_an_idle_stream_costs_little_more_than_its_state(kind, n_streams, rng):
    model = gru_model(rng, n_hid=64)
    state_bytes = HEADER_BYTES + 4 * 64
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        pool = model.pool(n_streams)
        for i in range(n_streams):
            pool.open(NAMES[kind](i))
        each = (tracemalloc.get_traced_memory()[0] - before) / n_streams
    finally:
        tracemalloc.stop()
    assert len(pool) == n_streams
    assert state_bytes < each <= state_bytes + IDLE_BYTES
