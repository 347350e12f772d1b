"""Numbers that survive being printed, and bytes cut into lines."""

import json

import numpy as np
import pytest

from streamgru.adapters.codecs.base import LineDecoder, Rows, Signature, printable
from streamgru.errors import RecordError


def of_bits(patterns):
    return patterns.astype(np.uint32).view(np.float32)


def round_trips(y):
    """Whether every number, printed and read again, is the same; zeros of both signs are."""
    texts = [json.dumps(row) for row in printable(y)]
    return np.array_equal(np.array([json.loads(text) for text in texts], np.float64).astype(np.float32), y)


def test_every_float32_around_the_powers_of_ten_and_two_round_trips():
    tens = np.array([float(f"1e{e}") for e in range(-45, 39)], np.float32)
    centres = np.concatenate([tens.view(np.uint32), np.arange(255, dtype=np.uint32) << 23]).astype(np.int64)
    patterns = centres[:, None] + np.arange(-400, 401)
    assert round_trips(of_bits(patterns[(patterns >= 0) & (patterns < 0x7F80_0000)]).reshape(1, -1))


def test_random_float32_round_trip(rng):
    y = of_bits(rng.integers(0, 1 << 32, 400_000))
    assert round_trips(y[np.isfinite(y)].reshape(1, -1))


def test_the_extremes_round_trip():
    info = np.finfo(np.float32)
    assert round_trips(np.array([[0, -0.0, info.max, info.min, info.tiny, info.smallest_subnormal, 1, -1]], np.float32))


def test_common_numbers_print_in_at_most_nine_digits(rng):
    y = (rng.uniform(-1, 1, (100, 20)) * 10.0 ** rng.integers(-10, 9, (100, 20))).astype(np.float32)
    for row in printable(y):
        for value in row:
            digits = repr(value).lstrip("-").split("e")[0].replace(".", "").strip("0")
            assert len(digits) <= 9, value
    assert printable(np.array([[0.1, 0.5, 100]], np.float32)) == [[0.100000001, 0.5, 100.0]]


def test_float64_is_left_alone(rng):
    y = rng.normal(size=(5, 7))
    assert printable(y) == y.tolist()


@pytest.mark.parametrize(("n_in", "limit"), [(1, 65_536), (1_000, 65_536), (10_000, 324_096)])
def test_the_limit_of_a_record_grows_with_the_model(n_in, limit):
    assert Signature(n_in, 1).max_record == limit


class Words:
    """A codec of lines that keeps what it is given, and refuses what has an x in it or is no text."""

    def __init__(self, **settings):
        self.lines = []
        self.decoder = LineDecoder(10, self._parse, **{"trust_cut_end": True} | settings)

    def _parse(self, lines):
        kept = [i for i, line in enumerate(lines) if line.strip()]
        bad = {k: RecordError("bad") for k, i in enumerate(kept) if b"x" in lines[i] or not lines[i].isascii()}
        self.lines += [lines[i] for i in kept]
        return Rows([[0.0]] * len(kept), errors=bad, lines=kept)

    def feed(self, *pieces, cut=False):
        """All errors, by the line they stand in, after all pieces and the end."""
        blocks = [self.decoder.feed(piece) for piece in pieces] + [self.decoder.finish(cut)]
        return {rows.lines[k]: str(error) for rows in blocks for k, error in rows.errors.items()}


def test_lines_in_any_pieces():
    data = b"one\ntwo\r\n\n  \nthree\nx\nfour"
    for size in range(1, len(data) + 1):
        words = Words()
        errors = words.feed(*(data[i : i + size] for i in range(0, len(data), size)))
        assert words.lines == [b"one", b"two\r", b"three", b"x", b"four"]
        assert errors == {6: "bad"}


@pytest.mark.parametrize("length", [11, 12, 25, 1000])
def test_a_line_that_is_too_long_is_one_error_and_reading_goes_on(length):
    data = b"one\n" + b"y" * length + b"\ntwo\n"
    expected = {2: "expected a line of at most 10 bytes, got a longer one"}
    for size in (1, 2, 3, 7, 11, len(data)):
        words = Words()
        assert words.feed(*(data[i : i + size] for i in range(0, len(data), size))) == expected
        assert [words.lines[0], words.lines[-1]] == [b"one", b"two"]


def test_a_line_of_just_the_limit_is_taken():
    words = Words()
    assert words.feed(b"y" * 10 + b"\n" + b"z" * 10) == {}
    assert words.lines == [b"y" * 10, b"z" * 10]


def test_a_line_without_an_end_is_not_kept():
    words = Words()
    for _ in range(1000):
        words.decoder.feed(b"y" * 1000)
        assert len(words.decoder._open) <= 10


def test_a_torn_last_line_is_an_error_where_it_cannot_be_trusted():
    assert Words(trust_cut_end=False).feed(b"one\ntw", cut=True) == {
        2: "the connection ended in the middle of a record"
    }
    assert Words(trust_cut_end=False).feed(b"one\ntw", cut=False) == {}
    assert Words(trust_cut_end=False).feed(b"one\n", cut=True) == {}
    assert Words(trust_cut_end=True).feed(b"one\ntw", cut=True) == {}
