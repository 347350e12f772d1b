"""What arrives, in which order, how often, and what happens when either end goes away."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mqtt_peers import Broker, Peer, free_port
from streamgru.adapters import Batch, Item, Outcome, Token
from streamgru.adapters.registry import make_sink, make_source
from streamgru.errors import AdapterError, EndOfStream, NotConnected

from streamgru_mqtt import MqttSink

NewBroker = Callable[..., Broker]
NUMBERS = [b"%d" % i for i in range(300)]


def run(main: Awaitable[None]) -> None:
    async def in_time() -> None:
        async with asyncio.timeout(60):
            await main

    asyncio.run(in_time())


async def read(source: Any, count: int, ack: bool = True) -> list[Batch]:
    """Read so many messages."""
    batches = []
    async with asyncio.timeout(10):
        for _ in range(count):
            batches.append(await source.read())
            if ack:
                await source.ack(batches[-1].token, Outcome.DONE)
    return batches


async def nothing_comes(source: Any) -> bool:
    """Nothing comes within a moment."""
    try:
        async with asyncio.timeout(0.3):
            await source.read()
    except TimeoutError:
        return True
    return False


def data(batches: list[Batch]) -> list[bytes]:
    return [batch.data for batch in batches]


@contextlib.asynccontextmanager
async def fake_broker(answer: bytes, stays: bool = True) -> AsyncIterator[int]:
    """Answers whoever comes with the same bytes."""
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.read(100)
        writer.write(answer)
        if not stays:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for writer in writers:
            writer.close()
        server.close()
        await server.wait_closed()


def test_order_and_origin_of_each_topic(broker: Broker) -> None:
    async def main() -> None:
        await broker.start()
        source = make_source(broker.uri("in/+/#"))
        await source.open()
        peer = Peer(broker)
        await asyncio.gather(*(peer.publish(f"in/{topic}/x", *NUMBERS) for topic in "abc"))
        batches = await read(source, 3 * len(NUMBERS))
        assert {batch.origin for batch in batches} == {"in/a/x", "in/b/x", "in/c/x"}
        for topic in "abc":
            assert [batch.data for batch in batches if batch.origin == f"in/{topic}/x"] == NUMBERS
        peer.close()
        await source.close()

    run(main())


def test_hostile_payloads_are_untouched(broker: Broker) -> None:
    payloads = [b"", b"\x00", b"\xff\xfe", b"\r\n", bytes(range(256)), bytes(3_000_000), b"end"]

    async def main() -> None:
        await broker.start()
        source = make_source(broker.uri("in?max_bytes=4000000"))
        await source.open()
        peer = Peer(broker)
        await peer.publish("in", *payloads)
        batches = await read(source, len(payloads))
        assert data(batches) == payloads
        assert all(type(batch.data) is bytes for batch in batches)
        peer.close()
        await source.close()

    run(main())


def test_what_is_bigger_than_allowed_does_not_come(broker: Broker) -> None:
    async def main() -> None:
        await broker.start()
        source = make_source(broker.uri("in?max_bytes=1024"))
        await source.open()
        peer = Peer(broker)
        await peer.publish("in", bytes(2000), b"small")
        assert data(await read(source, 1)) == [b"small"]
        peer.close()
        await source.close()

    run(main())


def test_unacknowledged_comes_again_to_the_next_process(broker: Broker) -> None:
    async def main() -> None:
        await broker.start()
        first, second = (make_source(broker.uri("in?client_id=me")) for _ in range(2))
        assert first.replays
        await first.open()
        peer = Peer(broker)
        await peer.publish("in", b"0", b"1", b"2", b"3")
        await read(first, 2)
        unacked = await read(first, 2, ack=False)
        assert data(unacked) == [b"2", b"3"]
        await first.close()
        await peer.publish("in", b"4")
        await second.open()
        again = await read(second, 3)
        assert data(again) == [b"2", b"3", b"4"]
        assert {batch.token for batch in again}.isdisjoint(batch.token for batch in unacked)
        await second.close()
        await second.open()
        assert await nothing_comes(second)
        await second.close()
        peer.close()

    run(main())


def test_acknowledgements_go_out_in_order(broker: Broker) -> None:
    async def main() -> None:
        await broker.start()
        source = make_source(broker.uri("in?client_id=me"))
        await source.open()
        peer = Peer(broker)
        await peer.publish("in", b"0", b"1", b"2")
        first, second, third = await read(source, 3, ack=False)
        await source.ack(third.token, Outcome.SKIPPED)
        await source.ack(second.token, Outcome.REFUSED)
        await source.close()  # none of them may have gone out, as the first had not
        await source.open()
        assert data(await read(source, 3)) == [b"0", b"1", b"2"]
        await source.ack(first.token, Outcome.DONE)
        await source.ack(Token("else", 1), Outcome.DONE)
        await source.close()
        peer.close()

    run(main())


def test_stale_acknowledgements_are_not_sent(broker: Broker) -> None:
    """An identifier of the old connection may belong to another message on the new one."""

    async def main() -> None:
        await broker.start()
        source = make_source(broker.uri("in?client_id=me"))
        await source.open()
        peer = Peer(broker)
        await peer.publish("in", b"0", b"1")
        old = await read(source, 2, ack=False)
        await source.close()
        await source.open()
        for batch in old:
            await source.ack(batch.token, Outcome.DONE)
        await source.close()
        await source.open()
        assert data(await read(source, 2)) == [b"0", b"1"]
        await source.close()
        peer.close()

    run(main())


def test_without_client_id_the_session_ends_at_close(broker: Broker) -> None:
    async def main() -> None:
        await broker.start()
        source = make_source(broker.uri("in"))
        assert not source.replays
        await source.open()
        peer = Peer(broker)
        await peer.publish("in", b"0")
        await read(source, 1, ack=False)
        await source.close()
        await peer.publish("in", b"1")
        await source.open()
        await peer.publish("in", b"2")
        assert data(await read(source, 1)) == [b"2"]
        await source.close()
        peer.close()

    run(main())


def test_a_broker_that_is_killed_and_comes_back_loses_nothing(broker: Broker) -> None:
    async def main() -> None:
        await broker.start()
        source = make_source(broker.uri("in?client_id=me&inflight=10"))
        await source.open()
        peer = Peer(broker)
        await peer.publish("in", *NUMBERS)
        seen = data(await read(source, 100))
        await broker.save()
        broker.kill()
        peer.close()
        with pytest.raises(NotConnected):
            while True:  # what had come before is read first
                seen += data(await read(source, 1))
        for _ in range(2):
            with pytest.raises(NotConnected, match="refused"):
                await source.open()
        await broker.start()
        await source.open()
        while seen[-1] != NUMBERS[-1] or len(set(seen)) < len(NUMBERS):
            seen += data(await read(source, 1))
        assert sorted(set(seen), key=int) == NUMBERS
        first = [seen.index(number) for number in NUMBERS]
        assert first == sorted(first)
        await source.close()

    run(main())


CHILD = """
import asyncio, os, sys
from streamgru.adapters import Outcome
from streamgru.adapters.registry import make_source

