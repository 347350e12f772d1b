"""Options of an adapter: declared once, turned into validation, help, sample file and table.

An adapter declares them as a class::

    class SerialOptions(Options):
        baudrate: Annotated[int, option("Bits per second.", ge=50)] = 115_200

and gets them converted from a URI's text or a TOML table's values.
"""

from __future__ import annotations

import math
import os
import re
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from streamgru.errors import OptionError


def option(description: str, *, secret: bool = False, **constraints: Any) -> msgspec.Meta:
    """Describe an option for people.

    The value of a *secret* one is never shown; *constraints* are those of ``msgspec.Meta`` (ge, lt, pattern ...).
    """
    return msgspec.Meta(description=description, extra={"secret": secret}, **constraints)


class Options(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of all option classes; by itself: no options."""

    def __repr__(self) -> str:
        hidden = secrets(type(self))
        values = (f"{name}={'***' if name in hidden else repr(getattr(self, name))}" for name in self.__struct_fields__)
        return f"{type(self).__name__}({', '.join(values)})"


def secrets(options_type: type[Options]) -> set[str]:
    """The names of the options whose values are never shown."""
    hints = get_type_hints(options_type, include_extras=True)
    return {name for name, kind in hints.items() if any((meta.extra or {}).get("secret") for meta in _metas(kind))}


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
    try:
        return msgspec.convert(values, options_type, strict=False)
    except msgspec.ValidationError as error:
        raise OptionError(f"{where}: {_explain(str(error), options_type, values)}") from None


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
        default = "required" if field.required else _toml(_default(field))
        described.append(Described(field.name, _type_name(hints[field.name]), default, _description(hints[field.name])))
    return described


def sample(options_type: type[Options]) -> str:
    """A TOML fragment with every option: a sentence above each, defaults commented out."""
    lines = []
    for item in describe(options_type):
        required = item.default == "required"
        value = _blank(item.type) if required or item.default == "null" else item.default
        lines += [f"## {item.description}", f"{'' if required else '# '}{item.name} = {value}", ""]
    return "\n".join(lines)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _toml(value: Any) -> str:
    """A default as TOML has it; ``null``, which TOML has not, for None."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return msgspec.json.encode(value).decode()


def _blank(kind: str) -> str:
    """Something to be replaced, of the right type."""
    blanks = {"str": '""', "Literal": '""', "int": "0", "float": "0.0", "bool": "false", "list": "[]"}
    return next((blank for name, blank in blanks.items() if re.search(rf"\b{name}\b", kind)), '""')


def _description(kind: Any) -> str:
    """The first description in an annotation, also in that of one member of a union."""
    return next(filter(None, (meta.description for meta in _metas(kind))), "")


def _metas(kind: Any) -> list[msgspec.Meta]:
    """What an annotation says of itself, then what the members of a union say."""
    own = [item for item in get_args(kind) if isinstance(item, msgspec.Meta)]
    members = [item for item in get_args(kind) if get_origin(item) is not None and get_origin(item) is not Literal]
    return own + [meta for member in members for meta in _metas(member)]


def _explain(problem: str, options_type: type[Options], values: Mapping[str, Any]) -> str:
    """What msgspec says, as a sentence with the option, what was expected and what came."""
    missing = re.fullmatch(r"Object missing required field `(\w+)`", problem)
    if missing:
        return f"the option {missing[1]!r} is required"
    problem, _, path = problem.partition(" - at `$.")
    name = path.strip("`")
    if name not in values:  # it is inside of a list or a table
        return f"{problem} at {name!r}" if name else problem
    kind = next(item.type for item in describe(options_type) if item.name == name)
    expected = re.match(r"Expected (.*?)(, got |$)", problem)
    got = "something else" if name in secrets(options_type) else f"{values[name]!r:.100}"
    return f"the option {name!r}: expected {expected[1].replace('`', '') if expected else kind}, got {got}"


def _type_name(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        return _type_name(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return " | ".join(map(_type_name, get_args(kind)))
    if isinstance(kind, type) and not get_args(kind):
        return "None" if kind is type(None) else kind.__name__
    return str(kind).replace("typing.", "")
