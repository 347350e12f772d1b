"""JSON lines: what is taken, what is refused, and what is answered."""

import json

import numpy as np
import pytest

from streamgru.adapters.codecs.base import MAX_ID, Named, Predictions, Signature
from streamgru.adapters.codecs.ndjson import NdjsonCodec

GOOD = b"[1,2]"

# The names follow JSONTestSuite: y_ is JSON, n_ is not, i_ is for the implementation to decide; r_ is
# JSON, but no record. One line each.
TAKEN = {
    "y_plain": b"[1,2]",
    "y_spaces_and_tabs": b" \t[ 1 ,\t2 ] ",
    "y_carriage_return": b"[1,2]\r",
    "y_exponents": b"[1e2,-2.5E-1]",
    "y_signed_exponent": b"[1e+2,0e0]",
    "y_negative_zero": b"[-0,-0.0]",
    "y_many_digits": b"[0." + b"1" * 5000 + b",2]",
    "y_underflow": b"[1e-400,1e-50]",
    "y_object": b'{"x":[1,2]}',
    "y_object_in_any_order": b'{"end":true,"seq":7,"x":[1,2],"id":"a","t":-1.5,"start":true,"reset":false}',
    "y_null_clock": b'{"x":[1,2],"t":null,"seq":null}',
    "y_integer_id": b'{"x":[1,2],"id":-9223372036854775808}',
    "y_escaped_key": b'{"\\u0078":[1,2]}',
    "y_escaped_id": b'{"x":[1,2],"id":"\\"x\\": \\u00e9\\n"}',
    "y_surrogate_pair": b'{"x":[1,2],"id":"\\ud83d\\ude00"}',
    "y_utf8_id": '{"x":[1,2],"id":"ключ 🗝"}'.encode(),
    "y_id_that_looks_like_fields": b'{"id":"\\"x\\":","x":[1,2]}',
    "y_longest_id": b'{"x":[1,2],"id":"' + b"i" * MAX_ID + b'"}',
    "y_largest_seq": b'{"x":[1,2],"seq":9223372036854775807}',
    "i_missing_value": b"[1,null]",  # the codec takes it; whether a step does is the policy of the model
}
REFUSED = {
    "n_nan": b"[NaN,1]",
    "n_infinity": b"[Infinity,1]",
    "n_minus_infinity": b"[-Infinity,1]",
    "n_lower_nan": b"[nan,1]",
    "n_inf": b"[inf,1]",
    "n_plus": b"[+1,2]",
    "n_leading_zero": b"[01,2]",
    "n_negative_leading_zero": b"[-01,2]",
    "n_leading_dot": b"[.5,2]",
    "n_trailing_dot": b"[1.,2]",
    "n_lone_minus": b"[-,2]",
    "n_space_after_minus": b"[- 1,2]",
    "n_hexadecimal": b"[0x1,2]",
    "n_digit_separator": b"[1_0,2]",
    "n_empty_exponent": b"[1e,2]",
    "n_exponent_sign_only": b"[1e+,2]",
    "n_broken_exponent": b"[1e1.5,2]",
    "n_full_width_digit": "[１,2]".encode(),
    "n_trailing_comma": b"[1,2,]",
    "n_double_comma": b"[1,,2]",
    "n_leading_comma": b"[,1,2]",
    "n_missing_comma": b"[1 2]",
    "n_colon": b"[1:2]",
    "n_unclosed_array": b"[1,2",
    "n_only_closed": b"]",
    "n_wrong_bracket": b"[1,2}",
    "n_extra_bracket": b"[1,2]]",
    "n_two_values": b"[1,2][3,4]",
    "n_two_values_with_a_space": b"[1,2] [3,4]",
    "n_comment": b"[1,2]//",
    "n_block_comment": b"[1,/**/2]",
    "n_trailing_text": b"[1,2]x",
    "n_bom": b"\xef\xbb\xbf[1,2]",
    "n_utf16": "[1,2]".encode("utf-16-le"),
    "n_nul": b"[1,2]\x00",
    "n_form_feed": b"[1,\x0c2]",
    "n_no_break_space": b"[1,\xc2\xa02]",
    "n_vertical_tab_outside": b"\x0b[1,2]",
    "n_word": b"hello",
    "n_true_capital": b'{"x":[1,2],"end":True}',
    "n_single_quotes": b"{'x':[1,2]}",
    "n_unquoted_key": b"{x:[1,2]}",
    "n_number_key": b"{1:[1,2]}",
    "n_trailing_comma_in_object": b'{"x":[1,2],}',
    "n_missing_colon": b'{"x" [1,2]}',
    "n_missing_value": b'{"x":}',
    "n_unclosed_object": b'{"x":[1,2]',
    "n_unclosed_string": b'{"x":[1,2],"id":"a}',
    "n_control_character": b'{"x":[1,2],"id":"a\x01"}',
    "n_tab_in_string": b'{"x":[1,2],"id":"a\t"}',
    "n_bad_escape": b'{"x":[1,2],"id":"\\x41"}',
    "n_short_unicode_escape": b'{"x":[1,2],"id":"\\u12"}',
    "n_lone_high_surrogate": b'{"x":[1,2],"id":"\\ud800"}',
    "n_lone_low_surrogate": b'{"x":[1,2],"id":"\\udc00"}',
    "n_surrogates_swapped": b'{"x":[1,2],"id":"\\ude00\\ud83d"}',
    "n_high_surrogate_and_letter": b'{"x":[1,2],"id":"\\ud800a"}',
    "n_bad_utf8": b'{"x":[1,2],"id":"\xff"}',
    "n_bad_utf8_in_key": b'{"x":[1,2],"\xff":1}',
    "n_bad_utf8_in_array": b"[1,\xff2]",
    "n_overlong_utf8": b'{"x":[1,2],"id":"\xc0\xaf"}',
    "n_surrogate_in_utf8": b'{"x":[1,2],"id":"\xed\xa0\x80"}',
    "n_truncated_utf8": b'{"x":[1,2],"id":"\xe2\x82"}',
    "n_bomb_of_arrays": b"[" * 65_000,
    "n_bomb_of_objects": b'{"x":' * 12_000,
    "r_too_large": b"[1e999,2]",
    "r_minus_too_large": b"[-1e999,2]",
    "r_huge_integer": b"[" + b"9" * 5000 + b",2]",
    "r_too_few": b"[1]",
    "r_too_many": b"[1,2,3]",
    "r_none": b"[]",
    "r_null": b"null",
    "r_number": b"1",
    "r_string": b'"x"',
    "r_true": b"true",
    "r_string_of_digits": b'["1",2]',
    "r_bool_in_array": b"[true,2]",
    "r_nested": b"[[1,2]]",
    "r_closed_bomb": b"[" * 30_000 + b"]" * 30_000,
    "r_bomb_in_unknown_field": b'{"x":[1,2],"y":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "r_empty_object": b"{}",
    "r_no_x": b'{"id":"a"}',
    "r_null_x": b'{"x":null}',
    "r_x_is_a_number": b'{"x":1}',
    "r_short_x": b'{"x":[1]}',
    "r_unknown_field": b'{"x":[1,2],"y":1}',
    "r_capital_field": b'{"X":[1,2]}',
    "r_twice": b'{"x":[1,2],"x":[3,4]}',
    "r_twice_the_same": b'{"id":"a","x":[1,2],"id":"a"}',
    "r_twice_with_spaces": b'{"x" : [1,2], "t":1, "t" :2}',
    "r_twice_by_an_escape": b'{"x":[1,2],"\\u0078":[3,4]}',
    "r_null_id": b'{"x":[1,2],"id":null}',
    "r_float_id": b'{"x":[1,2],"id":1.5}',
    "r_bool_id": b'{"x":[1,2],"id":true}',
    "r_array_id": b'{"x":[1,2],"id":[1]}',
    "r_large_id": b'{"x":[1,2],"id":9223372036854775808}',
    "r_huge_id": b'{"x":[1,2],"id":' + b"9" * 5000 + b"}",
    "r_long_id": b'{"x":[1,2],"id":"' + b"i" * (MAX_ID + 1) + b'"}',
    "r_large_seq": b'{"x":[1,2],"seq":9223372036854775808}',
    "r_small_seq": b'{"x":[1,2],"seq":-9223372036854775809}',
    "r_float_seq": b'{"x":[1,2],"seq":1.0}',
    "r_infinite_t": b'{"x":[1,2],"t":1e999}',
    "r_text_t": b'{"x":[1,2],"t":"1"}',
    "r_number_for_start": b'{"x":[1,2],"start":1}',
    "r_null_for_end": b'{"x":[1,2],"end":null}',
    "r_text_for_reset": b'{"x":[1,2],"reset":"true"}',
}


