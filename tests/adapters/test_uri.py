"""URIs: the grammar, what is never shown, and that no text at all makes it crash."""

import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamgru.adapters.uri import Place, Uri, address, hide, parse, place
from streamgru.errors import OptionError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-", ("stdin", "", {})),
        ("stdin:", ("stdin", "", {})),
        ("STDIN:", ("stdin", "", {})),
        ("data.csv", ("file", "data.csv", {})),
        ("./a:b.csv", ("file", "./a:b.csv", {})),
        ("/dev/ttyS0", ("file", "/dev/ttyS0", {})),
        ("C:\\data\\x.csv", ("file", "C:\\data\\x.csv", {})),
        ("c:/data/x.csv", ("file", "c:/data/x.csv", {})),
        ("out.csv?mode=append", ("file", "out.csv", {"mode": "append"})),
        ("file:C:\\x.csv", ("file", "C:\\x.csv", {})),
        ("file:a%20b%3F.csv", ("file", "a b?.csv", {})),
        ("mqtt://h/sensors/+/#", ("mqtt", "//h/sensors/+/#", {})),
        ("mqtt://h/a/#?qos=1&id=a%26b", ("mqtt", "//h/a/#", {"qos": "1", "id": "a&b"})),
        ("tcp+listen://[::1]:9000", ("tcp+listen", "//[::1]:9000", {})),
        ("kafka://a:1,b:2/topic", ("kafka", "//a:1,b:2/topic", {})),
        ("x.y-z+1:rest", ("x.y-z+1", "rest", {})),
        ("serial:/dev/ttyUSB0?baudrate=9600&", ("serial", "/dev/ttyUSB0", {"baudrate": "9600"})),
        ("ws://h/p?a=1?2=3", ("ws", "//h/p", {"a": "1?2=3"})),
        ("ws://h/?a=", ("ws", "//h/", {"a": ""})),
        ("ws://h?a=x+y", ("ws", "//h", {"a": "x+y"})),
        ("file:%C3%A9%E2%82%AC", ("file", "é€", {})),
        ("file:100%", ("file", "100%", {})),
    ],
)
def test_grammar(text, expected):
    assert parse(text, "stdin")[:3] == expected


def test_dash_is_what_the_caller_says():
    assert parse("-", "stdout") == Uri("stdout", "", {}, "-")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a URI such as stdin: .* got nothing"),
        ("tcp://h?qos", r"tcp://h: the option 'qos' has no value \(expected name=value\)"),
        ("tcp://h?a=1&a=2", "tcp://h: the option 'a' is given twice"),
        ("tcp://${NO_SUCH_NAME}", "tcp://.*: the environment variable NO_SUCH_NAME is not set"),
        ("tcp://h?a=${NO_SUCH_NAME}", "tcp://h: the environment variable NO_SUCH_NAME is not set"),
        ("file:%ff", "file:%ff: expected UTF-8 behind the percent signs"),
        ("file:a?mode=%c3%28", "file:a: expected UTF-8 behind the percent signs"),
        ("file:a%00b", "file:a%00b: expected text, got a NUL in it"),
    ],
)
def test_errors(text, message, monkeypatch):
    monkeypatch.delenv("NO_SUCH_NAME", raising=False)
    with pytest.raises(OptionError, match=message):
        parse(text, "stdin")


def test_environment(monkeypatch):
    monkeypatch.setenv("SECRET", "a%20b&c?d=${HOME}")
    uri = parse("mqtt://u:${SECRET}@h/t?password=${SECRET}&x=a${SECRET}b&y=%24{SECRET}&z=$SECRET", "stdin")
    assert uri.rest == "//u:a%20b&c?d=${HOME}@h/t"
    assert uri.options["password"] == "a%20b&c?d=${HOME}"
    assert uri.options["x"] == "aa%20b&c?d=${HOME}b"
    assert uri.options["y"] == "${SECRET}"
    assert uri.options["z"] == "$SECRET"
    assert "a%20b" not in uri.text


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("//h:1", Place(None, None, [("h", 1)], "")),
        ("//h", Place(None, None, [("h", None)], "")),
        ("//h/", Place(None, None, [("h", None)], "")),
        ("//[::1]:80/x/y", Place(None, None, [("::1", 80)], "x/y")),
        ("//[fe80::1%eth0]:80", OptionError),
        ("//a:1,[::1]:2,c/t@x", Place(None, None, [("a", 1), ("::1", 2), ("c", None)], "t@x")),
        ("//u@h", Place("u", None, [("h", None)], "")),
        ("//u:p@h:1/t", Place("u", "p", [("h", 1)], "t")),
        ("//u:p@s:s@h:1", Place("u", "p@s:s", [("h", 1)], "")),
        ("//:p@h", Place("", "p", [("h", None)], "")),
        ("//u:@h", Place("u", "", [("h", None)], "")),
        ("//h:65535", Place(None, None, [("h", 65535)], "")),
        ("//h:0", Place(None, None, [("h", 0)], "")),
        ("", OptionError),
        ("h:1", OptionError),
        ("//", OptionError),
        ("//:1", OptionError),
        ("//h:65536", OptionError),
        ("//h:", OptionError),
        ("//h:x", OptionError),
        ("//h:-1", OptionError),
        ("//h:\u0661", OptionError),
        ("//a,,b", OptionError),
        ("//::1:80", OptionError),
        ("//[::1", OptionError),
        ("//[h]:1", OptionError),
    ],
)
def test_place(rest, expected):
    if expected is OptionError:
        with pytest.raises(OptionError, match=r"^here: expected "):
            place(rest, "here")
    else:
        assert place(rest, "here") == expected


