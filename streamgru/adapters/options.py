"""Options of an adapter: declared once, turned into validation, help, sample file and table.

An adapter declares them as a class::

    class SerialOptions(Options):
        baudrate: Annotated[int, option("Bits per second.", ge=50)] = 115_200

and gets them converted from a URI's text or a TOML table's values.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

import msgspec

from streamgru.errors import OptionError


def option(description: str, **constraints: Any) -> msgspec.Meta:
    """Describe an option for people; *constraints* are those of ``msgspec.Meta`` (ge, lt, pattern ...)."""
    return msgspec.Meta(description=description, **constraints)


class Options(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of all option classes; by itself: no options."""


def convert(options_type: type[Options], values: Mapping[str, Any], where: str) -> Options:
    """Turn *values*, texts of a URI or values of a TOML table, into options.

    Raises
    ------
    OptionError
        Naming *where* they stand, the option, what was expected and what came.
    """
    known = options_type.__struct_fields__
    for name in values:
        if name not in known:
            listed = ", ".join(known) or "none"
            raise OptionError(f"{where}: there is no option {name!r}; options are: {listed}")
    lowered = {
        name: value.lower() if isinstance(value, str) and value.lower() in ("true", "false") else value
        for name, value in values.items()
    }
    try:
        return msgspec.convert(lowered, options_type, strict=False)
    except msgspec.ValidationError as error:
        raise OptionError(f"{where}: {error}") from None


def expand(text: str, where: str) -> str:
    """Replace ``${NAME}`` by the environment variable NAME; OptionError if it is not set."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise OptionError(f"{where}: the environment variable {match[1]} is not set")
        return os.environ[match[1]]

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", value, text)


class Described(msgspec.Struct, frozen=True):
    """One option, for help and tables."""

    name: str
    type: str
    default: str
    description: str


def describe(options_type: type[Options]) -> list[Described]:
    """All options of a class, in order."""
    hints = get_type_hints(options_type, include_extras=True)
    described = []
    for field in msgspec.structs.fields(options_type):
        annotated = get_args(hints[field.name])
        meta = [item for item in annotated if isinstance(item, msgspec.Meta)]
        kind = annotated[0] if meta else hints[field.name]
        default = "required" if field.required else msgspec.json.encode(field.default).decode()
        described.append(
            Described(field.name, _type_name(kind), default, (meta[0].description or "") if meta else "")
        )
    return described


def sample(options_type: type[Options]) -> str:
    """A TOML fragment with every option: a sentence above each, defaults commented out."""
    lines = []
    for item in describe(options_type):
        required = item.default == "required"
        default = '""' if required or item.default == "null" else item.default
        lines += [f"## {item.description}", f"{'' if required else '# '}{item.name} = {default}", ""]
    return "\n".join(lines)


def _type_name(kind: Any) -> str:
    name = getattr(kind, "__name__", None)
    if name and not get_args(kind):
        return str(name)
    return str(kind).replace("typing.", "").replace("NoneType", "None")
