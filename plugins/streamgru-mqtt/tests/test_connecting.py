"""Who is let in, and by whom."""

from __future__ import annotations

import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from mqtt_peers import Broker, NewBroker, data, fake_broker, free_port, read, run
from streamgru.adapters import Item
from streamgru.adapters.registry import make_sink, make_source
from streamgru.errors import AdapterError, NotConnected

from streamgru_mqtt import MqttSink


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
