"""What happens to streams beside the plain step: flags of refused records, ends of origins, time to live."""

import numpy as np
import pytest

from streamgru.adapters.codecs.ndjson import NdjsonCodec
from streamgru.adapters.contract import Batch
from streamgru.pipeline.engine import Engine
from streamgru.pipeline.rows import signature
from tests import support
from tests.support import bare, numbers, objects, parsed

BAD = [0, 0, None]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return support.write_model(tmp_path_factory.mktemp("model") / "m.safetensors")


def engine(model, **settings):
    return Engine(model, NdjsonCodec(signature(model)), NdjsonCodec(signature(model)), **settings)


def answers(items):
    return parsed(b"".join(item.data for item in items))


@pytest.mark.parametrize("flag", ["start", "reset"])
def test_a_refused_record_restarts_its_stream_all_the_same(model, flag):
    x = numbers(3)
    tested = engine(model)
    records = [{"id": "a", "x": x[0].tolist()}, {"id": "a", "x": BAD, flag: True}, {"id": "a", "x": x[1].tolist()}]
    first, error, again = answers(tested.take(Batch("o", objects(records)), False).items)
    np.testing.assert_array_equal(np.float32(first["y"]), model.stream().step(x[0]))
    assert "expected a number, got none" in error["error"]
    np.testing.assert_array_equal(np.float32(again["y"]), model.stream().step(x[1]))


def test_a_refused_record_ends_its_stream_all_the_same(model):
    tested = engine(model)
    tested.take(Batch("o", objects([{"id": "a", "x": [1, 2, 3]}, {"id": "a", "x": BAD, "end": True}])), False)
    assert tested.counts.streams == 0


def test_what_is_held_goes_out_when_the_end_is_refused(model):
    x = numbers(2)
    tested = engine(model, emit="last", on_error="skip")
    records = [{"id": "a", "x": x[0].tolist()}, {"id": "b", "x": x[1].tolist()}, {"id": "b", "x": BAD, "end": True}]
    (last,) = answers(tested.take(Batch("o", objects(records)), False).items)
    assert last["id"] == "b"
    (other,) = answers(tested.finish())
    assert other["id"] == "a"


def test_what_is_held_for_a_connection_goes_out_with_it(model):
    """Whoever sends ids, half-closes and waits must get the answers."""
    tested = engine(model, emit="last", shared=False)
    tested.take(Batch("o", objects([{"id": "a", "x": [1, 2, 3]}])), False)
    (last,) = answers(tested.take(Batch("o", b"", end="cut"), False).items)
    assert last["id"] == "a"
    assert tested.finish() == []


def test_a_stream_without_records_is_ended_after_its_time(model, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("streamgru.pipeline.engine.time.monotonic", lambda: now[0])
    tested = engine(model, ttl_s=10, max_streams=2)
    x = numbers(3)
    tested.take(Batch("o", objects([{"id": "a", "x": x[0].tolist()}, {"id": "b", "x": x[0].tolist()}])), False)
    now[0] += 8
    tested.take(Batch("o", objects([{"id": "b", "x": x[1].tolist()}])), False)
    now[0] += 8
    tested.expire()
    c, b = answers(
        tested.take(
            Batch("o", objects([{"id": "c", "x": x[0].tolist()}, {"id": "b", "x": x[2].tolist()}])), False
        ).items
    )
    np.testing.assert_array_equal(np.float32(c["y"]), model.stream().step(x[0]))
    np.testing.assert_array_equal(np.float32(b["y"]), model.stream().run(x)[2])


def test_pieces_of_a_batch_are_the_batch(model):
    tested = engine(model)
    data = bare(numbers(5000))
    pieces = list(tested.pieces(Batch("o", data, end="cut")))
    assert b"".join(piece.data for piece, _ in pieces) == data
    assert [is_last for _, is_last in pieces] == [False] * (len(pieces) - 1) + [True]
    assert [piece.end for piece, _ in pieces] == [""] * (len(pieces) - 1) + ["cut"]
    assert len(list(tested.pieces(Batch("o", b"")))) == 1


def test_an_output_that_is_not_finite_is_an_error(tmp_path):
    model = support.write_model(tmp_path / "m.safetensors", softmax=False)
    stream = model.stream()
    stream.step([1000, 1000, 1000])
    steep = np.sign(stream.state["gru"]) * np.float32(3e38)
    tensors = model.tensors | {"head.weight": np.tile(steep, (support.N_OUT, 1))}
    tested = engine(type(model)(model.spec, tensors))
    (answer,) = answers(tested.take(Batch("o", b"[1000,1000,1000]\n"), False).items)
    assert "the output would not be finite" in answer["error"]
