"""Each policy against a plain reference over one list of outputs."""

import numpy as np
import pytest

from streamgru.errors import OptionError
from streamgru.pipeline.emit import make_emit


def chosen(emit, y, handle=1):
    return [i for i, row in enumerate(y) if emit.choose(handle, row, i == len(y) - 1)]


@pytest.fixture
def y(rng):
    return rng.random((200, 3)).astype(np.float32)


def test_every(y):
    emit = make_emit("every")
    assert emit.everything and chosen(emit, y) == list(range(200))


@pytest.mark.parametrize("n", [1, 2, 7, 200, 201])
def test_every_nth(y, n):
    emit = make_emit(str(n))
    assert emit.everything == (n == 1)
    assert chosen(emit, y) == [i for i in range(200) if (i + 1) % n == 0]


def test_change_of_the_largest(y):
    best = y.argmax(1).tolist()
    assert chosen(make_emit("change"), y) == [i for i in range(200) if i == 0 or best[i] != best[i - 1]]


def test_change_looks_at_its_part_only(y):
    best = y[:, 1:].argmax(1).tolist()
    assert chosen(make_emit("change", slice(1, 3)), y) == [i for i in range(200) if i == 0 or best[i] != best[i - 1]]


def test_change_of_a_single_value():
    y = np.float32([[1], [1], [2], [1], [1], [-1]])
    assert chosen(make_emit("change"), y) == [0, 2, 3, 5]


def test_above(y):
    y = np.concatenate([y, np.float32([[0.75, 0, 0]])])
    expected = [i for i, row in enumerate(y.tolist()) if max(row) >= 0.75]
    assert chosen(make_emit("above=0.75"), y) == expected and 200 in expected
    assert chosen(make_emit("above=-1e3"), y) == list(range(201))


def test_last(y):
    emit = make_emit("last")
    assert emit.holds_last and chosen(emit, y) == [199]


@pytest.mark.parametrize("text", ["2", "change"])
def test_streams_are_kept_apart_and_forgotten(text, y):
    emit = make_emit(text)
    alone = [chosen(make_emit(text), y[k::2]) for k in range(2)]
    mixed = [[], []]
    for i, row in enumerate(y):
        if emit.choose(i % 2, row, False):
            mixed[i % 2].append(i // 2)
    assert mixed == alone
    emit.forget(0)
    assert chosen(emit, y[0::2], handle=0) == alone[0]


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.5", "often", "above", "above=", "above=x", "above=nan", "above=inf", "every=2", "last="]
)
def test_anything_else_is_refused(text):
    with pytest.raises(OptionError, match="expected every, a number N, change, above=P or last, got"):
        make_emit(text)
