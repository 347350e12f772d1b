"""The engine against a dictionary of streams, one record at a time."""

import json

import numpy as np
import pytest

from streamgru.adapters.codecs.csv import CsvCodec
from streamgru.adapters.codecs.ndjson import NdjsonCodec
from streamgru.adapters.contract import Batch, Outcome
from streamgru.formats import native
from streamgru.model.spec import Conv1d, Dense, Embedding, Gru, Input, Output, Softmax
from streamgru.pipeline.engine import Engine
from streamgru.pipeline.rows import signature
from streamgru.stream.load import load
from streamgru.stream.model import Model
from tests import support
from tests.networks import gru_tensors, spec_of, uniform
from tests.support import N_IN, bare, numbers, objects, parsed


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return support.write_model(tmp_path_factory.mktemp("model") / "m.safetensors")


def engine(model, codec=NdjsonCodec, **settings):
    return Engine(model, codec(signature(model)), codec(signature(model)), **settings)


class Reference:
    """What the engine should do, said as plainly as possible; it shares no code with what it is held against."""

    def __init__(self, model, emit, on_error, max_streams, shared):
        self.model, self.emit, self.on_error = model, emit, on_error
        self.max_streams, self.shared = max_streams, shared
        self.streams = {}  # key -> stream
        self.outputs = {}  # key -> every y of its sequence
        self.held = {}  # key -> (origin, seq, y) of its latest prediction, with emit="last"

    def record(self, origin, record):
        """What goes out for one record: (seq, y or None for an error) each."""
        key = record.get("id") or ("own", origin)
        before = []
        if key in self.streams and (record.get("start") or record.get("reset")):
            self.streams[key].reset()
        if record.get("start"):  # another sequence
            before = self.release(key)
            self.outputs[key] = []
        bad = any(value is None or abs(value) > 1e38 for value in record["x"])
        if bad or (key not in self.streams and len(self.streams) == self.max_streams):
            error = [(record["seq"], None)] if self.on_error == "report" else []
            return before + error + (self.close(key) if record.get("end") else [])
        if key not in self.streams:
            self.streams[key], self.outputs[key] = self.model.stream(), []
        y = self.streams[key].step(np.float32(record["x"]))
        if y is None:
            return before + (self.close(key) if record.get("end") else [])
        self.outputs[key].append(y)
        now = [(record["seq"], y)] if self.goes_out(self.outputs[key], record.get("end")) else []
        if self.emit == "last":
            self.held[key] = origin, record["seq"], y
        if record.get("end"):
            self.held.pop(key, None)  # it goes out now
            self.close(key)
        return before + now

    def goes_out(self, outputs, ends):
        """Whether the latest output of a sequence goes out."""
        if self.emit == "every":
            return True
        if self.emit == "3":
            return len(outputs) % 3 == 0
        if self.emit == "change":
            return len(outputs) == 1 or np.argmax(outputs[-1]) != np.argmax(outputs[-2])
        if self.emit == "above=0.4":
            return any(value >= 0.4 for value in outputs[-1].tolist())
        assert self.emit == "last"
        return bool(ends)

    def release(self, key):
        """The prediction of a stream that was held back."""
        return [self.held.pop(key)[1:]] if key in self.held else []

    def close(self, key):
        """A stream has ended."""
        self.streams.pop(key, None)
        self.outputs.pop(key, None)
        return self.release(key)

    def end(self, origin):
        """An origin has ended."""
        answers = self.close(("own", origin))
        if not self.shared:  # nobody will be there to get it later
            for key in [key for key, held in self.held.items() if held[0] == origin]:
                answers += self.release(key)
        return answers

    def finish(self):
        """Everything has ended."""
        return [answer for key in list(self.held) for answer in self.release(key)]


def session(rng, n_records):
    """Records of all kinds, and the origins they come from."""
    for seq in range(n_records):
        x = rng.integers(-500, 500, N_IN) / 128
        record = {"x": x.tolist(), "seq": seq}
        if rng.random() < 0.7:
            record["id"] = ["a", "b", 1, "1", -3][rng.integers(5)]
        for flag, p in (("start", 0.05), ("reset", 0.05), ("end", 0.1)):
            if rng.random() < p:
                record[flag] = True
        if rng.random() < 0.1:
            record["x"][rng.integers(N_IN)] = [None, 1e39, -1e39][rng.integers(3)]
        yield f"origin {rng.integers(3)}", record