def decoded(data, n_in=2):
    decoder = NdjsonCodec(Signature(n_in, 1)).decoder()
    first, last = decoder.feed(data), decoder.finish(False)
    return last if len(last) else first


@pytest.mark.parametrize("name", TAKEN)
def test_taken(name):
    rows = decoded(TAKEN[name] + b"\n")
    assert len(rows) == 1 and not rows.errors


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("among", ["arrays", "objects"])
def test_refused_alone(name, among):
    good = GOOD if among == "arrays" else b'{"id":"a","x":[1,2]}'
    rows = decoded(b"\n".join([good, REFUSED[name], good, b""]))
    assert len(rows) == 3
    assert list(rows.errors) == [1] and list(rows.lines) == [1, 2, 3]
    assert "Traceback" not in str(rows.errors[1]) and len(str(rows.errors[1])) < 65_536
    np.testing.assert_array_equal([rows.x[0], rows.x[2]], [[1, 2], [1, 2]])


HINT = "is this CSV? then --codec csv"
CSV = (b"1,2", b"-1.5e3, +2\r", b"1", b"1;2", b"1 2", b"ax [g],ay [g]", b"id,a", b'"k",1,2', b"\xef\xbb\xbf1,2", b"1,,")


@pytest.mark.parametrize("line", CSV)
def test_what_looks_like_csv_is_told_how_to_be_taken(line):
    (error,) = decoded(line + b"\n").errors.values()
    assert str(error) == f"expected a JSON array of numbers, or an object with x; {HINT}"


