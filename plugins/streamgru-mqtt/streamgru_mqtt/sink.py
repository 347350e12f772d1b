"""The sink: each prediction is one MQTT message."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode
from streamgru.adapters import Item, Sink
from streamgru.errors import AdapterError, NotConnected

from streamgru_mqtt.connection import Connection
from streamgru_mqtt.options import SinkOptions, address, check_topic

_MAX_ID = 1024  # bytes of an id in a topic
_OVERHEAD = 16  # bytes that a PUBLISH has beside topic and payload, at the most


class MqttSink(Sink[SinkOptions]):
    """Predictions as messages to an MQTT broker; ``{id}`` in the topic is the stream's id."""

    options_type = SinkOptions
    framing: Literal["stream", "message"] = "message"
    scheme: ClassVar[Literal["mqtt", "mqtts"]] = "mqtt"

    def __init__(self, rest: str, options: SinkOptions) -> None:
        super().__init__(rest, options)
        self._address = address(rest, options, self.scheme, "TOPIC")
        self._shown = self._address.shown
        # An id takes its longest form here, so that no id can make the topic too long.
        check_topic(self._address.path.replace("{id}", "x" * _MAX_ID), self.scheme)
        self._connection: Connection | None = None
        self._max_packet = 0
        self._window = 0  # how many messages may be under way
        self._n_open = 0  # messages that the broker has not acknowledged
        self._failure: AdapterError | None = NotConnected(f"{self._shown}: not open")
        self._changed = asyncio.Event()

    async def open(self) -> None:
        """Connect."""
        await self._leave()
        self._n_open = 0
        self._failure = None
        self._changed = asyncio.Event()  # of this event loop
        connection = self._connection = Connection(self._address, self.options, self.options.client_id, self._fail)
        connection.client.max_inflight_messages = self.options.inflight
        loop = asyncio.get_running_loop()

        def published(client: paho.Client, userdata: Any, mid: int, reason: ReasonCode, properties: Any) -> None:
            loop.call_soon_threadsafe(self._published, connection, reason)

        connection.client.on_publish = published
        try:
            hello = await connection.open()
        except BaseException:
            connection.stop()
            raise
        self._window = min(self.options.inflight, hello.receive_maximum)  # paho does not look at the latter
        self._max_packet = hello.max_packet

    async def write(self, items: list[Item]) -> dict[int, str]:
        """Send, in order; waits while as many messages are under way as may be."""
        refused = {}
        for number, item in enumerate(items):
            await self._wait(self._window - 1)
            if self._connection is None:
                raise NotConnected(f"{self._shown}: not open")
            topic = topic_of(self._address.path, item)
            size = len(topic.encode()) + len(item.data) + _OVERHEAD
            if size > self._max_packet:
                refused[number] = f"{self._shown}: the broker takes up to {self._max_packet} bytes, got {size}"
                continue
            sent = self._connection.client.publish(topic, item.data, self.options.qos, self.options.retain)
            if sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._n_open += 1
            else:
                self._fail(NotConnected(f"{self._shown}: cannot send: {paho.error_string(sent.rc)}"))
        return refused

    async def flush(self) -> None:
        """Wait until the broker has acknowledged everything; with qos 0, until it is sent."""
        await self._wait(0)

    async def close(self) -> None:
        """Disconnect."""
        self._fail(NotConnected(f"{self._shown}: the sink was closed"))
        await self._leave()

    async def _wait(self, most: int) -> None:
        """Wait until at the most *most* messages are unacknowledged."""
        if self._n_open > most and self._failure is None:
            timeout_s = self.options.flush_timeout_s
            try:
                async with asyncio.timeout(timeout_s):
                    while self._n_open > most and self._failure is None:
                        self._changed.clear()
                        await self._changed.wait()
            except TimeoutError:
                waiting = f"{self._n_open} messages unacknowledged after {timeout_s:g} s"
                self._fail(NotConnected(f"{self._shown}: {waiting}"))
        if self._failure is not None:
            raise self._failure

    def _published(self, connection: Connection, reason: ReasonCode) -> None:
        if connection is self._connection:
            self._n_open -= 1
            if reason.is_failure:
                self._fail(AdapterError(f"{self._shown}: the broker refuses a message: {reason}"))
            self._changed.set()

    def _fail(self, failure: AdapterError) -> None:
        self._failure = self._failure or failure
        self._changed.set()

    async def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


class MqttsSink(MqttSink):
    """Predictions as messages to an MQTT broker, over TLS."""

    scheme = "mqtts"


def topic_of(pattern: str, item: Item) -> str:
    """Give the topic of an item.

    Ids come from strangers, so whatever means something in a topic is percent-encoded: an id is always
    one level, never a wildcard, never ``$SYS``. An item without an id has ``@`` and its origin, a name
    that would be too long is ``=`` and its SHA-256; no other name begins so.
    """
    if "{id}" not in pattern:
        return pattern
    name = quote(item.origin if item.id == "" else str(item.id), safe="", errors="surrogatepass")
    if item.id == "":
        name = "@" + name
    if len(name) > _MAX_ID:
        name = "=" + hashlib.sha256(name.encode()).hexdigest()
    return pattern.replace("{id}", name)
