"""The pipeline from Python, with adapters written against the public contract alone."""

import asyncio
import contextlib
import gc
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from streamgru import Pipeline
from streamgru.adapters.contract import Outcome
from streamgru.adapters.registry import make_sink, make_source
from streamgru.errors import AdapterError, NotConnected, OptionError, RecordError
from streamgru.pipeline.pipeline import with_backoff
from tests import support
from tests.pipeline.lists import ListSink, ListSource, awaited, batches
from tests.support import bare, numbers, objects, outputs, parsed


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return support.write_model(tmp_path_factory.mktemp("model") / "m.safetensors")


def test_a_run(model):
    x = numbers(6)
    log = []
    sink = ListSink(log)
    counts = Pipeline(model, ListSource(batches(bare(x[:2]), bare(x[2:])), log), sink).run()
    np.testing.assert_array_equal(outputs(b"".join(sink.written)), model.stream().run(x))
    assert (counts.records, counts.predictions, counts.errors) == (6, 6, 0)
    happened = [what[:1] + what[2:] if what[0] == "write" else what for what in log]
    assert happened == [
        "open source", "open sink", ("write",), "flush", ("ack", 0, Outcome.DONE),
        ("write",), "flush", ("ack", 1, Outcome.DONE), "close source", "close sink",
    ]  # fmt: skip


def test_it_can_be_awaited_and_leaves_no_task(model):
    x = numbers(4)

    async def two():
        sinks = ListSink(), ListSink()
        before = asyncio.all_tasks()
        await asyncio.gather(*(awaited(Pipeline(model, ListSource(batches(bare(x))), sink)) for sink in sinks))
        assert asyncio.all_tasks() == before
        return sinks

    for sink in asyncio.run(two()):
        np.testing.assert_array_equal(outputs(b"".join(sink.written)), model.stream().run(x))


@pytest.mark.parametrize(
    ("on_error", "expected"),
    [
        ("report", [Outcome.DONE, Outcome.REFUSED, Outcome.DONE, Outcome.DONE]),
        ("skip", [Outcome.DONE, Outcome.SKIPPED, Outcome.DONE, Outcome.DONE]),
    ],
)
def test_acks_come_once_per_batch_in_order_with_their_outcome(model, on_error, expected):
    source = ListSource(batches(b"[1,2,3]\n", b"bad\n", b"[1,2,3]\nbad\n", b""))
    Pipeline(model, source, ListSink(), on_error=on_error).run()
    assert [what for what in source.log if what[0] == "ack"] == [
        ("ack", i, outcome) for i, outcome in enumerate(expected)
    ]


def test_failing_acknowledges_as_refused_after_what_came_before_is_out(model):
    log = []
    source, sink = ListSource(batches(b"[1,2,3]\nbad\n[1,2,3]\n", b"[1,2,3]\n"), log), ListSink(log)
    with pytest.raises(RecordError, match=r"^o: line 2: expected a JSON array"):
        Pipeline(model, source, sink, on_error="fail").run()
    assert len(outputs(b"".join(sink.written))) == 1
    assert log[-4:] == ["flush", ("ack", 0, Outcome.REFUSED), "close source", "close sink"]


def test_a_sink_that_goes_away_is_opened_and_gets_the_same_list_again(model):
    x = numbers(3)
    # calls: 1 open, 2 write and 3 flush of the first batch; 4 write is kept, 5 flush fails, 6 open fails, 7 opens
    failures = {5: NotConnected("gone"), 6: NotConnected("still gone")}
    log = []
    sink = ListSink(log, failures)
    Pipeline(model, ListSource(batches(*(bare(row[None]) for row in x)), log), sink, retry_for_s=3).run()
    one, two, again, three = [what for what in log if what[0] == "write"]
    assert two == again
    np.testing.assert_array_equal(outputs(b"".join(one[1] + two[1] + three[1])), model.stream().run(x))
    done = [("ack", i, Outcome.DONE) for i in range(3)]
    assert [what for what in log if what != "open source"] == [
        "open sink", one, "flush", done[0],
        two, "fail", "fail", "open sink", two, "flush", done[1],
        three, "flush", done[2], "close source", "close sink",
    ]  # fmt: skip


