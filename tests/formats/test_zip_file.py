"""Zip archives: the members of a good one, and one error for every kind of bad one."""

import io
import struct
import zipfile

import pytest

from streamgru.errors import FormatError
from streamgru.formats import zip_file
from streamgru.formats.zip_file import members

CONTENTS = {"config.json": b"{}", "a/data.bin": bytes(range(256)) * 2, "empty": b""}


def archive(contents=CONTENTS, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as opened:
        for name, content in contents.items():
            opened.writestr(name, content)
    return file.getvalue()


class Pipe(io.BytesIO):
    """What cannot seek: zipfile then writes the sizes behind each member."""

    def seek(self, *_):
        raise OSError

    def tell(self):
        raise OSError


def streamed():
    file = Pipe()
    with zipfile.ZipFile(file, "w") as opened:
        for name, content in CONTENTS.items():
            opened.writestr(name, content)
    return file.getvalue()


def wide():
    """With the sizes in 64 bits, as PyTorch writes them."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        for name, content in CONTENTS.items():
            with opened.open(name, "w", force_zip64=True) as member:
                member.write(content)
    return file.getvalue()


GOOD = {"deflated": archive(), "stored": archive(method=zipfile.ZIP_STORED), "streamed": streamed(), "wide": wide()}


@pytest.mark.parametrize("how", GOOD)
def test_the_members(how):
    found = members(GOOD[how], "x")
    assert dict(found) == CONTENTS
    assert list(found) == list(CONTENTS)
    assert {name: found.size(name) for name in found} == {name: len(content) for name, content in CONTENTS.items()}
    with pytest.raises(KeyError):
        found["none"]


@pytest.mark.parametrize("how", GOOD)
def test_truncations_and_flipped_bits(how):
    """An error or the same contents: the CRC sees to it."""
    data = GOOD[how]
    for size in range(len(data)):
        with pytest.raises(FormatError):
            dict(members(data[:size], "x"))
    for bit in range(0, 8 * len(data), 7):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            found = dict(members(bytes(changed), "x"))
        except FormatError:
            continue
        assert set(found.values()) <= set(CONTENTS.values())  # a flipped bit of a name, a date, ...


@pytest.mark.parametrize("name", ["../up", "a/../b", "/root", "a\\b", "./a", "a" * 1025])
def test_names_that_lead_elsewhere(name):
    with pytest.raises(FormatError, match="expected a"):
        members(archive({name: b"x"}), "x")


def test_two_of_one_name():
    with pytest.warns(UserWarning):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as opened:
            opened.writestr("a", b"1")
            opened.writestr("a", b"2")
    with pytest.raises(FormatError, match="twice"):
        members(file.getvalue(), "x")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions(method):
    with pytest.raises(FormatError, match="stored or deflated"):
        members(archive(method=method), "x")


def test_an_encrypted_member():
    data = bytearray(archive({"a": b"1"}))
    data[data.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(FormatError, match="encrypted"):
        members(bytes(data), "x")


def test_too_many_members(monkeypatch):
    monkeypatch.setattr(zip_file, "MAX_MEMBERS", 3)
    members(archive(), "x")
    with pytest.raises(FormatError, match="at most 3"):
        members(archive({str(i): b"" for i in range(4)}), "x")


def test_a_bomb(monkeypatch):
    monkeypatch.setattr(zip_file, "FREE_BYTES", 1 << 20)
    data = archive({"a": bytes(8 << 20)})
    with pytest.raises(FormatError, match="when inflated, got 8388608"):
        members(data, "x")


def test_a_bomb_that_lies_about_its_size():
    """No more than promised is inflated, and then the CRC is wrong."""
    data = bytearray(archive({"a": bytes(8 << 20)}))
    for at in (22, data.index(b"PK\1\2") + 24):
        struct.pack_into("<I", data, at, 10)
    with pytest.raises(FormatError, match="cannot be read"):
        members(bytes(data), "x")["a"]


def test_members_that_overlap():
    """Two entries of the directory with one place: how a small file inflates without end."""
    data = bytearray(archive({"a": b"1" * 100, "b": b"1" * 100}))
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    struct.pack_into("<I", data, second + 42, 0)
    with pytest.raises(FormatError, match=r"overlaps|contradict"):
        members(bytes(data), "x")


@pytest.mark.parametrize("at, what", [(14, "crc"), (18, "packed"), (22, "size"), (8, "method")])
def test_two_headers_that_contradict_each_other(at, what):
    data = bytearray(archive({"a": b"1" * 100}))
    data[at] ^= 1
    with pytest.raises(FormatError, match="contradict"):
        members(bytes(data), "x")
