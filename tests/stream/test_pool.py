"""Many streams: ids, handles and slots; and that a bad row costs nobody else anything."""

import sys
import time

import numpy as np
import pytest

from streamgru.errors import NonFiniteError, PoolFull, ShapeError, SnapshotError, StateError, TokenError, UnknownStream
from streamgru.model.spec import Embedding, Gru, Input
from streamgru.stream.ids import Handle
from streamgru.stream.model import Model
from streamgru.stream.pool import Pool
from tests.networks import DTYPES, bits, gru_model, gru_tensors, spec_of, uniform


@pytest.fixture(params=DTYPES)
def model(request, rng):
    return gru_model(rng, dtype=request.param, initial="learned")


def test_rows_are_single_streams(model, rng):
    """Including several rows of one stream, which are taken in order."""
    ids = ["a", "b", b"a", 1, "1", "a", "b", "a", -5]
    x = uniform(rng, len(ids), 3)
    pool = model.pool(10)
    singles = {id: model.stream() for id in ids}
    for id in singles:
        pool.open(id)
    for _ in range(3):
        got = pool.step(ids, x)
        assert bits(got) == bits(np.array([singles[id].step(row) for id, row in zip(ids, x, strict=True)]))
    for id, single in singles.items():
        assert pool.snapshot(id) == single.snapshot()


def test_ids_and_handles_are_the_same_streams(model, rng):
    x = uniform(rng, 4, 3)
    pool, other = model.pool(2), model.pool(2)
    handles = [pool.open("a"), pool.open("b")]
    other.open("a"), other.open("b")
    expected = bits(other.step(["a", "b", "b", "a"], x))
    start = [pool.snapshot("a"), pool.snapshot("b")]
    forms = [
        [handles[0], "b", handles[1], "a"],
        np.array([*handles, *handles[::-1]], np.uint64),
        list(np.array([*handles, *handles[::-1]], np.uint64)),
        np.array(["a", "b", "b", "a"]),
        ("a", "b", "b", "a"),
    ]
    for form in forms:
        assert bits(pool.step(form, x)) == expected
        for id, blob in zip("ab", start, strict=True):
            pool.close(id)
            pool.open(id, blob)
        handles = [pool.handle("a"), pool.handle("b")]
        forms[0][0::2], forms[1][:], forms[2][:] = handles, [*handles, *handles[::-1]], [*handles, *handles[::-1]]
    assert pool.handle("a") == handles[0] and isinstance(handles[0], Handle)


def test_a_full_pool_refuses(model):
    pool = model.pool(2)
    pool.open("a"), pool.open("b")
    with pytest.raises(PoolFull, match="all 2 streams"):
        pool.open("c")
    assert list(pool) == ["a", "b"] and len(pool) == 2 and "c" not in pool and "a" in pool
    pool.close("a")
    pool.open("c")
    assert sorted(pool) == ["b", "c"]


def test_a_slot_starts_anew(model, rng):
    """The next stream of a slot starts from the exact initial state, the old handle is dead."""
    pool = model.pool(1)
    old = pool.open("a")
    fresh = pool.snapshot("a")
    pool.step(["a"], uniform(rng, 1, 3), t=[1.0], seq=[5])
    assert pool.snapshot("a") != fresh
    pool.close(old)
    new = pool.open("b")
    assert pool.snapshot("b") == fresh == model.stream().snapshot() and new != old
    for use in (pool.close, pool.reset, pool.snapshot, lambda handle: pool.step([handle], [[1, 2, 3]])):
        with pytest.raises(UnknownStream):
            use(old)
    assert pool.snapshot("b") == fresh


def test_reset(model, rng):
    pool = model.pool(2)
    handle = pool.open("a")
    for name in ("a", handle, np.uint64(handle)):
        pool.step([handle], uniform(rng, 1, 3))
        pool.reset(name)
        assert pool.snapshot("a") == model.stream().snapshot()


def test_growth_never_moves_a_state(model, rng):
    """More streams than one block of the slab holds, opened while others run."""
    n = 600
    x = uniform(rng, n, 3)
    pool = model.pool(n)
    expected = []
    for i in range(n):
        pool.open(i)
        expected.append(pool.step([i], x[i : i + 1])[0])
    assert len(pool) == n
    second = pool.step(range(n), x)
    for i in (0, 255, 256, 511, 512, 599):
        single = model.stream()
        assert bits(single.step(x[i])) == bits(expected[i]) and bits(single.step(x[i])) == bits(second[i])


