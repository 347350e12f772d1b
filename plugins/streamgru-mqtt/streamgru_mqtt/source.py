"""The source: each MQTT message is one batch, acknowledged when the pipeline is through with it."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar, Literal, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.subscribeoptions import SubscribeOptions
from streamgru.adapters import Batch, Inbox, Outcome, Source, Token
from streamgru.errors import AdapterError, NotConnected

from streamgru_mqtt.connection import Connection
from streamgru_mqtt.options import SourceOptions, address, check_filter

_MOST = 65_535  # messages that can be unacknowledged at a time: there are no more identifiers


class _Arrived(NamedTuple):
    topic: str
    data: bytes
    mid: int  # 0: nothing to acknowledge


class MqttSource(Source[SourceOptions]):
    """Messages of an MQTT broker.

    A batch's origin is the topic. Messages of qos 1 are acknowledged to the broker by :meth:`ack`, in
    the order in which they came, as MQTT asks for; what was not acknowledged comes again, to this
    process when it opens again, or to the next one if *client_id* names the session.

    Attributes
    ----------
    dropped : int
        Messages of qos 0 that were lost because too many of them waited to be read.
    """

    options_type = SourceOptions
    framing: Literal["stream", "message"] = "message"
    scheme: ClassVar[Literal["mqtt", "mqtts"]] = "mqtt"

    def __init__(self, rest: str, options: SourceOptions) -> None:
        super().__init__(rest, options)
        self._address = address(rest, options, self.scheme, "TOPIC/FILTER")
        self._shown = self._address.shown
        check_filter(self._address.path, self.scheme)
        self.replays = bool(options.qos and options.session_s and options.client_id)
        self.dropped = 0
        # Our number for a message means nothing to another process, so no two may share a partition.
        self._partition = secrets.token_hex(8)
        self._client_id = options.client_id or f"streamgru-{self._partition}"
        self._position = 0
        # Of qos 1 no more is received while *inflight* messages wait to be read (Mosquitto 2.0 sends more than
        # our receive maximum allows); qos 0 has its own bound. So the inbox cannot be full.
        self._inbox: Inbox[_Arrived] = Inbox(options.queue + _MOST, "drop_newest")
        self._n_put = self._n_got = 0  # messages of qos 0
        self._n_put_1 = self._n_got_1 = 0  # messages of qos 1
        self._unacked: dict[int, int] = {}  # position -> mid on this connection, in order
        self._acked: set[int] = set()  # of those, the ones that wait for an earlier one
        self._subscribed = False
        self._closed = True
        self._is_open = False
        self._connection: Connection | None = None

    async def open(self) -> None:
        """Connect and, where the broker has no session with our subscription, subscribe."""
        await self._leave()
        self._inbox.bind()
        self._closed = self._is_open = False
        self._unacked.clear()  # an identifier of an earlier connection may now belong to another message
        self._acked.clear()
        self._n_put = self._n_got = self._n_put_1 = self._n_got_1 = 0
        options = self.options
        connection = self._connection = Connection(
            self._address,
            options,
            self._client_id,
            self._inbox.fail,
            session_s=options.session_s if options.qos else 0,
            full=lambda: self._is_open and self._n_put_1 - self._n_got_1 >= options.inflight,
            ReceiveMaximum=options.inflight,
            MaximumPacketSize=options.max_bytes,
        )
        connection.client.on_message = self._arrived
        try:
            hello = await connection.open()
            # At first always, as an earlier process may have left a session with another filter.
            if not (self._subscribed and hello.session_present):
                await self._subscribe(connection)
        except BaseException:
            connection.stop()
            raise
        self._is_open = True  # before, the answer to the subscription may stand behind any number of messages

    async def read(self) -> Batch:
        """Wait for the next message."""
        topic, data, mid = await self._inbox.get()
        self._position += 1
        if mid:
            self._unacked[self._position] = mid
            self._n_got_1 += 1
        else:
            self._n_got += 1
        return Batch(topic, data, Token(self._partition, self._position))

    async def ack(self, token: Token, outcome: Outcome) -> None:
        """Let the broker forget a message, whatever became of it; nothing if it came on an earlier connection."""
        if self._connection is None or token.partition != self._partition or token.position not in self._unacked:
            return
        self._acked.add(token.position)
        while self._unacked and (first := next(iter(self._unacked))) in self._acked:
            self._acked.remove(first)
            self._connection.client.ack(self._unacked.pop(first), 1)

    async def close(self) -> None:
        """Disconnect; the broker keeps the session only if *client_id* names it."""
        self._closed = True
        self._inbox.close()
        await self._leave(forget=not self.options.client_id)

    async def _subscribe(self, connection: Connection) -> None:
        wanted = self.options.qos
        if self.options.retained == "skip":
            retained = SubscribeOptions.RETAIN_DO_NOT_SEND
        else:
            retained = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
        granted = await connection.subscribe(self._address.path, SubscribeOptions(wanted, retainHandling=retained))
        if granted < wanted:
            raise AdapterError(f"{self._shown}: expected qos {wanted}, the broker grants only qos {granted}")
        self._subscribed = True

    async def _leave(self, forget: bool = False) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close(forget)

    def _arrived(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        """Take a message, on the connection's thread."""
        if message.qos == 0:
            if self._n_put - self._n_got >= self.options.queue:
                self.dropped += 1
                return
            self._n_put += 1
        else:
            self._n_put_1 += 1
        arrived = _Arrived(message.topic, bytes(message.payload), message.mid if message.qos else 0)
        if not self._inbox.put(arrived) and not self._closed:
            raise NotConnected(f"{self._shown}: it sends more than {self.options.inflight} messages unacknowledged")


class MqttsSource(MqttSource):
    """Messages of an MQTT broker, over TLS."""

    scheme = "mqtts"
