"""Clients that misbehave: a listener goes on, and nobody else loses a bit."""

import contextlib
import select
import socket
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests import support
from tests.cli.test_bad_input import BAD
from tests.support import bare, connected, exchange, listener, numbers, objects, outputs, parsed


@pytest.fixture(scope="module")
def listening(file, model):
    """One listener for the whole file: whatever a test did to it, the next one finds it well."""
    with listener(file, "tcp+listen://127.0.0.1:0?write_timeout_s=1") as running:
        running.address()
        running.n_idle = n_descriptors(running)
        yield running
        told = running.stderr
        assert running.stop() == 143
        expected = ("listening on", "disconnected: it read nothing")
        assert [line for line in told.splitlines() if not any(text in line for text in expected)] == []


def reset(connection):
    """End a connection at once, with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def deaf(address):
    """A client that has next to no room for answers."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.connect(address)
    return connection


def test_every_bad_record_is_one_error_and_the_stream_goes_on(listening, model):
    x = numbers(len(BAD))
    lines = parsed(
        exchange(
            listening.address(), b"".join(b + b"\n" + bare(row[None]) for b, row in zip(BAD.values(), x, strict=True))
        )
    )
    assert ["error" in line if isinstance(line, dict) else False for line in lines] == [True, False] * len(BAD)
    np.testing.assert_array_equal(np.float32(lines[1::2]), model.stream().run(x))


def test_errors_tell_nothing_about_anybody_else(listening, file):
    errors = [line["error"] for line in parsed(exchange(listening.address(), b"\n".join(BAD.values()) + b"\n"))]
    for text in errors:
        assert len(text) < 400 and str(file) not in text and "Traceback" not in text


def bad_company(address, done):
    """Everything that a bad client may do, again and again."""
    rng = np.random.default_rng(5)
    slow = []
    pieces = bare(numbers(50)) + b'{"id":"mine","x":[1,', b"\n".join(BAD.values()) + b"\n" + rng.bytes(70_000)
    try:
        while not done.is_set():
            with contextlib.suppress(OSError):
                slow.append(deaf(address))
                slow[-1].settimeout(0.05)
                slow[-1].sendall(bare(numbers(20_000)))
            for ending in (reset, socket.socket.close):
                for piece in pieces:
                    connection = connected(address)
                    with contextlib.suppress(OSError):
                        connection.sendall(piece)
                    ending(connection)
    finally:
        for connection in slow:
            connection.close()


def test_a_hundred_good_streams_in_bad_company(listening, model):
    address = listening.address()
    records, expected = support.interleaved(model, 50, 40, ids=lambda k: f"good {k}")
    answers = {}
    with_id = b"".join(objects([record]) for record in records)

    def good(k):
        x = numbers(40, seed=1000 + k)
        answers[k] = x, exchange(address, *(bare(row[None]) for row in x))

    def shared():
        answers["ids"] = exchange(address, *(with_id[i : i + 997] for i in range(0, len(with_id), 997)))

    done = threading.Event()
    bad = [threading.Thread(target=bad_company, args=(address, done)) for _ in range(3)]
    threads = [threading.Thread(target=good, args=(k,)) for k in range(50)] + [threading.Thread(target=shared)]
    for thread in bad + threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    for thread in bad:
        thread.join()
    for k in range(50):
        x, answer = answers[k]
        assert outputs(answer).tobytes() == model.stream().run(x).tobytes(), f"client {k}"
    got = support.by_stream(parsed(answers["ids"]))
    for id, y in expected.items():
        assert got[id].tobytes() == y.tobytes(), id


def test_a_peer_that_vanishes_in_mid_record_loses_only_that(listening, model):
    x = numbers(3)
    with connected(listening.address()) as watcher:
        for i, ending in enumerate((reset, socket.socket.close)):
            with connected(listening.address()) as gone:
                gone.sendall(objects([{"id": f"v{i}", "x": x[0].tolist()}]) + b'{"id":"v%d","x":[9' % i)
                assert gone.recv(1 << 16).endswith(b"\n")
                ending(gone)
            watcher.sendall(objects([{"id": f"v{i}", "x": x[1].tolist()}]))
            (line,) = parsed(watcher.recv(1 << 16))
            np.testing.assert_array_equal(np.float32(line["y"]), model.stream().run(x[:2])[1])


def test_a_torn_record_before_a_half_close_is_answered_by_an_error(listening, model):
    x = numbers(2)
    *good, error = parsed(exchange(listening.address(), bare(x) + b"[1,2,"))
    assert error["error"].startswith("line 3: expected a JSON array")
    np.testing.assert_array_equal(np.float32(good), model.stream().run(x))


def test_reset_in_the_middle_of_an_answer(listening, model):
    for _ in range(5):
        with deaf(listening.address()) as client:
            client.sendall(bare(numbers(5_000)))
            client.recv(100)
            reset(client)
    x = numbers(5)
    np.testing.assert_array_equal(outputs(exchange(listening.address(), bare(x))), model.stream().run(x))


def flood(client, seconds):
    """Send without ever reading, until the other side hangs up; gives whether it did in time."""
    data = b"[1,2,3]\n" * 8192
    client.setblocking(False)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _, writable, _ = select.select([], [client], [], 0.1)
        try:
            if writable:
                client.send(data)
        except BlockingIOError:
            pass
        except OSError:
            return True
    return False


