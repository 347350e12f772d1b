"""One connection to a broker: paho's client, run by one thread of ours."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions
from streamgru.errors import AdapterError, NotConnected

from streamgru_mqtt.client import Hello, log_in, new_client, properties_of
from streamgru_mqtt.options import Address, BrokerOptions

# Reasons not to let us in that may pass: unspecified, implementation specific, server unavailable,
# server busy, quota exceeded, connection rate exceeded. With any other, trying again is of no use.
_PASSING = {0x80, 0x83, 0x88, 0x89, 0x97, 0x9F}
_TAKEN_OVER = 0x8E
_GOODBYE_S = 1.0  # for what is still to be sent when we leave
_PAUSE_S = 0.005  # between two looks at whether there is room again


class Connection:
    """Made anew for each opening, so that nothing of an earlier connection can be sent on this one.

    The thread connects, then runs paho's loop until the connection ends, for whatever reason, and
    tells *on_end* the reason, on the event loop. paho's own thread is not used, because an exception
    in there (a broker that sends garbage) ends it without a word to anybody.

    Parameters
    ----------
    address : Address
    options : BrokerOptions
    client_id : str
    on_end : callable
        Called once, on the event loop, if the connection ends after it was open.
    session_s : int
        How long the broker keeps the session; 0: no session.
    **limits : int
        Further properties of CONNECT.
    """

    def __init__(
        self,
        address: Address,
        options: BrokerOptions,
        client_id: str,
        on_end: Callable[[AdapterError], None],
        session_s: int = 0,
        full: Callable[[], bool] = lambda: False,
        **limits: int,
    ) -> None:
        self._address = address
        self._shown = address.shown
        self._options = options
        self._on_end = on_end
        self._full = full
        self._where = (address.host, address.port, options.keepalive_s)
        self._clean = session_s == 0
        self._properties = properties_of(PacketTypes.CONNECT, {"SessionExpiryInterval": session_s, **limits})
        self._loop = asyncio.get_running_loop()
        self._hello: asyncio.Future[Hello] = self._loop.create_future()
        self._granted: asyncio.Future[ReasonCode] = self._loop.create_future()
        self._gone = asyncio.Event()
        self._refusal: AdapterError | None = None
        self._stop_at = float("inf")
        self._client_id = client_id
        self.client = new_client(client_id, options)
        self.client.on_connect = self._connected
        self.client.on_subscribe = self._subscribed
        self.client.on_disconnect = self._disconnected
        self._thread = threading.Thread(target=self._run, name="streamgru-mqtt", daemon=True)

    async def open(self) -> Hello:
        """Connect and log in.

        Raises
        ------
        NotConnected
            If the broker is away, silent, or asks to come back later.
        OptionError
            If a file that an option names cannot be read.
        AdapterError
            If the broker does not let us in.
        """
        self._thread.start()
        hello: Hello = await self._answer(self._hello)
        return hello

    async def subscribe(self, topic_filter: str, options: SubscribeOptions) -> int:
        """Subscribe; gives the quality of service that the broker grants. Errors as :meth:`open`."""
        self.client.subscribe(topic_filter, options=options)
        reason = await self._answer(self._granted)
        if reason.is_failure:
            raise AdapterError(f"{self._shown}: the broker refuses a subscription to {topic_filter!r}: {reason}")
        return int(reason.value)

    def stop(self, forget: bool = False) -> None:
        """Say goodbye and end the thread soon; *forget* tells the broker to forget the session."""
        if self._gone.is_set():
            return
        self._stop_at = time.monotonic() + (_GOODBYE_S if self._hello.done() else 0.0)
        no_session = properties_of(PacketTypes.DISCONNECT, {"SessionExpiryInterval": 0})
        self.client.disconnect(properties=no_session if forget else None)

    async def close(self, forget: bool = False) -> None:
        """Stop, and wait until the thread has ended."""
        if self._thread.ident is not None:
            self.stop(forget)
            await self._gone.wait()
            self._thread.join()
        del self.client  # with the client, and only then, paho closes its last descriptors

    async def _answer(self, future: asyncio.Future[Any]) -> Any:
        timeout_s = self._options.connect_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(future)
        except TimeoutError:
            raise NotConnected(f"{self._shown}: no answer within {timeout_s:g} s") from None

    def _run(self) -> None:
        failure: AdapterError
        try:
            log_in(self.client, self._address, self._options)
            self.client.connect(*self._where, clean_start=self._clean, properties=self._properties)
            while time.monotonic() < self._stop_at and self._turn() == MQTTErrorCode.MQTT_ERR_SUCCESS:
                pass
            failure = self._refusal or NotConnected(f"{self._shown}: the connection was lost")
        except AdapterError as error:
            failure = error
        except ssl.SSLCertVerificationError as error:
            failure = AdapterError(f"{self._shown}: its certificate is not trusted: {error.verify_message}")
        except OSError as error:
            failure = NotConnected(f"{self._shown}: {error.strerror or error}")
        except Exception as error:  # paho raises anything when the other end does not speak MQTT
            failure = self._refusal or NotConnected(f"{self._shown}: it does not speak MQTT 5: {error!r}")
        sock = self.client.socket()
        if sock is not None:
            sock.close()
        self._tell(self._ended, failure)

    def _turn(self) -> MQTTErrorCode:
        """Receive and send a little. While too much waits to be read by us, leave the rest in the broker's hands."""
        if not self._full():
            return self.client.loop(1.0)
        time.sleep(_PAUSE_S)
        self.client.loop_write()
        return self.client.loop_misc()  # asks whether the broker is there

    def _ended(self, failure: AdapterError) -> None:
        self._gone.set()
        was_open = self._hello.done()
        for future in (self._hello, self._granted):
            if not future.done():
                future.set_exception(failure)
                future.exception()  # nobody may be waiting: that is no mistake
        if was_open:
            self._on_end(failure)

    def _connected(self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        if reason.is_failure:
            kind = NotConnected if reason.value in _PASSING else AdapterError
            self._refusal = kind(f"{self._shown}: the broker does not let us in: {reason}")
            return
        hello = Hello(
            flags.session_present,
            getattr(properties, "ReceiveMaximum", 65_535),
            getattr(properties, "MaximumPacketSize", 268_435_460),
        )
        self._tell(_resolve, self._hello, hello)

    def _subscribed(self, _client: Any, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any) -> None:
        self._tell(_resolve, self._granted, reasons[0])

    def _disconnected(self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if not flags.is_disconnect_packet_from_server or self._refusal:
            return
        if reason.value == _TAKEN_OVER:  # trying again would only throw the other one out
            said = f"another client has come with the same client_id {self._client_id!r}"
            self._refusal = AdapterError(f"{self._shown}: {said}")
        else:
            self._refusal = NotConnected(f"{self._shown}: the broker has disconnected us: {reason}")

    def _tell(self, function: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has just closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, *arguments)


def _resolve(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)
