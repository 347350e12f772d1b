"""Building paho's client: protocol, credentials, TLS."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from streamgru.errors import OptionError

from streamgru_mqtt.options import Address, BrokerOptions


class Hello(NamedTuple):
    """What the broker says when it lets us in."""

    session_present: bool
    receive_maximum: int
    max_packet: int


def new_client(client_id: str, options: BrokerOptions) -> Client:
    """Make a client that whoever calls its ``loop`` owns; other threads may publish and acknowledge."""
    client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True)
    client.connect_timeout = options.connect_timeout_s
    # With such a callback paho leaves all writing to the thread that runs the loop.
    client.on_socket_register_write = lambda client, userdata, sock: None
    return client


def log_in(client: Client, address: Address, options: BrokerOptions) -> None:
    """Give the client its credentials; reads the files that options name.

    Raises
    ------
    OptionError
        If a file cannot be read.
    """
    password = address.password or _first_line(options.password_file)
    if address.username:
        client.username_pw_set(address.username, password or None)
    if address.tls:
        client.tls_set_context(_tls(options))


def properties_of(packet: int, values: dict[str, int]) -> Properties:
    """Give the properties of an MQTT 5 packet."""
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().partition("\n")[0].rstrip("\r") if path else ""
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"password_file: expected a readable text file, got {path!r}: {error}") from None


def _tls(options: BrokerOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.ca_file or None)
        if options.cert_file:
            context.load_cert_chain(options.cert_file, options.key_file or None, password="")  # never ask the terminal
    except OSError as error:
        files = ", ".join(filter(None, (options.ca_file, options.cert_file, options.key_file)))
        raise OptionError(f"mqtts: expected PEM files, got {files}: {error}") from None
    return context
