"""Entry points: ours are found, broken ones are named and harm nobody, unknown ones are answered with what there is."""

import importlib
import importlib.metadata
import sys

import pytest

from streamgru.adapters import registry
from streamgru.adapters.contract import Sink, Source
from streamgru.adapters.registry import Found, lookup, make_sink, make_source, survey
from streamgru.errors import AdapterError, OptionError

GOOD = '''
"""A plugin."""
from typing import Annotated
from streamgru.adapters import Batch, Options, Source, option
from streamgru.errors import EndOfStream

class GoodOptions(Options):
    """Options of a good source."""
    count: Annotated[int, option("How many.", ge=1)] = 3

class GoodSource(Source[GoodOptions]):
    """A source."""
    options_type = GoodOptions
    async def open(self): pass
    async def read(self): raise EndOfStream("over")
    async def close(self): pass
'''


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Install a fake distribution: modules and a dist-info with entry points, on sys.path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = set(sys.modules)

    def install(points, modules=(), metadata="Metadata-Version: 2.1\nName: fake-plugin\nVersion: 1.2\n"):
        for name, code in dict(modules).items():
            (tmp_path / f"{name}.py").write_text(code)
        info = tmp_path / "fake_plugin-1.2.dist-info"
        info.mkdir()
        if metadata is not None:
            (info / "METADATA").write_text(metadata)
        (info / "entry_points.txt").write_text(points)
        importlib.invalidate_caches()

    yield install
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]
    importlib.invalidate_caches()


def test_ours_are_found_and_work():
    found = [item for item in survey() if item.distribution == "streamgru"]
    assert [item for item in found if item.fault] == []
    names = {group: [item.name for item in found if item.group == group] for group in registry.GROUPS}
    assert names["sources"] == ["file", "stdin", "tcp", "tcp+listen", "udp+listen", "unix", "unix+listen"]
    assert names["sinks"] == ["file", "reply", "stdout", "tcp", "unix"]
    assert set(names["codecs"]) >= {"csv", "ndjson", "raw"}
    for item in found:
        if item.group in ("sources", "sinks"):
            assert issubclass(item.thing, Source if item.group == "sources" else Sink)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("-", "StdinSource"),
        ("data.csv", "FileSource"),
        ("file:data.csv", "FileSource"),
        ("tcp://h:1?reconnect=true", "TcpSource"),
        ("tcp+listen://127.0.0.1:0?max_clients=3", "TcpListenSource"),
        ("unix:/tmp/x", "UnixSource"),
        ("unix+listen:/tmp/x", "UnixListenSource"),
        ("udp+listen://[::1]:9", "UdpListenSource"),
    ],
)
def test_make_source(text, name):
    assert type(make_source(text)).__name__ == name


@pytest.mark.parametrize(
    ("text", "name"),
    [("-", "StdoutSink"), ("out.csv?mode=append", "FileSink"), ("reply:", "ReplySink"), ("tcp://h:1", "TcpSink")],
)
def test_make_sink(text, name):
    assert type(make_sink(text)).__name__ == name


@pytest.mark.parametrize(
    ("make", "text", "message"),
    [
        (
            make_source,
            "mqqt://u:hunter2@h",
            r"^mqqt://u:\*\*\*@h: nothing .* 'mqqt' among the sources; there are: .*file, .*tcp",
        ),
        (
            make_source,
            "stdout:",
            r"'stdout' among the sources \(stdout is one of the sinks\); there are: ",
        ),
        (
            make_sink,
            "stdin:",
            r"'stdin' among the sinks \(stdin is one of the sources\); there are: ",
        ),
        (make_source, "tcp://h:1?recconect=1", "tcp://h:1: there is no option 'recconect'; options are: .*reconnect"),
        (make_source, "tcp://h:1?reconnect=maybe", "tcp://h:1: the option 'reconnect': expected bool, got 'maybe'"),
        (make_source, "tcp://h", "expected //HOST:PORT"),
        (make_source, "", "expected a URI"),
    ],
)
def test_errors(make, text, message):
    with pytest.raises(OptionError, match=message) as caught:
        make(text)
    assert "hunter2" not in str(caught.value)