async def main():
    source = make_source(sys.argv[1])
    await source.open()
    seen = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        batch = await source.read()
        os.write(seen, batch.data + b"\\n")
        await source.ack(batch.token, Outcome.DONE)

asyncio.run(main())
"""


def test_kill_9_loses_nothing(broker: Broker, tmp_path: Path) -> None:
    path = tmp_path / "seen"
    path.touch()

    async def main() -> None:
        await broker.start()
        uri = broker.uri("in?client_id=me&inflight=20")
        source = make_source(uri)
        await source.open()  # so that the session is there
        await source.close()
        peer = Peer(broker)
        publishing = asyncio.create_task(peer.publish("in", *NUMBERS))
        for goal in (1, 60, 61, 150, 299, 300):
            child = subprocess.Popen([sys.executable, "-c", CHILD, uri, path])
            while len(set(path.read_bytes().split())) < goal:
                assert child.poll() is None
                await asyncio.sleep(0.001)
            child.kill()
            child.wait()
        await publishing
        peer.close()

    run(main())
    seen = path.read_bytes().split()
    first = [seen.index(number) for number in NUMBERS]
    assert first == sorted(first)


def test_cancelled_reads_lose_nothing(broker: Broker) -> None:
    async def main() -> None:
        await broker.start()
        source = make_source(broker.uri("in"))
        await source.open()
        peer = Peer(broker)
        publishing = asyncio.create_task(peer.publish("in", *NUMBERS))
        seen: list[bytes] = []
        while len(seen) < len(NUMBERS):
            reading = asyncio.create_task(source.read())
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait({reading})
            batch = reading.result() if not reading.cancelled() else (await read(source, 1, ack=False))[0]
            await source.ack(batch.token, Outcome.DONE)
            seen.append(batch.data)
        assert seen == NUMBERS
        await publishing
        peer.close()
        await source.close()

    run(main())


def test_close_wakes_a_read(broker: Broker) -> None:
    async def main() -> None:
        await broker.start()
        source = make_source(broker.uri("in"))
        await source.open()
        reading = asyncio.create_task(source.read())
        await asyncio.sleep(0.05)
        await asyncio.gather(source.close(), source.close())
        with pytest.raises(EndOfStream):
            await reading

    run(main())


@pytest.mark.parametrize(("retained", "expected"), [("accept", [b"old", b"new"]), ("skip", [b"new"])])
def test_retained_messages(broker: Broker, retained: str, expected: list[bytes]) -> None:
    async def main() -> None:
        await broker.start()
        peer = Peer(broker)
        await peer.publish("in", b"old", retain=True)
        source = make_source(broker.uri(f"in?client_id=me&retained={retained}"))
        await source.open()
        await peer.publish("in", b"new")
        assert data(await read(source, len(expected))) == expected
        await source.close()
        await source.open()  # the session is there: no retained message comes again
        assert await nothing_comes(source)
        await source.close()
        peer.close()

    run(main())


def test_qos_0_loses_what_does_not_fit(broker: Broker) -> None:
    async def main() -> None:
        await broker.start()
        source = make_source(broker.uri("in?queue=5&inflight=5"))
        await source.open()
        peer = Peer(broker)
        await peer.publish("in", *NUMBERS[:50], qos=0)
        await peer.publish("in", b"kept", qos=1)
        while source.dropped < 45:
            await asyncio.sleep(0.01)
        batches = await read(source, 6)
        assert data(batches) == [*NUMBERS[:5], b"kept"]
        await source.close()
        peer.close()

    run(main())


def test_another_client_of_the_same_client_id_ends_the_run() -> None:
    """Brokers newer than Mosquitto 2.0.11 tell; coming back would only throw the other one out."""

    async def main() -> None:
        answers = bytes.fromhex("2003000000 900400010001 e0068e041f000178")  # let in, subscribed, session taken over
        async with fake_broker(answers) as port:
            source = make_source(f"mqtt://127.0.0.1:{port}/in?client_id=me")
            await source.open()
            with pytest.raises(AdapterError, match="same client_id 'me'") as caught:
                await source.read()
            assert not isinstance(caught.value, NotConnected)
            await source.close()

    run(main())


def test_a_broker_that_ignores_our_limits_is_left() -> None:
    async def main() -> None:
        flood = b"".join(b"\x32\x07\x00\x02in" + mid.to_bytes(2) + b"\x00" for mid in range(1, 100))
        async with fake_broker(bytes.fromhex("2003000000 900400010001") + flood) as port:
            source = make_source(f"mqtt://127.0.0.1:{port}/in?inflight=10&queue=1")
            await source.open()
            await asyncio.sleep(0.2)
            with pytest.raises(NotConnected, match="more than 10"):
                await read(source, 99, ack=False)
            await source.close()

    run(main())


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_sink_sends_once_in_order_to_the_topic_of_the_id(broker: Broker, qos: int) -> None:
    async def main() -> None:
        await broker.start()
        peer = Peer(broker, "out/#")
        sink = make_sink(broker.uri(f"out/{{id}}/y?qos={qos}&inflight=7"))
        await sink.open()
        ids = ["a", 7, "a/b+#", "$SYS", "", "x" * 5000, "\0\ud800"]
        names = ["a", "7", "a%2Fb%2B%23", "%24SYS", "@in%2F1", None, "%00%ED%A0%80"]
        for number in NUMBERS:
            await sink.write([Item("in/1", id, number) for id in ids])
        await sink.flush()
        came = await peer.wait(len(NUMBERS) * len(ids))
        assert len(came) == len(NUMBERS) * len(ids)
        for name in names:
            pick = f"out/{name}/y" if name else next(topic for topic, _ in came if topic.startswith("out/="))
            assert [payload for topic, payload in came if topic == pick] == NUMBERS
        await sink.close()
        peer.close()

    run(main())


def test_sink_retains(broker: Broker) -> None:
    async def main() -> None:
        await broker.start()
        sink = make_sink(broker.uri("out?retain=true"))
        await sink.open()
        await sink.write([Item("", "", b"1"), Item("", "", b"2")])
        await sink.flush()
        peer = Peer(broker, "out")
        assert await peer.wait(1) == [("out", b"2")]
        peer.close()
        await sink.close()

    run(main())


def test_sink_of_a_silent_broker_gives_up_in_time(broker: Broker) -> None:
    async def main() -> None:
        await broker.start()
        sink = make_sink(broker.uri("out?flush_timeout_s=0.5"))
        await sink.open()
        broker.send(signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(NotConnected, match=r"unacknowledged after 0\.5 s"):
            await sink.write([Item("", "", b"1")])
            await sink.flush()
        assert time.monotonic() - start < 2
        broker.kill()
        with pytest.raises(NotConnected):
            await sink.write([Item("", "", b"1")])
        await broker.start()
        await sink.open()
        await sink.write([Item("", "", b"1")])
        await sink.flush()
        await sink.close()

    run(main())


def test_sink_refuses_what_is_too_big_for_the_broker(new_broker: NewBroker) -> None:
    async def main() -> None:
        broker = new_broker("max_packet_size 1000")
        await broker.start()
        sink = make_sink(broker.uri("out"))
        await sink.open()
        with pytest.raises(AdapterError, match="up to 1000 bytes"):
            await sink.write([Item("", "", bytes(1000))])
        await sink.close()

    run(main())


# With qos 2 paho overlooks the refusal, answers it, and is thrown out for that.
@pytest.mark.parametrize(("qos", "said"), [(1, "refuses a message: Not authorized"), (2, "connection was lost")])
def test_sink_that_may_not_publish(new_broker: NewBroker, tmp_path: Path, qos: int, said: str) -> None:
    async def main() -> None:
        (tmp_path / "acl").write_text("topic read #\n")
        broker = new_broker("allow_anonymous true", f"acl_file {tmp_path}/acl")
        await broker.start()
        sink = make_sink(broker.uri(f"out?qos={qos}"))
        await sink.open()
        with pytest.raises(AdapterError, match=said):
            await sink.write([Item("", "", b"1")])
            await sink.flush()
        await sink.close()

    run(main())


def test_wrong_password(new_broker: NewBroker, tmp_path: Path) -> None:
    async def main() -> None:
        passwords = tmp_path / "passwords"
        passwords.write_text("ann:right%one\n")
        subprocess.run(["mosquitto_passwd", "-U", passwords], check=True, capture_output=True)
        broker = new_broker("allow_anonymous false", f"password_file {passwords}")
        await broker.start()
        for make in (make_source, make_sink):
            wrong = make(broker.uri("in", user="ann:hush-hush@"))
            with pytest.raises(AdapterError, match="Not authorized") as caught:
                await wrong.open()
            assert not isinstance(caught.value, NotConnected)
            assert "hush" not in str(caught.value) + repr(wrong.options)
            await wrong.close()
        (tmp_path / "secret").write_text("right%one\n")
        for uri in (
            broker.uri("in", user="ann:right%25one@"),
            broker.uri("in?username=ann&password=right%25one"),
            broker.uri(f"in?username=ann&password_file={tmp_path}/secret"),
        ):
            right = make_source(uri)
            await right.open()
            await right.close()

    run(main())


@pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning")  # paho leaves a failed handshake to the collector
def test_tls(new_broker: NewBroker, tmp_path: Path) -> None:
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    (tmp_path / "key.pem").chmod(0o644)

    async def main() -> None:
        broker = new_broker(f"certfile {tmp_path}/cert.pem", f"keyfile {tmp_path}/key.pem")
        await broker.start()
        distrustful = make_source(broker.uri("in", "mqtts"))
        with pytest.raises(AdapterError, match="not trusted"):
            await distrustful.open()
        await distrustful.close()
        source = make_source(broker.uri(f"in?ca_file={tmp_path}/cert.pem", "mqtts"))
        sink = make_sink(broker.uri(f"in?ca_file={tmp_path}/cert.pem", "mqtts"))
        await source.open()
        await sink.open()
        await sink.write([Item("", "", bytes(200_000))])
        await sink.flush()
        assert data(await read(source, 1)) == [bytes(200_000)]
        await sink.close()
        await source.close()

    run(main())


def test_one_adapter_in_several_event_loops(broker: Broker) -> None:
    source, sink = make_source(broker.uri("in?client_id=me")), make_sink(broker.uri("in"))

    async def main() -> None:
        await source.open()
        await sink.open()
        await sink.write([Item("", "", b"%d" % number) for number in range(200)])
        await sink.flush()
        assert len(await read(source, 200)) == 200
        await sink.close()
        await source.close()

    run(broker.start())
    run(main())
    run(main())


@pytest.mark.parametrize("make", [make_source, make_sink])
def test_files_that_are_not_there(make: Any) -> None:
    async def main() -> None:
        for query in ("ca_file=/no/file", "username=a&password_file=/no/file"):
            adapter = make(f"mqtts://127.0.0.1:{free_port()}/in?{query}")
            with pytest.raises(AdapterError, match="/no/file"):
                await adapter.open()
            await adapter.close()

    run(main())


GARBAGE = [
    b"",
    b"HTTP/1.1 400 Bad Request\r\n\r\n" * 50,
    bytes(range(256)) * 8,
    b"\x20\xff\xff\xff\xff\x01",  # a length that is too long
    b"\x20\x02\x00\x01",  # a CONNACK of MQTT 3: unacceptable protocol version
    b"\x20\x03\x00\x99\x00",  # a reason that does not exist
    b"\x20\x03\x00\x00\x00\x90\x01\x00",  # let in; then a SUBACK that is cut
    b"\x20\x03\x00\x00\x00\x30\x03\x00\x09x",  # let in; then a PUBLISH whose topic is longer than itself
    b"\x20\x03\x00\x00\x00\xe0\x01\x77",  # let in; then thrown out for a reason that does not exist
    ssl.PROTOCOL_TLS.to_bytes(2) * 9,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("stays", [False, True])
@pytest.mark.parametrize("make", [make_source, make_sink])
def test_a_peer_that_does_not_speak_mqtt(make: Any, garbage: bytes, stays: bool) -> None:
    async def main() -> None:
        timeouts = "connect_timeout_s=0.3" + ("&flush_timeout_s=0.3" if make is make_sink else "")
        async with fake_broker(garbage, stays) as port:
            adapter = make(f"mqtt://127.0.0.1:{port}/in?{timeouts}")
            start = time.monotonic()
            with pytest.raises(AdapterError):
                await adapter.open()
                assert isinstance(adapter, MqttSink)  # it was let in; a source would still be waiting for more
                await adapter.write([Item("", "", b"1")])
                await adapter.flush()
            await adapter.close()
            assert time.monotonic() - start < 5

    run(main())
