"""URIs of sources and sinks: ``scheme:rest?option=value&option=value``.

A grammar of our own. There is no fragment, so that an MQTT filter such as ``mqtt://host/sensors/+/#``
stays whole; the rest may begin with ``//`` and a list of hosts, IPv6 in brackets. The first ``?``
begins the options. Rest and values are percent-decoded, and ``${NAME}`` in them is the environment
variable NAME, taken as it is (``%24{NAME}`` is just those letters). ``-`` and a bare path are short
for ``stdin:`` or ``stdout:`` and ``file:``.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from streamgru.adapters.options import expand
from streamgru.errors import OptionError

_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]+):", re.IGNORECASE)  # two letters at least: C: is a drive
# What stands between a colon and the last @, unless the colon begins the port of a host.
_PASSWORD = re.compile(r"(//[^/@:\[]*):(?![0-9]{1,5}(?:[/,]|$)).*@", re.DOTALL)
_VARIABLE = re.compile(r"(\$\{[A-Za-z_][A-Za-z0-9_]*\})")


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
        If an option has no ``=`` or is given twice, an environment variable is not set, or what is
        percent-encoded is not UTF-8 or NUL.
    """
    if not text:
        raise OptionError("expected a URI such as stdin: or tcp://127.0.0.1:9000, got nothing")
    if text == "-":
        return Uri(dash, "", {}, text)
    match = _SCHEME.match(text)
    scheme, body = (match[1].lower(), text[match.end() :]) if match else ("file", text)
    rest, _, query = body.partition("?")
    shown = hide(f"{scheme}:{rest}")
    options: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        if not equals or name in options:
            problem = "is given twice" if equals else "has no value (expected name=value)"
            raise OptionError(f"{shown}: the option {name!r} {problem}")
        options[name] = _decode(value, shown)
    return Uri(scheme, _decode(rest, shown), options, shown)


def hide(text: str) -> str:
    """Replace the password of a URI, or of a rest, by ``***``."""
    return _PASSWORD.sub(r"\1:***@", text)


def place(rest: str, where: str) -> Place:
    """Take the ``//...`` of a rest apart.

    Raises
    ------
    OptionError
        If there is no ``//``, no host, or a port is no number from 0 to 65535.
    """
    if not rest.startswith("//"):
        raise OptionError(f"{where}: expected //HOST:PORT after the scheme, got {hide(rest)!r}")
    authority, slash, path = rest[2:].partition("/")
    userinfo, at, hostlist = authority.rpartition("@")
    user, colon, password = userinfo.partition(":")
    # An @ behind the first slash: what looks like a host may be part of a password with a slash in it.
    hosts = [_host(item, where, "***" if not at and "@" in path else item) for item in hostlist.split(",")]
    return Place(user if at else None, password if colon else None, hosts, path if slash else "")


def address(rest: str, where: str) -> tuple[str, int]:
    """The one host and port of a rest; OptionError if there are more, less, or a path."""
    found = place(rest, where)
    if len(found.hosts) != 1 or found.hosts[0][1] is None or found.path or found.user is not None:
        raise OptionError(f"{where}: expected //HOST:PORT, got {hide(rest)!r}")
    host, port = found.hosts[0]
    return host, port or 0


def _host(text: str, where: str, shown: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^:\[\]]+))(?::([0-9]{1,5}))?", text)
    if not match or (match[3] and int(match[3]) > 65_535):
        raise OptionError(f"{where}: expected HOST or HOST:PORT with a port up to 65535, got {shown!r}")
    try:
        (match[1] or match[2]).encode("idna")
    except UnicodeError:
        raise OptionError(f"{where}: expected the name of a host, got {shown!r}") from None
    return match[1] or match[2], int(match[3]) if match[3] else None


def _decode(text: str, where: str) -> str:
    parts = _VARIABLE.split(text)
    try:
        parts[::2] = [unquote(part, errors="strict") for part in parts[::2]]
    except UnicodeDecodeError:
        raise OptionError(f"{where}: expected UTF-8 behind the percent signs") from None
    decoded = "".join(part if i % 2 == 0 else expand(part, where) for i, part in enumerate(parts))
    if "\0" in decoded:
        raise OptionError(f"{where}: expected text, got a NUL in it")
    return decoded
