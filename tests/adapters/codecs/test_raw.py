"""Rows of little-endian float32."""

import numpy as np

from streamgru.adapters.codecs.base import Predictions, Signature
from streamgru.adapters.codecs.raw import RawCodec


def test_any_pieces_give_the_same_rows(rng):
    x = rng.normal(size=(7, 3)).astype("<f4")
    data = x.tobytes()
    for size in range(1, len(data) + 1):
        decoder = RawCodec(Signature(3, 1)).decoder()
        blocks = [decoder.feed(data[i : i + size]).x for i in range(0, len(data), size)]
        np.testing.assert_array_equal(np.concatenate(blocks), x)
        assert not len(decoder.finish(True))


def test_a_torn_row_is_one_error():
    decoder = RawCodec(Signature(3, 1)).decoder()
    assert len(decoder.feed(bytes(12 + 5))) == 1
    rows = decoder.finish(True)
    assert len(rows) == 1 and str(rows.errors[0]) == "expected rows of 12 bytes, got 5 bytes at the end"
    assert not len(decoder.finish(True))


def test_every_bit_goes_out_and_an_error_is_nan(rng):
    y = rng.normal(size=(3, 2)).astype(np.float32)
    pieces = RawCodec(Signature(3, 2)).encoder().encode(Predictions(y, errors={1: "bad"}))
    assert [len(piece) for piece in pieces] == [8, 8, 8]
    got = np.frombuffer(b"".join(pieces), "<f4").reshape(3, 2)
    np.testing.assert_array_equal(got[[0, 2]], y[[0, 2]])
    assert np.isnan(got[1]).all() and np.isfinite(y).all(), "the predictions themselves stay as they are"
