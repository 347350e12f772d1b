"""Whatever interrupts a call, Ctrl-C say, between two lines of Python: the pool is as it was, or as it should be."""

import numpy as np
import pytest

from streamgru.errors import UnknownStream
from streamgru.stream import pool as pool_module
from streamgru.stream.ids import Handle, Ids
from tests.networks import gru_model


class Interrupted(BaseException):
    """As KeyboardInterrupt is, no Exception."""


def raising_at(monkeypatch, owner, name, when):
    """Let the *when*-th call of a function raise before it does anything."""
    inner, calls = getattr(owner, name), []

    def function(*arguments, **options):
        calls.append(name)
        if len(calls) == when:
            raise Interrupted
        return inner(*arguments, **options)

    monkeypatch.setattr(owner, name, function)


@pytest.fixture
def model(rng):
    return gru_model(rng)


def test_an_open_that_is_interrupted_opens_nothing(model, monkeypatch):
    pool = model.pool(2)
    raising_at(monkeypatch, Ids, "add", 1)
    with pytest.raises(Interrupted):
        pool.open("a")
    assert len(pool) == 0 and list(pool) == [] and "a" not in pool
    pool.open("a"), pool.open("b")
    assert [one.id for one in pool.expire(-1)] == ["a", "b"]


def test_a_close_that_is_interrupted_has_closed(model, monkeypatch):
    pool = model.pool(1)
    pool.open("a")
    raising_at(monkeypatch, Ids, "remove", 1)
    with pytest.raises(Interrupted):
        pool.close("a")
    assert "a" not in pool and len(pool) == 0
    with pytest.raises(UnknownStream):
        pool.snapshot("a")
    pool.open("b")
    assert "a" not in pool  # though its slot is that of b
    pool.close("b")
    pool.open("a")


def test_an_expiry_that_is_interrupted_has_ended_none(model, monkeypatch):
    pool = model.pool(3)
    for id in "abc":
        pool.open(id)
    raising_at(monkeypatch, pool_module, "pack", 3)
    with pytest.raises(Interrupted):
        pool.expire(-1)
    assert sorted(pool) == ["a", "b", "c"]
    assert len(pool.expire(-1)) == 3


@pytest.mark.parametrize("when", [1, 2, 3])
def test_a_restore_that_is_interrupted_opens_none(when, model, monkeypatch):
    pool, blob = model.pool(4), model.stream().snapshot()
    pool.open("before")
    raising_at(monkeypatch, Ids, "add", when)
    with pytest.raises(Interrupted):
        pool.restore(dict.fromkeys("abc", blob))
    assert list(pool) == ["before"]


def test_ids_are_looked_up_when_nobody_else_can_change_them(model, monkeypatch):
    """A stream that is closed, and its slot taken, while a batch is being made ready."""
    pool = model.pool(1)
    pool.open("a")
    inner = Ids.get

    def get(ids, id):
        slot = inner(ids, id)
        if id == "a" and "b" not in tried:
            tried.append("b")
            with pytest.raises(Exception, match="another thread is using this pool"):
                pool.close("a")
        return slot

    tried = []
    monkeypatch.setattr(Ids, "get", get)
    pool.step(["a"], np.ones((1, 3), np.float32))
    assert tried == ["b"] and list(pool) == ["a"]


def test_numbers_beyond_all_handles_and_all_digits(model):
    pool = model.pool(1)
    for stream in (Handle(-1), Handle(2**64), 10**5000):
        with pytest.raises(UnknownStream):
            pool.close(stream)
    pool.open(10**5000)
    status = np.zeros(3, np.uint8)
    pool.step([Handle(-1), 10**5000, Handle(2**70)], np.ones((3, 3), np.float32), status=status)
    assert status.tolist() == [1, 0, 1]
