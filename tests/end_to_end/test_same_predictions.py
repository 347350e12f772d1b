"""``streamgru run``, fed by another process over every built-in transport, answers as ``stream.run`` does."""

import socket
import threading

import numpy as np
import pytest

from tests import support
from tests.support import bare, by_stream, exchange, interleaved, numbers, objects, outputs, parsed

TRANSPORTS = ("stdin", "file", "tcp", "unix", "tcp+listen", "unix+listen")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("model") / "m.safetensors"


@pytest.fixture(scope="module")
def model(file):
    return support.write_model(file)


@pytest.fixture(scope="module")
def listening(file, model):
    """One listener for everything that needs no options."""
    with support.listener(file) as running:
        yield running.address()


def carried(transport, tmp_path, file, data, *arguments):
    """What comes out when *data* goes in by a transport."""
    if transport == "stdin":
        return well(support.streamgru("run", file, *arguments, stdin=data)).stdout
    if transport == "file":
        (tmp_path / "in").write_bytes(data)
        uris = "--from", tmp_path / "in", "--to", f"file:{tmp_path / 'out'}"
        finished = well(support.streamgru("run", file, *uris, *arguments))
        assert finished.stdout == b"", "with --to file: nothing goes to stdout"
        return (tmp_path / "out").read_bytes()
    if transport in ("tcp", "unix"):
        path = tmp_path / "s" if transport == "unix" else None
        with support.server(path, lambda connection: connection.sendall(data)) as uri:
            return well(support.streamgru("run", file, "--from", uri, *arguments)).stdout
    rest = "//127.0.0.1:0" if transport == "tcp+listen" else tmp_path / "s"
    with support.listener(file, f"{transport}:{rest}", *arguments) as running:
        return exchange(running.address(), data)


def well(finished):
    assert finished.returncode == 0, finished.stderr
    return finished


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_one_stream_of_bare_arrays(transport, tmp_path, file, model):
    x = numbers(300)
    y = outputs(carried(transport, tmp_path, file, bare(x)))
    np.testing.assert_array_equal(y, model.stream().run(x))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_thousand_interleaved_streams(transport, tmp_path, file, model):
    records, expected = interleaved(model, 1000, 5)
    answers = by_stream(parsed(carried(transport, tmp_path, file, objects(records))))
    assert answers.keys() == expected.keys()
    for id, y in expected.items():
        np.testing.assert_array_equal(answers[id], y, err_msg=f"stream {id}")


@pytest.mark.parametrize("transport", ["stdin", "tcp+listen"])
def test_raw(transport, tmp_path, file, model):
    x = numbers(300)
    answer = carried(transport, tmp_path, file, x.astype("<f4").tobytes(), "--codec", "raw")
    np.testing.assert_array_equal(np.frombuffer(answer, "<f4").reshape(-1, support.N_OUT), model.stream().run(x))


@pytest.mark.parametrize("transport", ["file", "unix"])
def test_csv(transport, tmp_path, file, model):
    x = numbers(300)
    lines = "".join(",".join(map(repr, row)) + "\n" for row in x.tolist()).encode()
    answer = carried(transport, tmp_path, file, lines, "--codec", "csv")
    y = np.array([line.split(b",") for line in answer.splitlines()], np.float32)
    np.testing.assert_array_equal(y, model.stream().run(x))


def test_the_codec_follows_from_the_name_of_the_file(tmp_path, file, model):
    x = numbers(20)
    (tmp_path / "x.f32").write_bytes(x.tobytes())
    well(support.streamgru("run", file, "--from", tmp_path / "x.f32", "--to", f"file:{tmp_path / 'y.csv'}"))
    y = np.array([line.split(",") for line in (tmp_path / "y.csv").read_text().splitlines()], np.float32)
    np.testing.assert_array_equal(y, model.stream().run(x))


