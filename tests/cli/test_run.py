"""``streamgru run``: its options, and that stdout is data and stderr is for people."""

import json
import os

import numpy as np
import pytest

from streamgru.stream.load import load
from tests.cli.shell import Terminal
from tests.support import LABELS, N_OUT, bare, listener, numbers, objects, outputs, parsed, rest, streamgru
from tests.support import connected as connect


def answers(finished):
    assert finished.returncode == 0, finished.stderr
    return parsed(finished.stdout)


@pytest.mark.parametrize("emit", ["3", "change", "above=0.4", "last"])
def test_emit(file, model, emit):
    x = numbers(200)
    y = model.stream().run(x)
    best = y.argmax(1)
    expected = {
        "3": range(2, 200, 3),
        "change": [0, *(np.flatnonzero(np.diff(best)) + 1)],
        "above=0.4": np.flatnonzero((y >= np.float32(0.4)).any(1)),
        "last": [199],
    }[emit]
    got = answers(streamgru("run", file, "--emit", emit, stdin=bare(x)))
    np.testing.assert_array_equal(np.float32(got), y[list(expected)])


def test_last_of_many_streams_comes_when_each_of_them_ends(file, model):
    x = numbers(4)
    records = [{"id": id, "seq": i, "x": row.tolist()} for i, row in enumerate(x) for id in "ab"]
    records[3]["end"] = True  # the second of b
    got = answers(streamgru("run", file, "--emit", "last", stdin=objects(records)))
    y = model.stream().run(x)
    assert [(line["id"], line["seq"]) for line in got] == [("b", 1), ("a", 3), ("b", 3)]
    np.testing.assert_array_equal(np.float32(got[0]["y"]), y[1])
    np.testing.assert_array_equal(np.float32(got[1]["y"]), y[3])
    np.testing.assert_array_equal(np.float32(got[2]["y"]), model.stream().run(x[2:])[1], "b began anew")


def test_control_fields_and_what_is_repeated(file, model):
    x = numbers(6)
    flags = [{}, {"reset": True}, {}, {"end": True}, {}, {"start": True}]
    records = [{"id": 5, "t": i / 4, "seq": i, "x": row.tolist()} | flags[i] for i, row in enumerate(x)]
    got = answers(streamgru("run", file, stdin=objects(records)))
    assert [(line["id"], line["t"], line["seq"]) for line in got] == [(5, i / 4, i) for i in range(6)]
    runs = [model.stream().run(part) for part in (x[:1], x[1:4], x[4:5], x[5:])]
    np.testing.assert_array_equal(np.float32([line["y"] for line in got]), np.concatenate(runs))


def test_labels(labelled_file):
    x = numbers(50)
    got = answers(streamgru("run", labelled_file, stdin=objects([{"x": row.tolist()} for row in x])))
    y = load(labelled_file).stream().run(x)
    assert all(list(line) == ["exercise", "label"] for line in got)
    np.testing.assert_array_equal(np.float32([line["exercise"] for line in got]), y)
    assert [line["label"] for line in got] == [LABELS[i] for i in y.argmax(1)]


def test_one_codec_in_and_another_out(file, model):
    x = numbers(30)
    finished = streamgru("run", file, "--codec", "raw", "--to-codec", "ndjson", stdin=x.tobytes())
    np.testing.assert_array_equal(outputs(finished.stdout), model.stream().run(x))
    finished = streamgru("run", file, "--to-codec", "raw", stdin=bare(x))
    np.testing.assert_array_equal(np.frombuffer(finished.stdout, "<f4").reshape(-1, N_OUT), model.stream().run(x))


def test_csv_with_a_header(file, model):
    x = numbers(3)
    lines = ["id,c0,c1,c2,seq", *(f"k,{a},{b},{c},{i}" for i, (a, b, c) in enumerate(x.tolist()))]
    finished = streamgru("run", file, "--codec", "csv", stdin="\n".join(lines).encode())
    header, *body = [line.split(",") for line in finished.stdout.decode().splitlines()]
    assert header == ["id", "t", "seq", "y0", "y1", "y2", "y3", "error"]
    assert [(row[0], row[2], row[7]) for row in body] == [("k", str(i), "") for i in range(3)]
    np.testing.assert_array_equal(np.float32([row[3:7] for row in body]), model.stream().run(x))


def test_float64(file, model):
    x = numbers(20)
    got = answers(streamgru("run", file, "--dtype", "float64", stdin=bare(x)))
    np.testing.assert_array_equal(got, load(file, dtype="float64").stream().run(x.astype(np.float64)))


def test_nothing_in_nothing_out(file, model):
    finished = streamgru("run", file, stdin=b"")
    assert (finished.returncode, finished.stdout) == (0, b"")


def test_what_is_told_on_stderr(file, model):
    x = bare(numbers(5))
    assert streamgru("run", file, "-q", stdin=x).stderr == b""
    told = streamgru("run", file, "-v", stdin=x).stderr.decode()
    assert "streamgru: 5 records, 5 predictions, 0 errors, 0 dropped, 0 streams open, in " in told
    told = streamgru("run", file, "-v", stdin=bare(numbers(1))).stderr.decode()
    assert "streamgru: 1 record, 1 prediction, 0 errors, " in told


def test_who_types_is_told_what_is_read(file):
    with Terminal("run", file) as terminal:
        terminal.wait_for("reading ndjson records from the terminal; Ctrl-D ends")
        os.write(terminal.master, b"[1, 2, 3]\n\x04")
        assert terminal.end() == 0
        assert "1 prediction," in terminal.output


def test_append_write_and_new(file, model, tmp_path):
    x = bare(numbers(5))
    out = tmp_path / "out"
    sizes = []
    for mode in ("new", "append", "write"):
        assert streamgru("run", file, "--to", f"file:{out}?mode={mode}", stdin=x).returncode == 0
        sizes.append(len(out.read_bytes().splitlines()))
    assert sizes == [5, 10, 5]
    finished = streamgru("run", file, "--to", f"file:{out}?mode=new", stdin=x)
    assert finished.returncode == 1 and b"File exists" in finished.stderr
    assert len(out.read_bytes().splitlines()) == 5


def test_a_listener_may_write_somewhere_else(file, model, tmp_path):
    x = numbers(20)
    out = tmp_path / "out"
    with listener(file, f"unix+listen:{tmp_path / 's'}", "--to", f"file:{out}") as running:
        address = running.address()
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600, "the socket is for its owner alone"
        with connect(address) as client:
            client.sendall(bare(x))
            client.shutdown(1)
            assert rest(client) == b""
        assert running.stop() == 143
    np.testing.assert_array_equal(outputs(out.read_bytes()), model.stream().run(x))
    assert not (tmp_path / "s").exists()


def test_throughput_is_printed(file, model, tmp_path, capsys):
    """No assertion: the machine decides. What a reader of the log wants to know."""
    rng = np.random.default_rng(0)
    lines = [json.dumps(row) + "\n" for row in rng.normal(size=(100_000, 3)).round(4).tolist()]
    (tmp_path / "x").write_text("".join(lines))
    finished = streamgru("run", file, "-v", "--from", tmp_path / "x", "--to", f"file:{tmp_path / 'y'}")
    seconds = float(finished.stderr.decode().split(" in ")[-1].split()[0])
    with capsys.disabled():
        print(f" [{len(lines) / seconds:,.0f} records/s of bare arrays, file to file]", end="")
