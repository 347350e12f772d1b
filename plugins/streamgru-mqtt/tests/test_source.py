"""What arrives, in which order, how often, and what happens when the broker goes away."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from mqtt_peers import NUMBERS, Broker, Peer, data, fake_broker, nothing_comes, read, run
from streamgru.adapters import Outcome, Token
from streamgru.adapters.registry import make_source
from streamgru.errors import AdapterError, EndOfStream, NotConnected


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


def test_what_a_broker_sends_beyond_our_limits_waits() -> None:
    async def main() -> None:
        flood = b"".join(b"\x32\x07\x00\x02in" + mid.to_bytes(2) + b"\x00" for mid in range(1, 100))
        async with fake_broker(bytes.fromhex("2003000000 900400010001") + flood) as port:
            source = make_source(f"mqtt://127.0.0.1:{port}/in?inflight=10&queue=1")
            await source.open()
            await asyncio.sleep(0.2)
            assert [batch.token.position for batch in await read(source, 99, ack=False)] == list(range(1, 100))
            await source.close()

    run(main())