def test_udp_answers_every_datagram_to_its_sender(file, model):
    records, expected = interleaved(model, 1000, 2)
    x = numbers(50)
    with (
        support.listener(file, "udp+listen://127.0.0.1:0") as running,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        for connection in (one, other):
            connection.settimeout(10)
            connection.connect(running.address())
        answers = [asked(one, objects([record])) for record in records]
        bare_answers = [[asked(one, bare(row[None])), asked(other, bare(row[None]))] for row in x]
    got = by_stream(parsed(b"\n".join(answers)))
    for id, y in expected.items():
        np.testing.assert_array_equal(got[id], y, err_msg=f"stream {id}")
    for mine in zip(*bare_answers, strict=True):
        np.testing.assert_array_equal(outputs(b"\n".join(mine)), model.stream().run(x))


def asked(connection, datagram):
    connection.send(datagram.rstrip(b"\n"))
    return connection.recv(1 << 16)


def test_clients_without_ids_share_nothing(listening, model):
    mine, yours = numbers(200, seed=1), numbers(200, seed=2)
    answers = {}

    def client(name, x):
        answers[name] = exchange(listening, *[bare(row[None]) for row in x])

    threads = [threading.Thread(target=client, args=item) for item in (("mine", mine), ("yours", yours))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(outputs(answers["mine"]), model.stream().run(mine))
    np.testing.assert_array_equal(outputs(answers["yours"]), model.stream().run(yours))


def test_a_stream_of_a_client_without_ids_ends_with_it(listening, model):
    x = numbers(10)
    for _ in range(3):
        np.testing.assert_array_equal(outputs(exchange(listening, bare(x))), model.stream().run(x))


def test_one_id_from_two_clients_is_one_stream(listening, model):
    x = numbers(40)
    answers = []
    with support.connected(listening) as one, support.connected(listening) as other:
        for i, row in enumerate(x):
            client = (one, other)[i % 2]
            client.sendall(objects([{"id": "shared", "x": row.tolist()}]))
            answers += parsed(client.recv(1 << 16))
    np.testing.assert_array_equal(np.array([a["y"] for a in answers], np.float32), model.stream().run(x))
    later = parsed(exchange(listening, objects([{"id": "shared", "x": x[0].tolist()}])))
    again = model.stream()
    again.run(x)
    np.testing.assert_array_equal(np.float32(later[0]["y"]), again.step(x[0]), "an id outlives its connections")


def test_every_split_of_a_session_gives_the_same_bytes(listening):
    session = (
        objects([{"x": [1, 2, 3], "t": 0.5, "seq": 1}, {"x": [4, 5, 6], "reset": True}]) + b"[1,2]\r\n\n"
        b'{"x":[7,8,"\xff"]}\nnonsense\n[0.5,-0.5,1e-3]'
    )
    whole = exchange(listening, session)
    assert len(whole.splitlines()) == 6
    for i in range(1, len(session)):
        assert exchange(listening, session[:i], session[i:]) == whole, f"split at byte {i}"
    assert exchange(listening, *(session[i : i + 1] for i in range(len(session)))) == whole, "byte by byte"


def test_ping_pong(listening, model):
    """A client that waits for each answer before it sends the next record is never kept waiting."""
    x = numbers(200)
    stream = model.stream()
    with support.connected(listening, timeout_s=5) as connection:
        for row in x:
            connection.sendall(bare(row[None]))
            answer = b""
            while not answer.endswith(b"\n"):
                answer += connection.recv(4096)
            np.testing.assert_array_equal(outputs(answer)[0], stream.step(row))


def test_ping_pong_through_pipes(file, model):
    stream = model.stream()
    with support.Running("run", file, stdin=-1) as running:
        for row in numbers(200):
            running.process.stdin.write(bare(row[None]))
            np.testing.assert_array_equal(outputs(running.process.stdout.readline())[0], stream.step(row))
        running.process.stdin.close()
        assert running.process.wait(10) == 0


def test_half_closing_clients_get_everything_and_then_the_end(listening, model):
    x = numbers(20_000)
    np.testing.assert_array_equal(outputs(exchange(listening, bare(x))), model.stream().run(x))


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_a_sink_that_connects(transport, tmp_path, file, model):
    x, got = numbers(500), []
    with support.server(
        tmp_path / "s" if transport == "unix" else None, lambda connection: got.append(support.rest(connection))
    ) as uri:
        well(support.streamgru("run", file, "--to", uri, stdin=bare(x)))
    np.testing.assert_array_equal(outputs(b"".join(got)), model.stream().run(x))


def test_a_source_that_connects_may_be_answered(file, model):
    x, got = numbers(50), []

    def serve(connection):
        connection.sendall(bare(x))
        lines = connection.makefile("rb")
        got.extend(lines.readline() for _ in x)

    with support.server(serve=serve) as uri:
        well(support.streamgru("run", file, "--from", uri, "--to", "reply:"))
    np.testing.assert_array_equal(outputs(b"".join(got)), model.stream().run(x))
