"""URIs of sources and sinks: ``scheme:rest?option=value&option=value``.

A grammar of our own. There is no fragment, so that an MQTT filter such as ``mqtt://host/sensors/+/#``
stays whole; the rest may begin with ``//`` and a list of hosts, IPv6 in brackets. The first ``?``
begins the options. Rest and values are percent-decoded, and ``${NAME}`` in them is the environment
variable NAME. ``-`` and a bare path are short for ``stdin:`` or ``stdout:`` and ``file:``.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from streamgru.adapters.options import expand
from streamgru.errors import OptionError

_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]+):", re.IGNORECASE)  # two letters at least: C: is a drive
_PASSWORD = re.compile(r"(//[^/@:]*):[^@/]*@")


class Uri(NamedTuple):
    """A parsed URI. *text* is what the user wrote, without a password: safe to show."""

    scheme: str
    rest: str
    options: dict[str, str]
    text: str


class Place(NamedTuple):
    """The ``//user:password@host:port,host:port/path`` of a rest."""

    user: str | None
    password: str | None
    hosts: list[tuple[str, int | None]]
    path: str


def parse(text: str, dash: str) -> Uri:
    """Take a URI apart; *dash* is the scheme that ``-`` stands for.

    Raises
    ------
    OptionError
        If an option has no ``=`` or is given twice, or an environment variable is not set.
    """
    if not text:
        raise OptionError("expected a URI such as stdin: or tcp://127.0.0.1:9000, got nothing")
    if text == "-":
        return Uri(dash, "", {}, text)
    match = _SCHEME.match(text)
    scheme, body = (match[1].lower(), text[match.end() :]) if match else ("file", text)
    rest, _, query = body.partition("?")
    shown = _PASSWORD.sub(r"\1:***@", f"{scheme}:{rest}")
    options: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        if not equals or name in options:
            problem = "is given twice" if equals else "has no value (expected name=value)"
            raise OptionError(f"{shown}: the option {name!r} {problem}")
        options[name] = expand(unquote(value), shown)
    return Uri(scheme, expand(unquote(rest), shown), options, shown)


def place(rest: str, where: str) -> Place:
    """Take the ``//...`` of a rest apart.

    Raises
    ------
    OptionError
        If there is no ``//``, no host, or a port is no number from 0 to 65535.
    """
    if not rest.startswith("//"):
        raise OptionError(f"{where}: expected //HOST:PORT after the scheme, got {rest!r}")
    authority, slash, path = rest[2:].partition("/")
    userinfo, at, hostlist = authority.rpartition("@")
    user, colon, password = userinfo.partition(":")
    hosts = [_host(item, where) for item in hostlist.split(",")]
    return Place(user if at else None, password if colon else None, hosts, path if slash else "")


def address(rest: str, where: str) -> tuple[str, int]:
    """The one host and port of a rest; OptionError if there are more, less, or a path."""
    found = place(rest, where)
    if len(found.hosts) != 1 or found.hosts[0][1] is None or found.path or found.user is not None:
        raise OptionError(f"{where}: expected //HOST:PORT, got {rest!r}")
    host, port = found.hosts[0]
    return host, port or 0


def _host(text: str, where: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^:\[\]]+))(?::(\d{1,5}))?", text)
    if not match or (match[3] and int(match[3]) > 65_535):
        raise OptionError(f"{where}: expected HOST or HOST:PORT with a port up to 65535, got {text!r}")
    return match[1] or match[2], int(match[3]) if match[3] else None