def answers(items):
    """(seq, y or None) of everything in some items."""
    lines = parsed(b"".join(item.data for item in items))
    return [(line["seq"], None if "error" in line else np.float32(line["y"])) for line in lines]


def assert_same(got, expected):
    assert [seq for seq, _ in got] == [seq for seq, _ in expected]
    for (seq, y), (_, wanted) in zip(got, expected, strict=True):
        assert (y is None) == (wanted is None), seq
        if y is not None:
            np.testing.assert_array_equal(y, wanted, err_msg=f"seq {seq}")


EMITS = ["every", "3", "change", "above=0.4", "last"]


@pytest.mark.parametrize("emit", EMITS)
@pytest.mark.parametrize("shared", [True, False])
def test_random_sessions_of_a_network_that_answers_late(rng, emit, shared):
    """A record without an answer is none that was refused; and the last answer is that before it."""
    layers = (Conv1d(name="conv", n_out=4, size=3, stride=2, before=1), Softmax(name="p"))
    spec = spec_of(*layers, n_in=N_IN)
    late = Model(spec, {"conv.weight": uniform(rng, 4, 3 * N_IN, bound=0.3)})
    test_random_sessions(late, rng, emit, "report", 100, shared)
    tested = engine(late)
    taken = tested.take(Batch("o", bare(numbers(1)), end="clean"), False)
    assert (taken.items, taken.outcome, taken.records) == ([], Outcome.DONE, 1)
    assert (tested.counts.records, tested.counts.predictions, tested.counts.errors) == (1, 0, 0)


@pytest.mark.parametrize("emit", EMITS)
@pytest.mark.parametrize("on_error", ["report", "skip"])
@pytest.mark.parametrize(("max_streams", "shared"), [(4, True), (100, True), (100, False)])
def test_random_sessions(model, rng, emit, on_error, max_streams, shared):
    tested = engine(model, emit=emit, on_error=on_error, max_streams=max_streams, shared=shared)
    reference = Reference(model, emit, on_error, max_streams, shared)
    got, expected = [], []
    blocks = {}  # by origin, what has not been sent yet
    for origin, record in session(rng, 1500):
        blocks.setdefault(origin, []).append(record)
        chance = rng.random()
        if chance < 0.1:
            block = blocks.pop(origin)
            ends = "cut" if chance < 0.02 else ""
            got += answers(tested.take(Batch(origin, objects(block), end=ends), False).items)
            for own in block:
                expected += reference.record(origin, own)
            expected += reference.end(origin) if ends else []
            assert tested.counts.streams == len(reference.streams)
    got += answers(tested.finish())
    expected += reference.finish()
    assert_same(got, expected)
    assert any(y is not None for _, y in got)


def test_every_split_of_the_bytes_gives_the_same_items(model, rng):
    records = [record for _, record in session(rng, 12)]
    data = objects(records)[:-1] + b"\nx\n[1,2]\n" + bare(numbers(2))
    whole = b"".join(item.data for item in engine(model).take(Batch("o", data, end="clean"), False).items)
    for i in range(1, len(data)):
        tested = engine(model)
        halves = tested.take(Batch("o", data[:i]), False), tested.take(Batch("o", data[i:], end="clean"), False)
        assert b"".join(item.data for half in halves for item in half.items) == whole, i


def test_failing_answers_what_came_before_and_nothing_else(model):
    x = numbers(5)
    data = bare(x[:3]) + b"[1,2]\n" + bare(x[3:]) + b"nonsense\n"
    tested = engine(model, on_error="fail")
    taken = tested.take(Batch("here", data), False)
    np.testing.assert_array_equal(support.outputs(taken.items[0].data), model.stream().run(x[:3]))
    assert str(taken.failure) == f"here: line 4: x: expected {N_IN} numbers, got 2"
    assert taken.outcome is Outcome.REFUSED
    assert (tested.counts.records, tested.counts.predictions, tested.counts.errors) == (4, 3, 1)


