"""Comma-separated values: with and without a header, strict, and cut anywhere."""

import csv
import io

import numpy as np
import pytest

from streamgru.adapters.codecs.base import MAX_ID, Named, Predictions, Signature
from streamgru.adapters.codecs.csv import CsvCodec


def decoded(data, n_in=2, features=(), cut=False, size=None):
    """Rows of all blocks, as (x, error, further columns) by the line where they stood."""
    decoder = CsvCodec(Signature(n_in, 1, features)).decoder()
    size = size or max(len(data), 1)
    blocks = [decoder.feed(data[i : i + size]) for i in range(0, len(data), size)] + [decoder.finish(cut)]
    found = {}
    for rows in blocks:
        for k in range(len(rows)):
            names = ("ids", "t", "seq", "start", "end", "reset")
            more = {name: column[k] for name in names if (column := getattr(rows, name)) and column[k]}
            found[rows.lines[k]] = ("error", str(rows.errors[k])) if k in rows.errors else (rows.x[k], more)
    return found


def errors(data, **settings):
    return [line for line, (what, _) in decoded(data, **settings).items() if what == "error"]


def test_without_a_header():
    assert decoded(b"1,2\n\n -3e2 , +0.5\r\n7,8") == {1: ([1, 2], {}), 3: ([-300, 0.5], {}), 4: ([7, 8], {})}


def test_an_empty_field_is_a_missing_value():
    assert decoded(b"1,\n,2\n") == {1: ([1, None], {}), 2: ([None, 2], {})}


def test_a_header_may_name_anything_in_any_order():
    data = b"seq,b,id,end,a,t,start,reset\n5,1,k,TRUE,2,0.5,0,false\n,3,,,4,,1,true\n"
    assert decoded(data) == {
        2: ([1, 2], {"seq": 5, "ids": "k", "end": True, "t": 0.5}),
        3: ([3, 4], {"start": True, "reset": True}),
    }
    assert decoded(data, features=("a", "b"))[2][0] == [2, 1], "the names of the model decide the order"


def test_quoted_fields():
    assert decoded(b'id,a,b\n"a,""b""","1",2\n') == {2: ([1, 2], {"ids": 'a,"b"'})}


@pytest.mark.parametrize(
    "line",
    [
        b"1", b"1,2,3", b"a,2", b"1;2", b"1_0,2", "１,2".encode(), b"0x1,2", b"1,2e", b"1 0,2", b"\xff,2",
        b"1\x00,2", b"--1,2", b"1,true", b"[1,2]", b'1,"2', b'"1"x,2',
    ],
)  # fmt: skip
def test_refused_without_a_header(line):
    assert errors(b"\n".join([b"1,2", line, b"3,4", b""])) == [2]


@pytest.mark.parametrize(
    "line",
    [
        b"a,1,2", b"a,1,,2,3,4", b"a,nan,,,1,2", b"a,inf,,,1,2", b"a,1e999,,,1,2", b"a,x,,,1,2", b"a,,1.5,,1,2",
        b"a,,9223372036854775808,,1,2", b"a,," + b"9" * 5000 + b",,1,2", b"a,,1_0,,1,2", b"a,,,yes,1,2", b"a,,,2,1,2",
        b"i" * (MAX_ID + 1) + b",,,,1,2",
    ],
)  # fmt: skip
def test_refused_with_a_header(line):
    good = b"a,0.5,9223372036854775807,1,1,2"
    assert errors(b"\n".join([b"id,t,seq,end,p,q", good, line, good, b""])) == [3]


@pytest.mark.parametrize("header", [b"id,a", b"a,b,c", b"a,a", b"id,id,a,b", b"x"])
def test_a_header_that_does_not_fit_is_an_error_and_the_next_line_is_no_header(header):
    found = decoded(header + b"\n1,2\na,b\n")
    assert found[1][0] == found[3][0] == "error" and found[2] == ([1, 2], {})


WITH_UNITS = ("ax [g]", "ay [g]", "wx [rad/s]")


@pytest.mark.parametrize(
    ("header", "line", "more"),
    [
        ("ax [g],ay [g],wx [rad/s]", "1,2,3", {}),
        ("ax,ay,wx", "1,2,3", {}),
        ("ay,ax,wx", "2,1,3", {}),
        (" wx , ay [g],ax", "3,2,1", {}),
        ("wx [rad/s],id,ay,t,ax [g]", "3,k,2,0.5,1", {"ids": "k", "t": 0.5}),
        ("\ufeffay,ax,wx", "2,1,3", {}),  # as spreadsheets begin a file
    ],
)
def test_the_names_of_a_header_decide_the_order_with_or_without_units(header, line, more):
    assert decoded(f"{header}\n{line}\n".encode(), n_in=3, features=WITH_UNITS) == {2: ([1, 2, 3], more)}


@pytest.mark.parametrize(
    "header",
    [
        "a,b,c", "ax,ay,c", "ax,ay", "ax,ay,wx,mag", "ax,ay,wx,", "ax,ax,wx", "ax,ax [g],wx", "ax,ax [g],ay,wx",
        "ax [m/s²],ay,wx", "AX,ay,wx", "ax [,ay,wx", "id,ax,ay", "id,id,ax,ay,wx", "x,y,z,ax,ay,wx",
    ],
)  # fmt: skip
def test_a_header_of_other_names_is_refused_and_nothing_is_taken_by_position(header):
    found = decoded(f"{header}\n1,2,3\n4,5,6\n".encode(), n_in=3, features=WITH_UNITS)
    expected = "ax [g], ay [g], wx [rad/s], besides any of id, t, seq, start, end, reset"
    assert found[1] == ("error", f"header: expected {expected}; got {header.replace(',', ', ')}")
    assert found[2] == found[3] == ("error", "the header was refused")