def test_plugin_is_found_like_ours(plugin):
    plugin("[streamgru.sources]\ngood = good_plugin:GoodSource\n", {"good_plugin": GOOD})
    assert "good_plugin" not in sys.modules
    source = make_source("good:here?count=5")
    assert (source.rest, source.options.count) == ("here", 5)
    (found,) = [item for item in survey() if item.distribution == "fake-plugin"]
    assert found == Found("sources", "good", "fake-plugin", "1.2", type(source), "")
    with pytest.raises(OptionError, match=r"good:: the option 'count': expected int >= 1, got '0'"):
        make_source("good:?count=0")


def test_only_what_is_used_is_loaded(plugin):
    plugin("[streamgru.sources]\nbad = bad_plugin:Source\n", {"bad_plugin": "raise RuntimeError('not me')"})
    assert type(make_source("stdin:")).__name__ == "StdinSource"
    assert "bad_plugin" not in sys.modules


@pytest.mark.parametrize(
    ("target", "code", "fault"),
    [
        ("broken_plugin:Source", "import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("broken_plugin:Source", "def f(:", "SyntaxError"),
        ("broken_plugin:Source", "raise RuntimeError('half built')", "RuntimeError: half built"),
        ("broken_plugin:Source", "import sys; sys.exit(7)", "SystemExit: 7"),
        ("broken_plugin:Missing", "", "AttributeError: .*Missing"),
        ("no_such_plugin:Source", "", "ModuleNotFoundError: .*no_such_plugin"),
        ("not a name!", "", ""),
    ],
)
def test_broken_plugin_is_named_and_harms_nobody(plugin, target, code, fault):
    plugin(f"[streamgru.sources]\nbroken = {target}\n", {"broken_plugin": code})
    found = {item.name: item for item in survey() if item.group == "sources"}
    assert found["stdin"].fault == ""
    broken = found["broken"]
    assert (broken.thing, broken.distribution, broken.version) == (None, "fake-plugin", "1.2")
    assert broken.fault
    with pytest.raises(AdapterError, match=f"^broken:x: the plugin behind 'broken' is broken: .*{fault}"):
        make_source("broken:x")


@pytest.mark.parametrize("code", ["Source = 3", "class Source: pass", "from streamgru.adapters import Sink as Source"])
def test_what_is_no_source_is_refused(plugin, code):
    plugin("[streamgru.sources]\nodd = odd_plugin:Source\n", {"odd_plugin": code})
    with pytest.raises(AdapterError, match=r"^odd:: the plugin behind 'odd' is broken: expected a Source, got "):
        make_source("odd:")


@pytest.mark.parametrize("metadata", [None, "", "garbage", "\0\0"])
def test_damaged_metadata_harm_nobody(plugin, metadata):
    plugin("[streamgru.sources]\ngood = good_plugin:GoodSource\n", {"good_plugin": GOOD}, metadata)
    found = {item.name: item for item in survey() if item.group == "sources"}
    assert found["stdin"].fault == ""
    assert found["good"].fault == ""


@pytest.mark.parametrize(
    "points", ["no section", "[streamgru.sources]\nno equals sign\n", "[", "\0", "[streamgru.sources]\n=\n"]
)
def test_damaged_entry_points_harm_nobody(plugin, points):
    plugin(points)
    assert next(item for item in survey() if item.name == "stdin").fault == ""
    assert type(make_source("stdin:")).__name__ == "StdinSource"


def test_lookup_of_other_groups():
    assert lookup("codecs", "csv", "here").__name__ == "CsvCodec"
    with pytest.raises(OptionError, match=r"^here: nothing installed offers 'xml' among the codecs; there are: .*csv"):
        lookup("codecs", "xml", "here")