def test_a_sink_that_goes_away_while_it_writes(model):
    log = []
    source = ListSource(batches(b"[1,2,3]\n"), log)
    sink = ListSink(log, {2: NotConnected("gone")})
    Pipeline(model, source, sink, retry_for_s=3).run()
    events = [what[0] if isinstance(what, tuple) else what for what in log]
    assert events[2:] == ["fail", "open sink", "write", "flush", "ack", "close source", "close sink"]
    assert len(sink.written) == 1


def test_a_source_that_goes_away_is_opened_again_and_its_streams_go_on(model):
    x = numbers(4)
    one, two = batches(bare(x[:2]), bare(x[2:]))
    source, sink = ListSource([one, NotConnected("gone"), two]), ListSink()
    Pipeline(model, source, sink).run()
    assert source.log.count("open source") == 2
    np.testing.assert_array_equal(outputs(b"".join(sink.written)), model.stream().run(x))


@pytest.mark.parametrize(
    ("source", "sink", "error"),
    [
        ([AdapterError("broken")], {}, AdapterError),
        ([ValueError("a bug of the adapter")], {}, ValueError),
        (batches(b"[1,2,3]\n"), {2: AdapterError("full")}, AdapterError),
        (batches(b"[1,2,3]\n"), {3: BrokenPipeError()}, BrokenPipeError),
        (batches(b"[1,2,3]\n"), {1: AdapterError("cannot open")}, AdapterError),
        ([], {1: NotConnected("away")}, NotConnected),
    ],
)
def test_both_ends_are_closed_on_every_path(model, source, sink, error):
    log = []
    with pytest.raises(error):
        Pipeline(model, ListSource(source, log), ListSink(log, sink), retry_for_s=0).run()
    assert log[-2:] == ["close source", "close sink"]
    assert not [what for what in log if what[0] == "ack"]


def test_both_ends_are_closed_when_it_is_cancelled(model):
    class Endless(ListSource):
        async def read(self):
            await asyncio.Event().wait()

    log = []

    async def main():
        task = asyncio.create_task(awaited(Pipeline(model, Endless([], log), ListSink(log))))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert log[-2:] == ["close source", "close sink"]


def test_an_end_that_fails_to_close_does_not_keep_the_other_open(model):
    class Stuck(ListSource):
        async def close(self):
            raise OSError("cannot close")

    log = []
    Pipeline(model, Stuck([], log), ListSink(log)).run()
    assert log[-1] == "close sink"


def test_last_predictions_come_at_the_end(model):
    x = numbers(5)
    source = ListSource(batches(objects([{"id": "a", "x": row.tolist()} for row in x])))
    sink = ListSink()
    Pipeline(model, source, sink, emit="last").run()
    assert source.log[1] == ("ack", 0, Outcome.DONE)
    (line,) = parsed(b"".join(sink.written))
    np.testing.assert_array_equal(np.float32(line["y"]), model.stream().run(x)[-1])


def test_a_source_of_messages_and_a_sink_of_messages(model):
    x = numbers(3)
    source = ListSource(batches(*(bare(row[None]).strip() for row in x)), framing="message")
    sink = ListSink(framing="message")
    Pipeline(model, source, sink).run()
    assert len(sink.written) == 3 and not any(piece.endswith(b"\n") for piece in sink.written)
    np.testing.assert_array_equal(outputs(b"\n".join(sink.written)), model.stream().run(x))


def test_files_by_uri_and_by_object(model, tmp_path):
    x = numbers(10)
    (tmp_path / "x").write_bytes(bare(x))
    Pipeline(model, str(tmp_path / "x"), f"file:{tmp_path / 'y'}").run()
    source, sink = make_source(f"file:{tmp_path / 'x'}"), make_sink(f"file:{tmp_path / 'z'}")
    Pipeline(model, source, sink).run()
    assert (tmp_path / "y").read_bytes() == (tmp_path / "z").read_bytes()
    np.testing.assert_array_equal(outputs((tmp_path / "y").read_bytes()), model.stream().run(x))