@pytest.mark.parametrize(("on_error", "outcome"), [("report", Outcome.REFUSED), ("skip", Outcome.SKIPPED)])
def test_the_outcome_of_a_batch(model, on_error, outcome):
    def of(data, whole=True):
        return engine(model, on_error=on_error).take(Batch("o", data), whole).outcome

    assert of(b"[1,2]") is of(b"[1,2]\nbad") is of(b"[1,2]\nbad\n", False) is outcome
    assert of(b"[1,2]\n[1,2,3]") is of(b"[1,2,3]\nbad") is of(b"[1,2,3]") is of(b"") is of(b"\n") is Outcome.DONE


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"[1,null,3]", "x[1]: expected a number, got none"),
        (b"[1,2,1e39]", "x[2]: 1e+39 is too large for float32"),
        (b"[-3.5e38,2,1]", "x[0]: -3.5e+38 is too large for float32"),
        (b"[1,2,1e999]", "Number out of range"),
        (b"[1,NaN,1]", "malformed"),
    ],
)
def test_a_refused_record_leaves_its_stream_alone(model, record, message):
    x = numbers(2)
    taken = engine(model).take(Batch("o", bare(x[:1]) + record + b"\n" + bare(x[1:])), False)
    first, error, last = parsed(taken.items[0].data)
    assert list(error) == ["error"] and message in error["error"] and error["error"].startswith("line 2: ")
    np.testing.assert_array_equal(np.float32([first, last]), model.stream().run(x))


def test_refused_records_open_no_stream(model):
    tested = engine(model)
    tested.take(Batch("o", b'[1,2]\n{"x":[1,2,null],"id":"a"}\n{"x":[1,2,1e39],"id":"b","start":true}\n'), False)
    assert tested.counts.streams == 0


def test_a_full_pool_refuses_and_evicts_nobody(model):
    x = numbers(3)
    tested = engine(model, max_streams=2)

    def step(i, *ids):
        block = objects([{"id": id, "x": x[i].tolist()} for id in ids])
        return parsed(tested.take(Batch("o", block), False).items[0].data)

    step(0, "a", "b")
    answer = step(1, "a", "c", "b", "d")
    assert ["error" in line for line in answer] == [False, True, False, True]
    assert answer[1]["id"] == "c" and "all 2 streams of the pool are open" in answer[1]["error"]
    np.testing.assert_array_equal(np.float32(answer[2]["y"]), model.stream().run(x[:2])[1])
    errors = parsed(tested.take(Batch("other", bare(x[:2])), False).items[0].data)
    assert all("streams of the pool" in line["error"] for line in errors)
    tested.take(Batch("o", objects([{"id": "a", "x": x[2].tolist(), "end": True}])), False)
    np.testing.assert_array_equal(np.float32(step(0, "c")[0]["y"]), model.stream().step(x[0]))


def test_an_origin_whose_name_is_no_text(model):
    x = numbers(2)
    taken = engine(model).take(Batch("\udcff.ndjson", bare(x), end="clean"), False)
    np.testing.assert_array_equal(support.outputs(taken.items[0].data), model.stream().run(x))


def test_an_id_can_never_be_the_stream_of_an_origin(model):
    x = numbers(2)
    tested = engine(model)
    tested.take(Batch("o", bare(x[:1])), False)
    answer = parsed(tested.take(Batch("p", objects([{"id": "o", "x": x[1].tolist()}])), False).items[0].data)
    np.testing.assert_array_equal(np.float32(answer[0]["y"]), model.stream().step(x[1]))


def test_a_sink_of_messages_gets_one_item_for_each(model):
    message = objects([{"id": "a", "x": [1, 2, 3]}, {"x": [1, 2, 3]}])
    items = engine(model, single=True).take(Batch("o", message), True).items
    assert [(item.origin, item.id) for item in items] == [("o", "a"), ("o", "")]
    assert all(b"\n" not in item.data for item in items)


@pytest.mark.parametrize(("shared", "headers"), [(True, 1), (False, 2)])
def test_headers_go_out_once_per_place(model, shared, headers):
    tested = engine(model, CsvCodec, shared=shared)
    out = b""
    for origin in ("p", "q", "p", "q"):
        header = b"id,a,b,c\n" if origin not in tested._decoders else b""
        out += b"".join(item.data for item in tested.take(Batch(origin, header + b"s,1,2,3\n"), False).items)
    assert out.count(b"id,t,seq") == headers


@pytest.mark.parametrize("emit", ["3", "change", "last"])
def test_nothing_is_kept_of_origins_that_have_ended(model, emit):
    tested = engine(model, shared=False, emit=emit)
    for i in range(50):
        tested.take(Batch(f"o{i}", bare(numbers(4)) + b"[1,", end="cut"), False)
        tested.take(Batch(f"m{i}", objects([{"id": "a", "x": [1, 2, 3], "end": True}])), True)
    assert (tested._decoders, tested._encoders, tested._held, tested._emit._memory) == ({}, {}, {}, {})
    assert tested.counts.streams == 0