def test_open_from_a_snapshot(model, rng):
    x = uniform(rng, 8, 3)
    stream = model.stream()
    stream.run(x[:5])
    pool = model.pool(2)
    pool.open("a", stream.snapshot())
    for row in x[5:]:
        assert bits(pool.step(["a"], [row])[0]) == bits(stream.step(row))
    with pytest.raises(SnapshotError):
        pool.open("b", stream.snapshot()[:-1])
    other = Model(model.spec, gru_tensors(rng, "gru", 3, 5, h0=True), dtype=model.dtype)
    with pytest.raises(SnapshotError):
        other.pool(1).open("b", stream.snapshot())
    assert other.pool(1).open("b", stream.snapshot(), carry=True)
    assert "b" not in pool


@pytest.mark.parametrize("id", [1.5, None, ("a",), [1], {}, object(), np.uint64(7), np.float32(1)])
def test_what_is_no_id(id, model):
    pool = model.pool(2)
    with pytest.raises(ShapeError, match="id: expected str, bytes or int, got"):
        pool.open(id)
    assert len(pool) == 0


def test_one_number_in_any_type_is_one_id(model):
    pool = model.pool(4)
    pool.open(np.int64(7))
    assert 7 in pool and "7" not in pool
    with pytest.raises(ValueError, match="open already"):
        pool.open(7)
    pool.open(2**100)
    pool.close(2**100)
    assert len(pool) == 1


def test_ids_chosen_to_collide_cost_nothing(model):
    """Multiples of this number all have the hash 0; in a dict of int, every one would meet all before it."""
    pool, began = model.pool(20_000), time.perf_counter()
    for i in range(20_000):
        pool.open(i * sys.hash_info.modulus)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("capacity", [0, -1, 2**31])
def test_wrong_capacity(capacity, model):
    with pytest.raises(ValueError, match=r"capacity: expected an integer from 1 to 2\*\*31 - 1"):
        model.pool(capacity)


STEPS = [
    ({"ids": ["a", "b"]}, ShapeError, r"ids: expected one for each of 3 rows of X, got shape \(2,\)"),
    ({"ids": "abc"}, ShapeError, "ids: expected one for each of 3 rows of X, got str"),
    ({"ids": b"abc"}, ShapeError, "ids: .* got bytes"),
    ({"ids": 5}, ShapeError, "ids: .* got int"),
    ({"ids": None}, ShapeError, "ids: .* got NoneType"),
    ({"ids": np.zeros((3, 1), "u8")}, ShapeError, r"ids: .* got shape \(3, 1\)"),
    ({"ids": ["a", 1.5, "b"]}, ShapeError, "id: expected str, bytes or int, got float"),
    ({"ids": ["a", "zz", "b"]}, UnknownStream, "row 1: no stream 'zz' is open"),
    ({"ids": ["a", "b", 1]}, UnknownStream, "row 2: no stream 1 is open"),
    ({"ids": np.array([0, 1, 2**64 - 1], "u8")}, UnknownStream, "row 0: no stream of handle 0x0 is open"),
    ({"X": np.zeros((3, 2))}, ShapeError, r"X: expected shape \(n, 3\), got \(3, 2\)"),
    ({"X": np.zeros(3)}, ShapeError, r"X: expected shape \(n, 3\), got \(3,\)"),
    ({"X": [["a"] * 3] * 3}, ShapeError, "X: expected numbers"),
    ({"X": [[1, 2, 3], [1, np.nan, 3], [1, 2, 3]]}, NonFiniteError, r"X\[1, 1\]: expected a finite float\d\d, got nan"),
    ({"out": np.zeros((3, 4))}, ShapeError, "out: expected"),
    ({"out": np.zeros((2, 5))}, ShapeError, "out: expected"),
    ({"status": [0, 0, 0]}, ShapeError, "status: expected"),
    ({"status": np.zeros(2, "u1")}, ShapeError, "status: expected"),
    ({"status": np.zeros(3, "i1")}, ShapeError, "status: expected"),
    ({"status": np.zeros(6, "u1")[::2]}, ShapeError, "status: expected"),
    ({"t": [1, 2]}, ShapeError, r"t: expected float64 \(3,\), got int64 \(2,\)"),
    ({"t": "now"}, ShapeError, "t: expected float64"),
    ({"t": ["a", "b", "c"]}, ShapeError, "t: expected float64"),
    ({"t": [[1], [2, 3], 4]}, ShapeError, "t: expected"),
    ({"seq": [1, 2.5, 3]}, ShapeError, r"seq: expected int64 \(3,\), got float64"),
    ({"seq": [1, 2, 2**70]}, ShapeError, r"seq: expected int64 \(3,\), got object"),
    ({"seq": np.full(3, 2**63, "u8")}, ShapeError, r"seq: expected int64 \(3,\), got uint64"),
]


