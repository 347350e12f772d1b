import os
from pathlib import Path

import pytest

from streamgru.errors import FormatError
from streamgru.formats.files import read_bytes, write_bytes


def test_what_was_written_is_read(tmp_path):
    write_bytes(tmp_path / "a", b"one")
    write_bytes(tmp_path / "a", b"two")
    assert read_bytes(tmp_path / "a") == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_link_to_a_file_is_followed(tmp_path):
    """Caches of downloaded models consist of links."""
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").symlink_to("a")
    assert read_bytes(tmp_path / "b") == b"one"


@pytest.mark.timeout(10)
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError, match="regular file, got a pipe"):
        read_bytes(tmp_path / "pipe")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(device):
    with pytest.raises(FormatError, match="a device"):
        read_bytes(device)


def test_what_cannot_be_opened_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "absent", "a\0b", tmp_path / ("n" * 300)):
        with pytest.raises(FormatError, match="expected a readable file"):
            read_bytes(path)


def test_the_limit(tmp_path):
    (tmp_path / "a").write_bytes(bytes(11))
    assert len(read_bytes(tmp_path / "a", limit=11)) == 11
    with pytest.raises(FormatError, match="at most 10 bytes, got 11"):
        read_bytes(tmp_path / "a", limit=10)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, call):
    write_bytes(tmp_path / "a", b"old")

    def fail(*args):
        raise OSError("disk is gone")

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk is gone"):
        write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_file_gets_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_bytes(tmp_path / "a", b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_number_is_no_path():
    """open() would take it for a file that is open already."""
    with pytest.raises(TypeError):
        read_bytes(0)