@pytest.mark.parametrize("name", [name for name, line in REFUSED.items() if line not in CSV])
def test_other_lines_are_not_taken_for_csv(name):
    assert HINT not in str(decoded(REFUSED[name] + b"\n").errors[0])


def test_all_refused_cases_in_one_stream():
    lines = [line for bad in REFUSED.values() for line in (bad, GOOD)]
    rows = decoded(b"\n".join(lines) + b"\n")
    assert sorted(rows.errors) == list(range(0, len(lines), 2))


@pytest.mark.parametrize(
    "lines",
    [
        [b"[1,", b"2]", b"[3,4] [5,6]"],  # as many arrays as lines, but not one in each
        [b"[1,2] [3,4]", b""],
        [b"[1,2]", b"[3,4", b"][5,6]"],
    ],
)
def test_arrays_are_not_put_together_across_lines(lines):
    rows = decoded(b"\n".join(lines) + b"\n")
    assert len(rows.errors) == sum(line not in (b"", b"[1,2]") for line in lines)


def test_the_columns_of_objects_and_arrays_in_turn():
    rows = decoded(b'{"x":[1,2],"id":"a","t":0.5,"start":true}\n[3,4]\n{"x":[5,6],"id":7,"seq":9,"end":true}\n')
    assert rows.x == [[1, 2], [3, 4], [5, 6]]
    assert rows.ids == ["a", "", 7]
    assert (rows.t, rows.seq) == ([0.5, None, None], [None, None, 9])
    assert (rows.start, rows.end, rows.reset) == ([True, False, False], [False, False, True], None)
    assert rows.objects == [True, False, True]


def test_a_block_of_arrays_is_one_matrix():
    rows = decoded(b"[1,2]\n[3,4]\n")
    assert isinstance(rows.x, np.ndarray) and rows.ids is None and rows.objects is None
    np.testing.assert_array_equal(rows.x, [[1, 2], [3, 4]])


def test_an_unterminated_last_record_is_taken_if_it_is_whole():
    for cut in (False, True):
        decoder = NdjsonCodec(Signature(2, 1)).decoder()
        assert not len(decoder.feed(b"[1,2"))
        assert decoder.finish(cut).errors.keys() == {0}
        decoder.feed(b"[1,2]")
        assert not decoder.finish(cut).errors


def encoded(outputs=(), **columns):
    y = np.array([[1, 0.25], [2, -0.5], [3, 0.75]], np.float32)
    pieces = NdjsonCodec(Signature(1, 2, (), outputs)).encoder().encode(Predictions(y, **columns))
    assert all(piece.endswith(b"\n") and piece.count(b"\n") == 1 for piece in pieces)
    return [json.loads(piece) for piece in pieces]


def test_bare_arrays_are_answered_by_bare_arrays():
    assert encoded() == [[1, 0.25], [2, -0.5], [3, 0.75]]


def test_objects_are_answered_by_objects_that_repeat_id_t_and_seq():
    answers = encoded(ids=["a", "", 0], t=[0.5, None, 0.0], seq=[None, 4, 0], objects=[True, False, True])
    assert answers == [
        {"id": "a", "t": 0.5, "y": [1, 0.25]},
        [2, -0.5],
        {"id": 0, "t": 0.0, "seq": 0, "y": [3, 0.75]},
    ]


def test_errors_repeat_them_too():
    answers = encoded(ids=["a", "", "c"], seq=[1, 2, 3], objects=[True, False, True], errors={1: 'a "b"\n', 2: "no"})
    assert answers[1:] == [{"seq": 2, "error": 'a "b"\n'}, {"id": "c", "seq": 3, "error": "no"}]


def test_named_outputs_with_factor_offset_and_labels():
    outputs = (Named("height", 0, 1, 10.0, 0.5), Named("move", 0, 2, labels=("up", "down")))
    answers = encoded(outputs, objects=[True, False, True])
    assert answers == [
        {"height": 10.5, "move": [1, 0.25], "label": "up"},
        [2, -0.5],
        {"height": 30.5, "move": [3, 0.75], "label": "up"},
    ]


def test_two_labelled_outputs_have_a_label_each():
    outputs = (Named("a", 0, 2, labels=("p", "q")), Named("b", 0, 2, labels=("r", "s")))
    assert encoded(outputs, objects=[True] * 3)[0] == {"a": [1, 0.25], "a_label": "p", "b": [1, 0.25], "b_label": "r"}


def test_what_is_not_finite_is_never_printed_bare():
    y = np.array([[np.nan, np.inf]], np.float32)
    assert NdjsonCodec(Signature(1, 2)).encoder().encode(Predictions(y)) == [b"[null,null]\n"]
