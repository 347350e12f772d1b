"""Sentences of many languages, out of the translations that Python packages carry as ``.po`` files."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path
from typing import NamedTuple

LANGUAGES = {
    "cs": "Czech", "da": "Danish", "de": "German", "en": "English", "es": "Spanish", "et": "Estonian",
    "fi": "Finnish", "fr": "French", "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "lv": "Latvian",
    "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "sv": "Swedish", "tr": "Turkish",
}  # fmt: skip
ENTRY = re.compile(r'^(msgid|msgstr(?:\[\d\])?) ((?:"(?:[^"\\]|\\.)*"\s*)+)', re.MULTILINE)
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
CODE = re.compile(r"%\(\w+\)\w|%\w|\{[^}]*\}|<[^>]*>|&\w+;|https?:\S+|\S+@\S+|\\.")  # what no one speaks
OTHER = re.compile(r"[^\w '’-]|[\d_]")


class Message(NamedTuple):
    """A translation into one language, and what it translates."""

    text: str
    language: int  # index into LANGUAGES
    source: str


def plain(text: str) -> str:
    """Return the letters of a message: no placeholders, tags, digits and punctuation, single spaces."""
    return " ".join(OTHER.sub(" ", CODE.sub(" ", text)).replace("’", "'").split())


def read_po(text: str) -> Iterator[tuple[str, str]]:
    """Yield what was translated, and each of its translations."""
    source = ""
    for key, quoted in ENTRY.findall(text):
        value = "".join(QUOTED.findall(quoted))
        if key == "msgid":
            source = value
        elif source and value:
            yield source, value


def messages(package: str) -> list[Message]:
    """Return every message of an installed package, each text once per language; English is what was translated."""
    found: dict[tuple[str, int], str] = {}
    codes = list(LANGUAGES)
    for file in files(package) or ():
        folder = Path(str(file)).parts
        if file.suffix != ".po" or "LC_MESSAGES" not in folder:
            continue
        code = folder[folder.index("LC_MESSAGES") - 1].partition("_")
        if code[0] not in codes or (code[2] not in ("", code[0].upper(), "CZ")):  # pt_BR and the like are left out
            continue
        for source, text in read_po(Path(str(file.locate())).read_text(encoding="utf-8")):
            found.setdefault((plain(text), codes.index(code[0])), source)
            found.setdefault((plain(source), codes.index("en")), source)
    return [Message(text, language, source) for (text, language), source in sorted(found.items()) if len(text) > 2]


def held_out(message: Message) -> bool:
    """Tell whether a message is kept from the training: a tenth of what was translated, in all languages alike."""
    return zlib.crc32(message.source.encode()) % 10 == 0
