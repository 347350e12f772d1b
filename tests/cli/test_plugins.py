"""``streamgru plugins``: what is installed, and what is broken."""

import json
from pathlib import Path

import pytest

from tests.support import complaint, streamgru

BUILT_IN = {
    "sources": {"stdin", "file", "tcp", "tcp+listen", "unix", "unix+listen", "udp+listen"},
    "sinks": {"stdout", "reply", "file", "tcp", "unix"},
    "codecs": {"ndjson", "csv", "raw"},
}


@pytest.fixture
def broken(tmp_path):
    """A distribution, as installed, of which one thing works and the others fail in ways of their own."""
    info = tmp_path / "bad_plugin-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-plugin\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[streamgru.sources]\nmissing = no_such_module:Source\nraising = bad_plugin:Nothing\nok = good_plugin:Ok\n"
        "[streamgru.codecs]\nnocodec = good_plugin:Ok\n"
    )
    (tmp_path / "bad_plugin.py").write_text("raise RuntimeError('out of order')\n")
    (tmp_path / "good_plugin.py").write_text(
        "from typing import Annotated\n"
        "from streamgru.adapters.contract import Source\n"
        "from streamgru.adapters.options import Options, option\n\n"
        "class OkOptions(Options):\n    rate: Annotated[int, option('How often.')] = 5\n\n"
        'class Ok(Source[OkOptions]):\n    """A source that works."""\n    options_type = OkOptions\n'
        "    async def open(self): pass\n    async def close(self): pass\n"
        "    async def read(self): raise __import__('streamgru').EndOfStream('done')\n"
    )
    return {"PYTHONPATH": str(tmp_path)}


def survey(env=None):
    finished = streamgru("plugins", "--json", env=env)
    assert finished.returncode == 0, finished.stderr
    return {(item["group"], item["name"]): item for item in json.loads(finished.stdout)}


def test_everything_built_in_is_found_and_works():
    found = survey()
    for group, names in BUILT_IN.items():
        for name in names:
            item = found[group, name]
            assert item["distribution"] == "streamgru" and item["fault"] is None and item["what"]
    options = {option["name"]: option for option in found["sources", "tcp+listen"]["options"]}
    assert options["write_timeout_s"]["default"] == "5.0" and options["write_timeout_s"]["description"]


def test_for_people():
    finished = streamgru("plugins", "--options")
    text = finished.stdout.decode()
    assert finished.returncode == 0 and not finished.stderr
    for expected in ("sources", "tcp+listen", "write_timeout_s=5.0", "ndjson"):
        assert expected in text


def test_a_broken_plugin_is_a_line_and_never_a_crash(broken):
    found = survey(broken)
    assert "no_such_module" in found["sources", "missing"]["fault"]
    assert found["sources", "raising"]["fault"] == "RuntimeError: out of order"
    assert found["sources", "ok"]["fault"] is None and found["sources", "ok"]["distribution"] == "bad-plugin"
    finished = streamgru("plugins", env=broken)
    assert finished.returncode == 0 and "broken: RuntimeError: out of order" in finished.stdout.decode()


def test_a_plugin_is_used_like_any_other(broken, file, model):
    assert streamgru("run", file, "--from", "ok:?rate=7", env=broken).returncode == 0
    finished = streamgru("run", file, "--from", "ok:?rate=x", env=broken)
    assert finished.returncode == 2 and b"rate" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--from", "missing:"], 1, "No module named 'no_such_module'"),
        (["--from", "raising:"], 1, "out of order"),
        (["--codec", "nocodec"], 2, "no codec"),
    ],
)
def test_using_a_broken_plugin_is_one_line(broken, file, model, arguments, code, message):
    assert message in complaint(streamgru("run", file, *arguments, env=broken), code)


def test_a_full_disk():
    with Path("/dev/full").open("wb") as full:
        finished = streamgru("plugins", "--options", stdout=full)
    assert "No space left on device" in complaint(finished, 1)
