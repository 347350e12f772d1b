"""The options of source and sink, and what a URI says."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from streamgru.adapters.options import Options, option
from streamgru.adapters.uri import place
from streamgru.errors import OptionError

MAX_TOPIC = 65_535  # bytes, MQTT 5 section 1.5.4


class BrokerOptions(Options):
    """What source and sink need to reach a broker."""

    client_id: str = ""
    username: Annotated[str, option("Name to log in with; may stand in the URI too.")] = ""
    password: Annotated[
        str, option("Password to log in with, best given as ${NAME}, an environment variable.", secret=True)
    ] = ""
    password_file: Annotated[str, option("File whose first line is the password.")] = ""
    ca_file: Annotated[str, option("PEM file of the authorities to trust instead of the system's (mqtts only).")] = ""
    cert_file: Annotated[str, option("PEM file of our own certificate, if the broker wants one (mqtts only).")] = ""
    key_file: Annotated[str, option("PEM file of the key of cert_file, if it is not in there (mqtts only).")] = ""
    keepalive_s: Annotated[
        int, option("Seconds of silence after which the broker is asked whether it is there.", ge=1, le=65_535)
    ] = 30
    connect_timeout_s: Annotated[float, option("Seconds that connecting may take.", gt=0, le=3600)] = 10.0


class SourceOptions(BrokerOptions):
    """Options of an MQTT source."""

    client_id: Annotated[
        str, option("Name of the session at the broker; without one nothing can come again after a crash.")
    ] = ""
    qos: Annotated[
        int, option("Quality of service: 0, messages may be lost; 1, each arrives at least once.", ge=0, le=1)
    ] = 1
    session_s: Annotated[
        int, option("Seconds that the broker keeps the session while we are away.", ge=0, le=4_294_967_295)
    ] = 3600
    retained: Annotated[
        Literal["accept", "skip"], option("Whether the retained messages of a topic are read when we subscribe.")
    ] = "accept"
    inflight: Annotated[
        int, option("Messages of qos 1 that the broker may send ahead of our acknowledgements.", ge=1, le=65_535)
    ] = 100
    queue: Annotated[
        int, option("Messages of qos 0 that may wait to be read; when it is full, new ones are lost.", ge=1)
    ] = 1000
    max_bytes: Annotated[
        int, option("Bytes of the biggest packet; the broker drops what is bigger.", ge=1024, le=268_435_460)
    ] = 1_114_112


class SinkOptions(BrokerOptions):
    """Options of an MQTT sink."""

    client_id: Annotated[str, option("Name of this client at the broker; without one the broker chooses.")] = ""
    qos: Annotated[
        int, option("Quality of service: 0, may be lost; 1, at least once; 2, once while connected.", ge=0, le=2)
    ] = 1
    retain: Annotated[bool, option("Whether the broker keeps the last prediction for who reads later.")] = False
    inflight: Annotated[
        int, option("Messages that may be under way; the broker may ask for less.", ge=1, le=65_535)
    ] = 100
    flush_timeout_s: Annotated[
        float, option("Seconds to wait for the broker's acknowledgements before connecting anew.", gt=0, le=3600)
    ] = 10.0


class Address(NamedTuple):
    """Where a broker is and who we are there. *path* is a topic or a filter."""

    host: str
    port: int
    path: str
    username: str
    password: str
    tls: bool

    @property
    def shown(self) -> str:
        """Safe to show to anybody."""
        return f"{self.host}:{self.port}"


def address(rest: str, options: BrokerOptions, scheme: str, path: str) -> Address:
    """Take the rest of a URI apart and see that the options fit it; *path* names its last part in errors.

    Raises
    ------
    OptionError
        If something is missing or given twice. It never shows a password.
    """
    shown = rest if "@" not in rest else f"//***@{rest.rpartition('@')[2]}"
    expected = f"{scheme}: expected {scheme}://[USER:PASSWORD@]HOST[:PORT]/{path}, got {scheme}:{shown}"
    try:
        found = place(rest, scheme)
    except OptionError:
        raise OptionError(expected) from None  # its own text repeats the rest, password and all
    if len(found.hosts) != 1 or not found.path:
        raise OptionError(expected)
    host, port = found.hosts[0]
    try:
        host.encode("idna")
    except UnicodeError:
        raise OptionError(expected) from None
    if port == 0:
        raise OptionError(f"{expected} (a port is 1 to 65535)")
    given = (found.user, options.username), (found.password, options.password, options.password_file)
    for name, values in zip(("username", "password"), given, strict=True):
        if sum(1 for value in values if value) > 1:
            raise OptionError(f"{scheme}: expected one {name}, got several (URI, {name}=, password_file=)")
    username = found.user or options.username
    password = found.password or options.password
    if (password or options.password_file) and not username:
        raise OptionError(f"{scheme}: expected a username beside the password, got none")
    if scheme == "mqtt" and (options.ca_file or options.cert_file or options.key_file):
        raise OptionError("mqtt: ca_file, cert_file and key_file expect TLS, that is mqtts://, got mqtt://")
    if options.key_file and not options.cert_file:
        raise OptionError("mqtts: key_file expects a cert_file, got none")
    for name, value in (("username", username), ("password", password), ("client_id", options.client_id)):
        if len(_utf8(value, f"{scheme}: {name}")) > MAX_TOPIC:
            raise OptionError(f"{scheme}: {name}: expected up to {MAX_TOPIC} bytes")
    tls = scheme == "mqtts"
    return Address(host, port or (8883 if tls else 1883), found.path, username, password, tls)


def check_filter(text: str, where: str) -> None:
    """See that *text* is a topic filter; OptionError if not."""
    _check_text(text, where)
    levels = text.split("/")
    for number, level in enumerate(levels):
        alone = level in ("+", "#") or not set(level) & {"+", "#"}
        if not alone or (level == "#" and number != len(levels) - 1):
            raise OptionError(f"{where}: expected + alone between slashes and # alone at the end, got {text!r}")


def check_topic(text: str, where: str) -> None:
    """See that *text* can be published to; OptionError if not."""
    _check_text(text, where)
    if set(text) & {"+", "#"}:
        raise OptionError(f"{where}: expected a topic without + and # to publish to, got {text!r}")


def _check_text(text: str, where: str) -> None:
    size = len(_utf8(text, where))
    if not 0 < size <= MAX_TOPIC or "\0" in text:
        raise OptionError(f"{where}: expected 1 to {MAX_TOPIC} bytes without NUL, got {text[:100]!r} ({size} bytes)")


def _utf8(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise OptionError(f"{where}: expected text, got bytes that are not UTF-8") from None