def test_clients_that_never_read_are_dropped_and_take_little_memory(listening, model):
    address = listening.address()
    exchange(address, bare(numbers(20_000)))  # so that the memory of ordinary work is there already
    before = listening.memory()
    clients = [deaf(address) for _ in range(40)]
    dropped = {}
    peak = 0

    def one(k):
        dropped[k] = flood(clients[k], 60)

    threads = [threading.Thread(target=one, args=(k,)) for k in range(len(clients))]
    for thread in threads:
        thread.start()
    x = numbers(100)
    stream = model.stream()
    try:
        with connected(address) as other:
            for row in x:
                other.sendall(bare(row[None]))
                np.testing.assert_array_equal(outputs(other.recv(4096))[0], stream.step(row))
                peak = max(peak, listening.memory() - before)
    finally:
        for thread in threads:
            while thread.is_alive():
                peak = max(peak, listening.memory() - before)
                thread.join(0.05)
        for client in clients:
            client.close()
    assert all(dropped.values()), dropped
    assert peak < len(clients) * (1 << 20) + (16 << 20), f"{peak / 2**20:.0f} MiB"


def test_a_client_that_half_closes_and_never_reads_is_dropped_too(listening):
    eventually(lambda: n_descriptors(listening) == listening.n_idle)
    n_told = listening.stderr.count("it read nothing")
    for n in range(2_000, 200_000, 4_000):  # until the system does not take all answers off the listener's hands
        with deaf(listening.address()) as client:
            with contextlib.suppress(ConnectionError):  # dropped before all of it was sent
                client.sendall(bare(numbers(n)))
                client.shutdown(socket.SHUT_WR)
            eventually(lambda: n_descriptors(listening) == listening.n_idle)
        if listening.stderr.count("it read nothing") > n_told:
            return
    pytest.fail("the system takes everything")


def n_descriptors(running):
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))


def eventually(condition, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_slow_reader_that_does_read_is_kept(listening, model):
    x = numbers(60_000)  # more answers than the system and the listener hold
    answer, missing = [], len(x)

    def send():
        with contextlib.suppress(OSError):  # dropped: the reader tells
            client.sendall(bare(x))

    with deaf(listening.address()) as client:
        sender = threading.Thread(target=send)
        sender.start()
        started = time.monotonic()
        while missing and (piece := client.recv(1 << 14)):
            answer.append(piece)
            missing -= piece.count(b"\n")
            if time.monotonic() - started < 2:  # for longer than the listener would wait for a single byte
                time.sleep(0.005)
        client.shutdown(socket.SHUT_RDWR)  # whatever came, the sender ends
        sender.join()
    answer = b"".join(answer)
    assert not missing, f"dropped after {len(answer)} bytes"
    np.testing.assert_array_equal(outputs(answer), model.stream().run(x))


def test_three_hundred_connections(listening, model):
    x = numbers(300)
    expected = model.stream()
    with contextlib.ExitStack() as closing:
        clients = [closing.enter_context(connected(listening.address())) for _ in range(300)]
        for row in x[:3]:
            y = expected.step(row)
            for client in clients:
                client.sendall(bare(row[None]))
            for client in clients:
                np.testing.assert_array_equal(outputs(client.recv(4096))[0], y)
    eventually(lambda: n_descriptors(listening) == listening.n_idle)


def test_more_clients_than_allowed_are_turned_away(file, model):
    x = numbers(2)
    with listener(file, "tcp+listen://127.0.0.1:0?max_clients=2") as running:
        running.address()
        n_idle = n_descriptors(running)
        with connected(running.address()) as one, connected(running.address()) as two:
            for client in (one, two):
                client.sendall(bare(x[:1]))
                assert len(outputs(client.recv(4096))) == 1
            with connected(running.address()) as three, contextlib.suppress(ConnectionError):
                assert three.recv(1) == b""
            one.sendall(bare(x[1:]))
            np.testing.assert_array_equal(outputs(one.recv(4096))[0], model.stream().run(x)[1])
        eventually(lambda: n_descriptors(running) == n_idle)
        assert len(outputs(exchange(running.address(), bare(x)))) == 2


def test_a_full_pool_refuses_clients_and_evicts_nobody(file, model):
    x = numbers(4)
    with listener(file, "tcp+listen://127.0.0.1:0", "--max-streams", "2") as running:
        with connected(running.address()) as one, connected(running.address()) as two:
            for client in (one, two):
                client.sendall(bare(x[:2]))
                assert len(outputs(client.recv(4096))) == 2
            refused = parsed(exchange(running.address(), bare(x)))
            assert [list(line) for line in refused] == [["error"]] * 4
            for client in (one, two):
                client.sendall(bare(x[2:]))
                np.testing.assert_array_equal(outputs(client.recv(4096)), model.stream().run(x)[2:])
        eventually(lambda: b"error" not in exchange(running.address(), bare(x)))
        np.testing.assert_array_equal(outputs(exchange(running.address(), bare(x))), model.stream().run(x))


@pytest.mark.parametrize(("on_error", "n_answers"), [("skip", 2), ("fail", 1)])
def test_the_other_policies_of_a_listener(file, model, on_error, n_answers):
    x = numbers(2)
    with listener(file, "tcp+listen://127.0.0.1:0", "--on-error", on_error) as running:
        answer = exchange(running.address(), bare(x[:1]) + b"nonsense\n" + bare(x[1:]))
        np.testing.assert_array_equal(outputs(answer), model.stream().run(x)[:n_answers])
        if on_error == "fail":
            assert running.process.wait(10) == 1
            assert ": line 2: expected a JSON array" in running.stderr.splitlines()[-1]