def test_nothing_is_opened_before_it_runs(model, tmp_path):
    Pipeline(model, str(tmp_path / "missing"), f"file:{tmp_path / 'y'}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "settings",
    [
        {"source": "nothing:"},
        {"source": "stdout:"},
        {"source": ""},
        {"sink": "stdin:"},
        {"sink": "reply:"},  # stdin has no way back
        {"codec": "xml"},
        {"sink_codec": "xml"},
        {"emit": "sometimes"},
        {"source": "tcp://127.0.0.1"},
        {"source": "tcp://127.0.0.1:1?speed=fast"},
        {"source": "tcp://127.0.0.1:1?connect_timeout_s=soon"},
    ],
)
def test_what_cannot_be_right_is_refused_at_once(model, settings):
    with pytest.raises(OptionError):
        Pipeline(model, **settings)


def test_a_server_that_comes_up_later(model, tmp_path):
    x = numbers(20)
    path = tmp_path / "s"

    def serve():
        time.sleep(1)
        with support.server(path, lambda connection: connection.sendall(bare(x))):
            done.wait(10)

    done = threading.Event()
    sink = ListSink()
    thread = threading.Thread(target=serve)
    thread.start()
    started = time.monotonic()
    Pipeline(model, f"unix:{path}", sink, retry_for_s=10).run()
    assert 0.9 < time.monotonic() - started < 5
    done.set()
    thread.join()
    np.testing.assert_array_equal(outputs(b"".join(sink.written)), model.stream().run(x))


def test_a_server_that_never_comes_up(model, tmp_path):
    started = time.monotonic()
    with pytest.raises(NotConnected, match="No such file"):
        Pipeline(model, f"unix:{tmp_path / 's'}", ListSink(), retry_for_s=0.5).run()
    assert 0.4 < time.monotonic() - started < 2


def test_reconnecting_goes_on_with_the_streams_that_have_an_id(model):
    records, expected = support.interleaved(model, 3, 4)
    halves = [objects(records[:6]), objects(records[6:])]
    sink = ListSink()

    def serve(connection):
        if halves:
            connection.sendall(halves.pop(0))

    with support.server(serve=serve) as uri:

        async def main():
            task = asyncio.create_task(awaited(Pipeline(model, f"{uri}?reconnect=true", sink)))
            while len(parsed(b"".join(sink.written))) < len(records):
                await asyncio.sleep(0.01)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        asyncio.run(asyncio.wait_for(main(), 20))
    answers = support.by_stream(parsed(b"".join(sink.written)))
    for id, y in expected.items():
        np.testing.assert_array_equal(answers[id], y)


def test_the_pauses_grow_and_end():
    moments = []

    async def attempt():
        moments.append(time.monotonic())
        raise NotConnected("away")

    with pytest.raises(NotConnected):
        asyncio.run(with_backoff(attempt, 0.5, first_s=0.05))
    pauses = np.diff(moments)
    assert 3 <= len(pauses) <= 8 and pauses[0] < 0.09 and pauses.max() > 0.09


def test_nothing_leaks(model, tmp_path):
    """No descriptor, thread or task, whatever way a run ends."""
    x = bare(numbers(50))
    (tmp_path / "good").write_bytes(x)
    (tmp_path / "bad").write_bytes(x + b"nonsense\n")
    (tmp_path / "directory").mkdir()

    def rounds():
        for source, sink in (("good", "o"), ("bad", "o"), ("missing", "o"), ("good", "missing/o"), ("directory", "o")):
            with contextlib.suppress(AdapterError):
                Pipeline(model, str(tmp_path / source), f"file:{tmp_path / sink}").run()
        with support.server(serve=lambda connection: connection.sendall(x)) as uri:
            Pipeline(model, uri, ListSink()).run()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with pytest.raises(AdapterError, match="Address already in use"):
                Pipeline(model, "tcp+listen://{}:{}".format(*taken.getsockname()), ListSink()).run()
        gc.collect()

    rounds()
    before = len(list(Path("/dev/fd").iterdir())), threading.active_count()
    rounds()
    assert (len(list(Path("/dev/fd").iterdir())), threading.active_count()) == before