def test_address():
    assert address("//127.0.0.1:9000", "here") == ("127.0.0.1", 9000)
    assert address("//[::1]:0/", "here") == ("::1", 0)
    for rest in ("//h", "//h:1/path", "//u@h:1", "//a:1,b:2"):
        with pytest.raises(OptionError, match="here: expected //HOST:PORT, got '//"):
            address(rest, "here")


@pytest.mark.parametrize(
    "text",
    [
        "mqtt://user:hunter2@h/t",
        "mqtt://user:hunter2@h/t?qos",
        "mqtt://:hunter2@h",
        "mqtt://user:p@hunter2@h:1/t",
        "mqtt://user:12:hunter2@[::1]:1/t@x",
        "tcp://user:hunter2@h:1",
        "tcp://user:hunter2@h:99999",
        "tcp://user:hun/ter2@h:1",
        "tcp://user:a/hunter2@h:1",
        "tcp://user:hunter2/a@h:1",
        "tcp://user:x%2Fhunter2@h:1",
        "tcp://user:hunter2%2Fx@h:1",
        "mqtt://user:a%0Ahunter2@h",
        "mqtt://user:hunter2@h?a=1&a=2",
        "tcp://h:1?password=hunter2&password=hunter2",
        "tcp://h:1?password=hunter2&x",
    ],
)
def test_passwords_are_never_shown(text):
    shown = []
    try:
        uri = parse(text, "stdin")
        shown.append(uri.text)
        address(uri.rest, uri.text)
    except OptionError as error:
        shown.append(str(error))
    assert shown
    assert not [line for line in shown if "hunter2" in line or "ter2" in line]


@pytest.mark.parametrize(
    "text",
    ["tcp://h:1", "mqtt://h:1883/a@b", "kafka://a:1,b:2/x@y", "tcp+listen://[::1]:1/a@b", "file:a:b", "unix:/a@b"],
)
def test_hide_leaves_what_is_no_password(text):
    assert hide(text) == text


names = st.text(string.ascii_letters + string.digits + "_", min_size=1)
plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def encoded(text):
    return "".join(f"%{byte:02X}" for byte in text.encode())


@given(names.filter(lambda name: len(name) > 1 and name[0].isalpha()), plain, st.dictionaries(names, plain))
def test_what_is_percent_encoded_comes_back(scheme, rest, options):
    query = "&".join(f"{name}={encoded(value)}" for name, value in options.items())
    uri = parse(f"{scheme.replace('_', '-')}:{encoded(rest)}?{query}", "stdin")
    assert uri[:3] == (scheme.replace("_", "-").lower(), rest, options)


labels = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=63)
hosts = st.one_of(st.lists(labels, min_size=1, max_size=4).map(".".join), st.ip_addresses(v=4).map(str), st.just("::1"))


@given(st.lists(st.tuples(hosts, st.none() | st.integers(0, 65535)), min_size=1), st.text("abc/+#@:,"))
def test_places_come_back(pairs, path):
    texts = [(f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "") for host, port in pairs]
    assert place(f"//{','.join(texts)}/{path}", "here") == Place(None, None, pairs, path)


@given(
    st.text()
    | st.text("abC:/?&=%${}@[],.0#-\0\n")
    | st.binary().map(lambda data: data.decode(errors="surrogateescape"))
)
@example("//u:p@")
@settings(max_examples=400)
def test_no_text_makes_it_crash(text):
    try:
        uri = parse(text, "stdin")
        assert uri.scheme
        assert uri.scheme == uri.scheme.lower()
        address(uri.rest, uri.text)
    except OptionError as error:
        assert str(error)


@pytest.mark.parametrize("host", [".", "a..b", "a" * 64])
def test_what_cannot_be_a_host_is_refused(host):
    with pytest.raises(OptionError, match="expected the name of a host"):
        place(f"//{host}:80", "here")
