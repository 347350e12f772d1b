"""Adapters and codecs by name, through entry points; ours are found the same way as anybody's."""

from __future__ import annotations

import contextlib
import importlib.metadata
import inspect
from typing import Any, NamedTuple

from streamgru.adapters.contract import Sink, Source
from streamgru.adapters.options import convert
from streamgru.adapters.uri import parse
from streamgru.errors import AdapterError, OptionError, StreamgruError

GROUPS = ("sources", "sinks", "codecs", "transforms", "formats")


class Found(NamedTuple):
    """One entry point: what it offers, by which distribution, and, once loaded, the thing or the fault."""

    group: str
    name: str
    distribution: str
    version: str
    thing: Any
    fault: str


def make_source(text: str) -> Source[Any]:
    """Construct the source of a URI; nothing is opened.

    Raises
    ------
    OptionError
        If the scheme is unknown or an option cannot be right.
    """
    uri = parse(text, "stdin")
    made: Source[Any] = _make("sources", uri)
    return made


def make_sink(text: str) -> Sink[Any]:
    """Construct the sink of a URI; nothing is opened. Errors as :func:`make_source`."""
    uri = parse(text, "stdout")
    made: Sink[Any] = _make("sinks", uri)
    return made


def lookup(group: str, name: str, what: str) -> Any:
    """Load the entry point *name* of a group; *what* names it in the error.

    Raises
    ------
    OptionError
        If nothing of that name is installed.
    AdapterError
        If it is installed but broken.
    """
    # Of two that offer one name ours wins, so that no plugin takes the place of a built-in unseen.
    points = {point.name: point for point in sorted(_points(group), key=lambda point: _origin(point)[0] == "streamgru")}
    if name not in points:
        other = "sinks" if group == "sources" else "sources"
        hint = f" ({name} is one of the {other})" if any(point.name == name for point in _points(other)) else ""
        raise OptionError(
            f"{what}: nothing installed offers {name!r} among the {group}{hint}; there are: {', '.join(sorted(points))}"
        )
    try:
        return points[name].load()
    except (Exception, SystemExit) as error:  # a plugin may fail in any way; it must not take us along
        raise AdapterError(f"{what}: the plugin behind {name!r} is broken: {type(error).__name__}: {error}") from error


def survey() -> list[Found]:
    """Everything that is installed, loaded to see whether it works."""
    found = []
    for group in GROUPS:
        for point in sorted(_points(group), key=lambda point: point.name):
            thing, fault = None, ""
            try:
                thing = point.load()
            except (Exception, SystemExit) as error:
                fault = f"{type(error).__name__}: {error}"
            distribution, version = _origin(point)
            found.append(Found(group, point.name, distribution, version, thing, fault))
    return found


def _points(group: str) -> list[importlib.metadata.EntryPoint]:
    try:
        return list(importlib.metadata.entry_points(group=f"streamgru.{group}"))
    except Exception:  # some distribution's metadata are damaged: take those of the others
        points: list[importlib.metadata.EntryPoint] = []
        for distribution in importlib.metadata.distributions():
            with contextlib.suppress(Exception):
                points += distribution.entry_points.select(group=f"streamgru.{group}")
        return points


def _origin(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution behind an entry point, as far as its metadata tell."""
    try:
        return (point.dist.name or "?", point.dist.version or "?") if point.dist else ("?", "?")
    except Exception:
        return "?", "?"


def _make(group: str, uri: Any) -> Any:
    cls = lookup(group, uri.scheme, uri.text)
    base = Source if group == "sources" else Sink
    if not (inspect.isclass(cls) and issubclass(cls, base)):
        problem = f"expected a {base.__name__}, got {cls!r}"
        raise AdapterError(f"{uri.text}: the plugin behind {uri.scheme!r} is broken: {problem}")
    options = convert(cls.options_type, uri.options, uri.text)
    try:
        return cls(uri.rest, options)
    except StreamgruError:
        raise
    except Exception as error:  # a plugin may fail in any way
        problem = f"{type(error).__name__}: {error}"
        raise AdapterError(f"{uri.text}: the plugin behind {uri.scheme!r} is broken: {problem}") from error