@pytest.mark.parametrize(("emit", "expected"), [("3", [2, 6]), ("change", [0, 4]), ("last", [3, 7])])
@pytest.mark.parametrize("how", ["end", "start", "refused end", "refused start", "connection"])
def test_a_stream_that_begins_again_counts_from_its_start(model, emit, expected, how):
    """Four steps, twice: what was counted, compared or held of the first four has nothing to do with the rest."""
    x = np.repeat(numbers(1), 4, 0)
    y = model.stream().run(x)
    assert len(set(y.argmax(1).tolist())) == 1  # so that only a beginning is a change
    id = {} if how == "connection" else {"id": "a"}
    records = [id | {"seq": seq, "x": x[0].tolist()} for seq in range(8)]
    first, second = records[:4], records[4:]
    if how == "end":
        first[-1]["end"] = True
    elif how == "start":
        second[0]["start"] = True
    elif how != "connection":
        second.insert(0, {"id": "a", "x": [1, 2, None], how.split()[1]: True})
    tested = engine(model, emit=emit, on_error="skip")
    items = tested.take(Batch("o", objects(first), end="clean" if how == "connection" else ""), False).items
    items += tested.take(Batch("o", objects(second)), False).items + tested.finish()
    assert_same(answers(items), [(seq, y[seq % 4]) for seq in expected])


def test_named_outputs_of_the_model(tmp_path):
    outputs = (
        Output(name="speed", stop=1, factor=3.6, offset=-1.0, unit="km/h"),
        Output(name="move", start=1, labels=("x", "y", "z")),
    )
    model = support.write_model(tmp_path / "m", outputs, softmax=False)
    x = numbers(20)
    data = objects([{"x": row.tolist()} for row in x])
    lines = parsed(engine(model).take(Batch("o", data), False).items[0].data)
    for line, y in zip(lines, model.stream().run(x), strict=True):
        assert list(line) == ["speed", "move", "label"]
        assert line["speed"] == pytest.approx(float(y[0]) * 3.6 - 1, rel=1e-8, abs=1e-8)
        np.testing.assert_array_equal(np.float32(line["move"]), y[1:])
        assert line["label"] == "xyz"[int(y[1:].argmax())]


def test_emit_looks_at_the_labelled_output(tmp_path):
    outputs = (Output(name="speed", stop=1), Output(name="move", start=1, labels=("x", "y", "z")))
    model = support.write_model(tmp_path / "m", outputs, softmax=False)
    x = numbers(200)
    data = objects([{"x": row.tolist(), "seq": i} for i, row in enumerate(x)])
    lines = parsed(engine(model, emit="change").take(Batch("o", data), False).items[0].data)
    best = model.stream().run(x)[:, 1:].argmax(1)
    assert [line["seq"] for line in lines] == [0, *(np.flatnonzero(np.diff(best)) + 1).tolist()]


def test_tokens(tmp_path, rng):
    inputs = (Input(name="word", kind="token", vocab=5),)
    tensors = gru_tensors(rng, "gru", 4, 6) | {
        "table.weight": uniform(rng, 5, 4), "head.weight": uniform(rng, 2, 6), "head.bias": uniform(rng, 2),
    }  # fmt: skip
    layers = Embedding(name="table", n_out=4), Gru(name="gru", n_hid=6), Dense(name="head", n_out=2)
    native.write(tmp_path / "m", spec_of(*layers, inputs=inputs), tensors)
    model = load(tmp_path / "m")
    lines = parsed(engine(model).take(Batch("o", b"[0]\n[4]\n[5]\n[-1]\n[1.5]\n[1e39]\n[2]\n"), False).items[0].data)
    np.testing.assert_array_equal(np.float32([lines[0], lines[1], lines[6]]), model.stream().run([[0], [4], [2]]))
    for line, value in zip(lines[2:5], ("5", "-1", "1.5"), strict=True):
        assert f"x[0]: expected a token of 'word', an integer in [0, 5), got {value}" in line["error"]
    assert "error" in lines[5]


def test_float64_takes_what_float32_cannot(tmp_path):
    support.write_model(tmp_path / "m")
    model = load(tmp_path / "m", dtype="float64")
    x = [1e39, 1.0, 1e-300]
    line = json.loads(engine(model).take(Batch("o", json.dumps(x).encode()), True).items[0].data)
    np.testing.assert_array_equal(line, model.stream().step(np.array(x)))
