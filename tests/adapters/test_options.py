"""Options: conversion from text and TOML, errors that help, descriptions and samples."""

import math
import re
import tomllib
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamgru.adapters.options import Described, Options, convert, describe, expand, option, sample
from streamgru.errors import OptionError


class Many(Options):
    """One of each kind."""

    flag: Annotated[bool, option("A flag.")] = False
    count: Annotated[int, option("A number.", ge=0, le=99)] = 1
    rate: Annotated[float, option("A rate.", gt=0)] = 0.5
    name: Annotated[str, option("A name.")] = 'x "\\ é'
    mode: Annotated[Literal["fast", "slow"], option("A choice.")] = "fast"
    limit: Annotated[Annotated[int, option("", ge=1)] | None, option("A limit, if any.")] = None
    least: Annotated[float, option("A limit of one branch.", ge=0)] | None = None
    topics: Annotated[list[str], option("Some names.")] = []  # noqa: RUF012  msgspec copies it
    forever: Annotated[float, option("Without end.")] = math.inf
    password: Annotated[str, option("A secret.", secret=True, min_length=10)] = "0123456789"


class Needed(Options):
    """Options that have no default."""

    port: Annotated[int, option("A port.")]
    path: Annotated[str, option("A path.")]
    plain: int = 3


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *[("flag", text, True) for text in ("true", "True", "TRUE", "1", True)],
        *[("flag", text, False) for text in ("false", "False", "0", False)],
        ("count", "7", 7),
        ("count", 7, 7),
        ("count", "7.0", 7),
        ("rate", "1e-5", 1e-5),
        ("rate", "3", 3.0),
        ("rate", 3, 3.0),
        ("rate", "inf", math.inf),
        ("name", "True", "True"),
        ("name", "FALSE", "FALSE"),
        ("name", "1", "1"),
        ("name", "null", "null"),
        ("name", "", ""),
        ("mode", "slow", "slow"),
        ("limit", "3", 3),
        ("limit", "null", None),
        ("limit", None, None),
        ("least", "0.5", 0.5),
        ("topics", ["a", "b"], ["a", "b"]),
    ],
)
def test_conversions(name, value, expected):
    result = getattr(convert(Many, {name: value}, "here"), name)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("flag", "yes", "here: the option 'flag': expected bool, got 'yes'"),
        ("flag", "", "here: the option 'flag': expected bool, got ''"),
        ("count", "abc", "here: the option 'count': expected int, got 'abc'"),
        ("count", "7.5", "here: the option 'count': expected int, got '7.5'"),
        ("count", "0x7", "here: the option 'count': expected int, got '0x7'"),
        ("count", "-1", "here: the option 'count': expected int >= 0, got '-1'"),
        ("count", "100", "here: the option 'count': expected int <= 99, got '100'"),
        ("count", "9" * 400, f"here: the option 'count': expected int <= 99, got '{'9' * 99}"),
        ("rate", "nan", "here: the option 'rate': expected float > 0.0, got 'nan'"),
        ("rate", "1e999", "here: the option 'rate': expected float, got '1e999'"),
        ("name", 3, "here: the option 'name': expected str, got 3"),
        ("mode", "Fast", "here: the option 'mode': expected Literal['fast', 'slow'], got 'Fast'"),
        ("limit", "0", "here: the option 'limit': expected int >= 1, got '0'"),
        ("limit", "x", "here: the option 'limit': expected int | null, got 'x'"),
        ("password", "hunter2", "here: the option 'password': expected str of length >= 10, got something else"),
        ("topics", [1], "here: Expected `str`, got `int` at 'topics[0]'"),
        ("sped", "1", "here: there is no option 'sped'; options are: flag, count, rate, name, mode, limit, least, "),
    ],
)
def test_errors(name, value, message):
    with pytest.raises(OptionError) as caught:
        convert(Many, {name: value}, "here")
    assert str(caught.value).startswith(message)
    assert caught.value.__cause__ is None


def test_no_options():
    assert convert(Options, {}, "here") == Options()
    with pytest.raises(OptionError, match="here: there is no option 'x'; options are: none"):
        convert(Options, {"x": "1"}, "here")


def test_required():
    with pytest.raises(OptionError, match="here: the option 'path' is required"):
        convert(Needed, {"port": "1"}, "here")


def test_describe():
    assert describe(Options) == []
    assert describe(Needed) == [
        Described("port", "int", "required", "A port."),
        Described("path", "str", "required", "A path."),
        Described("plain", "int", "3", ""),
    ]
    assert describe(Many)[4:9] == [
        Described("mode", "Literal['fast', 'slow']", '"fast"', "A choice."),
        Described("limit", "int | None", "null", "A limit, if any."),
        Described("least", "float | None", "null", "A limit of one branch."),
        Described("topics", "list[str]", "[]", "Some names."),
        Described("forever", "float", "inf", "Without end."),
    ]


@pytest.mark.parametrize("options_type", [Options, Many, Needed])
def test_sample_is_toml_and_its_defaults_convert_back(options_type):
    text = sample(options_type)
    required = {item.name for item in describe(options_type) if item.default == "required"}
    assert set(tomllib.loads(text)) == required
    values = tomllib.loads(re.sub("(?m)^# ", "", text))
    assert list(values) == [item.name for item in describe(options_type)]
    unset = {item.name for item in describe(options_type) if item.default == "null"}
    converted = convert(options_type, {name: value for name, value in values.items() if name not in unset}, "sample")
    assert converted == options_type(**{name: values[name] for name in required})


def test_sample_reads_well():
    assert sample(Needed) == '## A port.\nport = 0\n\n## A path.\npath = ""\n\n## \n# plain = 3\n'


def test_expand(monkeypatch):
    monkeypatch.setenv("A_1", "one")
    assert expand("x${A_1}y${A_1}", "here") == "xoneyone"
    assert expand("$A_1 ${} ${A-1} {A_1}", "here") == "$A_1 ${} ${A-1} {A_1}"
    monkeypatch.delenv("A_1")
    with pytest.raises(OptionError, match="here: the environment variable A_1 is not set"):
        expand("${A_1}", "here")


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
anything = scalars | st.lists(scalars) | st.dictionaries(st.text(), scalars)


@given(
    st.dictionaries(
        st.sampled_from(Many.__struct_fields__), scalars | st.lists(scalars) | st.dictionaries(st.text(), scalars)
    )
)
def test_no_value_makes_it_crash(values):
    try:
        options = convert(Many, values, "here")
    except OptionError as error:
        assert str(error).startswith("here: ")
    else:
        assert 0 <= options.count <= 99


@given(st.builds(dict, flag=st.booleans(), count=st.integers(0, 99), rate=st.floats(1e-9, 1e9), name=st.text()))
def test_texts_come_back(values):
    options = convert(Many, {name: str(value) for name, value in values.items()}, "here")
    assert {name: getattr(options, name) for name in values} == values