def test_a_bad_first_record_is_no_header_that_others_need():
    found = decoded(b"1,2,x\n4,5,6\n", n_in=3, features=WITH_UNITS)
    assert found[1][0] == "error" and found[2] == ([4, 5, 6], {})


@pytest.mark.parametrize(
    ("features", "header", "x"),
    [
        (("a [left]", "a [right]"), "a [right],a [left]", [2, 1]),
        (("a [left]", "a [right]"), "a,a [left]", None),
        (("a [left]", "a [right]"), "a [left],a", None),
        (("a", "a [g]"), "a [g],a", [2, 1]),
        (("a", "a [g]"), "a,b", None),
        (("t [s]", "b"), "b,t [s]", [2, 1]),
        (("t [s]", "b"), "b,t", None),  # t is the clock
        (("[g]", "b"), "b,[g]", [2, 1]),
        (("[g]", "b"), "b,", None),
        (("a[g]", "b"), "b,a", [2, 1]),
        (("a [g] [m]", "b"), "b,a [g]", [2, 1]),
        (("t", "b"), "b,t", [2, 1]),  # the names of the model come first
        (("a", "a"), "a,b", None),
    ],
)
def test_a_name_without_its_unit_must_tell_one_feature(features, header, x):
    found = decoded(f"{header}\n1,2\n".encode(), features=features)
    assert found == {2: (x, {})} if x else found[1][0] == found[2][0] == "error"


def test_features_of_one_name_leave_no_way_to_name_them():
    assert decoded(b"a,a\n", features=("a", "a"))[1] == (
        "error", "header: the model has features of the same name; only a file without a header can be taken"
    )  # fmt: skip


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs")])
@pytest.mark.parametrize("lines", ["a b\n1 2", "1 2\n3 4", "1,2\n3 4", "a,b\n1 2", "1,2\n1,5 2,5", "1,2\n1,5 2"])
def test_other_separators_than_commas_are_named(separator, name, lines):
    data = lines.replace(" ", separator).encode()
    for features in ((), ("a", "b")):
        wrong = [what[1] for what in decoded(data, features=features).values() if what[0] == "error"]
        assert wrong and wrong[0].endswith(f"; fields are separated by commas, not {name}")


def test_separators_are_not_blamed_for_other_errors():
    found = decoded(b"id,t,a,b\nx;y,0.5,1,2\nx;y,nan,1,2\nx;y,0.5,1,z\n")
    assert found[2] == ([1, 2], {"ids": "x;y", "t": 0.5})
    assert "commas" not in found[3][1] + found[4][1]


def test_not_finite_numbers_are_left_to_the_engine():
    assert np.isinf(decoded(b"1e999,1\n")[1][0][0]) and np.isnan(decoded(b"nan,1\n")[1][0][0])


@pytest.mark.parametrize("n_in", [1, 2])
def test_a_line_that_is_too_long_is_no_header(n_in):
    row = b",".join([b"1"] * n_in)
    assert errors(b"y" * 70_000 + b"\n" + row + b"\n", n_in=n_in) == [1]


def test_any_pieces_give_the_same():
    data = b'id,t,a,b\r\nk,1,1,2\n\n"m",2,x,4\n,,5,6\nk,3,7,8'
    whole = decoded(data)
    assert len(whole) == 4
    for size in range(1, len(data)):
        assert decoded(data, size=size) == whole


def test_a_torn_last_line_is_refused():
    for line in (b"1,2\n3,4", b"1,2\n3,"):
        assert decoded(line, cut=True)[2] == ("error", "the connection ended in the middle of a record")
    assert errors(b"1,2\n3,4\n", cut=True) == []


Y = np.array([[1, 0.25], [2, -0.5]], np.float32)


def encoded(outputs=(), y=Y, **columns):
    encoder = CsvCodec(Signature(1, 2, (), outputs)).encoder()
    pieces = encoder.encode(Predictions(y, **columns))
    again = encoder.encode(Predictions(y, **columns))
    assert len(pieces) == len(again) == len(y)
    return list(csv.reader(io.StringIO(b"".join(pieces).decode(), newline=""))), b"".join(again)


def test_no_header_in_no_header_out():
    lines, again = encoded()
    assert lines == [["1.0", "0.25"], ["2.0", "-0.5"]]
    assert again == b"1.0,0.25\n2.0,-0.5\n"
    assert encoded(errors={1: 'no, "never"'})[0][1] == ['error: no, "never"']


def test_the_header_goes_out_once():
    lines, again = encoded(ids=["a", "b,c"], t=[0.5, None], seq=[None, 7], objects=[True, True], errors={1: "bad"})
    assert lines == [
        ["id", "t", "seq", "y0", "y1", "error"],
        ["a", "0.5", "", "1.0", "0.25", ""],
        ["b,c", "", "7", "", "", "bad"],
    ]
    assert b"seq" not in again


def test_named_outputs_and_labels():
    outputs = (Named("h", 0, 1, 10.0, 0.5), Named("move", 0, 2, labels=("up", "down")))
    lines, _ = encoded(outputs, objects=[True, True])
    assert lines[0] == ["id", "t", "seq", "h", "move.up", "move.down", "label", "error"]
    assert lines[1] == ["", "", "", "10.5", "1.0", "0.25", "up", ""]


def test_random_float32_round_trip(rng):
    y = rng.integers(0, 0x7F80_0000, (1000, 2)).astype(np.uint32).view(np.float32)
    lines, _ = encoded(y=y)
    np.testing.assert_array_equal(np.array(lines, np.float64).astype(np.float32), y)
