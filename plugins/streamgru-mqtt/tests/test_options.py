"""What a URI may say, and what is said when it is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from streamgru.adapters.registry import make_sink, make_source
from streamgru.errors import OptionError

from streamgru_mqtt import MqttSink, MqttSource, MqttsSink, MqttsSource

SECRET = "hush-hush"


def test_schemes() -> None:
    assert type(make_source("mqtt://h/a")) is MqttSource
    assert type(make_source("mqtts://h/a")) is MqttsSource
    assert type(make_sink("mqtt://h/a")) is MqttSink
    assert type(make_sink("mqtts://h/a")) is MqttsSink


@pytest.mark.parametrize(
    ("uri", "host", "port", "path"),
    [
        ("mqtt://h/a/+/#", "h", 1883, "a/+/#"),
        ("mqtts://h/a", "h", 8883, "a"),
        ("mqtt://h:99//a/", "h", 99, "/a/"),
        ("mqtt://[::1]:99/%3F%25", "::1", 99, "?%"),
        ("mqtt://h/$share/g/a", "h", 1883, "$share/g/a"),
        ("mqtt://h/caf%C3%A9", "h", 1883, "caf\u00e9"),
    ],
)
def test_places(uri: str, host: str, port: int, path: str) -> None:
    assert make_source(uri)._address[:3] == (host, port, path)


@pytest.mark.parametrize(
    "uri",
    ["mqtt://ann:%40:x@h/a", "mqtt://ann@h/a?password=%40:x", "mqtt://h/a?username=ann&password=${MQTT_PW}"],
)
def test_credentials(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_PW", "@:x")
    address = make_source(uri)._address
    assert (address.username, address.password) == ("ann", "@:x")


@pytest.mark.parametrize(
    ("query", "replays"),
    [("", False), ("?client_id=a", True), ("?client_id=a&qos=0", False), ("?client_id=a&session_s=0", False)],
)
def test_what_replays(query: str, replays: bool) -> None:
    assert make_source(f"mqtt://h/a{query}").replays is replays


BOTH = [
    ("mqtt:", "expected mqtt://"),
    ("mqtt:h/a", "expected mqtt://"),
    ("mqtt:///a", "expected mqtt://"),
    ("mqtt://h", "TOPIC"),
    ("mqtt://h/", "TOPIC"),
    ("mqtt://h,i/a", "expected mqtt://"),
    ("mqtt://h..i/a", "expected mqtt://"),
    ("mqtt://h:0/a", "1 to 65535"),
    ("mqtt://h:65536/a", "expected mqtt://"),
    ("mqtt://h/a%00", "NUL"),
    ("mqtt://h/" + "x" * 65_536, "65535 bytes"),
    ("mqtt://h/a#b", "#"),
    ("mqtt://h/a/#/b", "#"),
    ("mqtt://h/a+", r"\+"),
    ("mqtt://h/a?qos=3", "qos"),
    ("mqtt://h/a?qos=x", "qos"),
    ("mqtt://h/a?keepalive_s=0", "keepalive_s"),
    ("mqtt://h/a?connect_timeout_s=0", "connect_timeout_s"),
    ("mqtt://h/a?inflight=0", "inflight"),
    ("mqtt://h/a?no_such=1", "no_such"),
    ("mqtt://h/a?ca_file=x", "mqtts"),
    ("mqtts://h/a?key_file=x", "cert_file"),
    (f"mqtt://h/a?password={SECRET}", "username"),
    (f"mqtt://ann:{SECRET}@h/a?password={SECRET}", "one password"),
    (f"mqtt://ann:{SECRET}@h/a?password_file=x", "one password"),
    (f"mqtt://ann:{SECRET}@h/a?username=bob", "one username"),
    (f"mqtt://ann:{SECRET}@h", "TOPIC"),
    (f"mqtt://ann:{SECRET}%2F@h/a", "expected mqtt://"),
    (f"mqtt://ann:%2F{SECRET}@h/a", "expected mqtt://"),
    (f"mqtt:ann:{SECRET}@h/a", "expected mqtt://"),
]


@pytest.mark.parametrize(
    ("make", "uri", "said"),
    [
        *((make, uri, said) for make in (make_source, make_sink) for uri, said in BOTH),
        (make_source, "mqtt://h/a?qos=2", "qos"),
        (make_source, "mqtt://h/a?retained=maybe", "retained"),
        (make_source, "mqtt://h/a?max_bytes=10", "max_bytes"),
        (make_source, "mqtt://h/a?retain=true", "retain"),
        (make_sink, "mqtt://h/a/+", "without"),
        (make_sink, "mqtt://h/a/#", "without"),
        (make_sink, "mqtt://h/{id}" + "x" * 64_600, "65535 bytes"),
        (make_sink, "mqtt://h/a?retain=maybe", "retain"),
    ],
)
def test_refusals(make: Any, uri: str, said: str) -> None:
    with pytest.raises(OptionError, match=said) as caught:
        make(uri)
    assert SECRET not in str(caught.value)


def test_options_do_not_show_the_password() -> None:
    for make in (make_source, make_sink):
        assert SECRET not in repr(make(f"mqtt://h/a?username=ann&password={SECRET}").options)
