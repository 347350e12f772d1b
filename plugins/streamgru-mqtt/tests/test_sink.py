"""What is sent, and what happens when it is refused."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from mqtt_peers import NUMBERS, Broker, NewBroker, Peer, run
from streamgru.adapters import Item
from streamgru.adapters.registry import make_sink
from streamgru.errors import AdapterError, NotConnected


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
        refused = await sink.write([Item("", "", bytes(1000)), Item("", "", b"small")])
        await sink.flush()
        assert list(refused) == [0]
        assert "up to 1000 bytes" in refused[0]
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