@pytest.mark.parametrize("wrong, error, words", STEPS)
def test_refused_before_any_state_changes(wrong, error, words, model):
    pool = model.pool(2)
    pool.open("a"), pool.open("b")
    pool.step(["a"], [[1, 2, 3]])
    before = [pool.snapshot(id) for id in pool]
    right = {"ids": ["a", "b", "a"], "X": np.ones((3, 3))}
    with pytest.raises((ValueError, StateError), match=words) as caught:
        pool.step(**(right | wrong))
    assert caught.type is error
    assert [pool.snapshot(id) for id in pool] == before
    pool.step(**right)


def test_status_marks_the_bad_rows_and_steps_the_others(rng):
    """1e39 is none of float32's numbers, in one row as in any other."""
    spec = spec_of(Gru(name="gru", n_hid=5, candidate="linear"))
    tensors = gru_tensors(rng, "gru", 3, 5)
    tensors["gru.weight_ih"] = 1e3 * np.sign(tensors["gru.weight_ih"])
    tensors["gru.weight_ih"][:, :2] = [1e3, -1e3]
    model = Model(spec, tensors)
    pool = model.pool(3)
    pool.open("a"), pool.open("b")
    ids = ["a", "zz", "a", "b", "b", "b", "a"]
    x = np.full((7, 3), 1e-3)
    x[2, 1], x[3, 0], x[4, :2] = np.nan, 1e39, 3e38
    status = np.full(7, 99, np.uint8)
    y = pool.step(ids, x, status=status)
    assert status.tolist() == [0, 1, 2, 2, 3, 0, 0]
    assert np.isnan(y[1:5]).all()
    a, b = model.stream(), model.stream()
    for row, stream in ((0, a), (5, b), (6, a)):
        assert bits(y[row]) == bits(stream.step(x[row]))
    assert pool.snapshot("a") == a.snapshot() and pool.snapshot("b") == b.snapshot()


def test_tokens(rng):
    layers = (Embedding(name="e", n_out=2), Gru(name="gru", n_hid=3))
    spec = spec_of(*layers, inputs=(Input(name="word", kind="token", vocab=4),))
    pool = Model(spec, {"e.weight": uniform(rng, 4, 2)} | gru_tensors(rng, "gru", 2, 3)).pool(1)
    pool.open("a")
    before = pool.snapshot("a")
    with pytest.raises(TokenError, match=r"X\[1, 0\]: expected a token of 'word'"):
        pool.step(["a", "a"], [[1], [4]])
    assert pool.snapshot("a") == before
    status = np.zeros(2, np.uint8)
    pool.step(["a", "a"], [[1], [0.5]], status=status)
    assert status.tolist() == [0, 2]


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_out_may_lie_on_X(offset, rng):
    model = gru_model(rng, n_in=5, n_hid=5)
    x = uniform(rng, 6, 5)
    pool, other = model.pool(1), model.pool(1)
    pool.open("a"), other.open("a")
    expected = other.step(["a"] * 4, x[1:5].copy())
    assert bits(pool.step(["a"] * 4, x[1:5], out=x[1 + offset : 5 + offset])) == bits(expected)


def test_no_rows(model):
    pool = model.pool(1)
    assert pool.step([], np.empty((0, 3)), t=[], seq=[]).shape == (0, 5)


def test_no_pool_without_a_model(model):
    for make in (lambda: Pool.__new__(Pool), lambda: Pool(5, 1), lambda: Pool(model)):
        with pytest.raises((TypeError, AttributeError)):
            make()
    assert repr(model.pool(3)).endswith("0 of 3 streams>") and model.pool(3).capacity == 3


def test_handles_of_another_pool_are_refused(model, rng):
    """They name the same slots, used as often."""
    pool, other = model.pool(3), model.pool(3)
    handles = [pool.open(i) for i in range(3)]
    before = [other.snapshot(other.open(i)) for i in range(3)]
    status = np.zeros(3, np.uint8)
    other.step(np.array(handles, np.uint64), uniform(rng, 3, 3), status=status)
    assert status.tolist() == [1, 1, 1]
    for use in (other.close, other.reset, other.snapshot, lambda handle: other.step([handle], [[1, 2, 3]])):
        with pytest.raises(UnknownStream):
            use(handles[0])
    assert [other.snapshot(i) for i in range(3)] == before


def test_an_array_of_other_integers_holds_ids(model, rng):
    """And says so, since handles come as ints, of which NumPy makes int64."""
    pool, x = model.pool(3), uniform(rng, 3, 3)
    handles = np.array([pool.open(i) for i in range(3)])
    assert handles.dtype == np.int64
    pool.step(np.arange(3), x)
    with pytest.raises(UnknownStream, match=rf"row 0: no stream {handles[0]} \(an id, being int64; .* are uint64\)"):
        pool.step(handles, x)
    pool.step(handles.astype(np.uint64), x)
