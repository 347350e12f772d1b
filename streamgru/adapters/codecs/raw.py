"""Rows of little-endian float32, nothing else: ``n_in`` numbers in, ``n_out`` numbers out."""

from __future__ import annotations

import numpy as np

from streamgru.adapters.codecs.base import Codec, Decoder, Encoder, Predictions, Rows
from streamgru.errors import RecordError

FLOAT = np.dtype("<f4")


class RawCodec(Codec):
    """Binary rows. A row that is refused is answered by NaN, since there is no room for words."""

    name = "raw"
    framing = "bytes"

    def decoder(self) -> Decoder:
        return RawDecoder(self.signature.n_in)

    def encoder(self) -> Encoder:
        return RawEncoder()


class RawDecoder(Decoder):
    """Cuts bytes into rows of (n_in,) float32."""

    def __init__(self, n_in: int) -> None:
        self._n_in = n_in
        self._row_bytes = n_in * FLOAT.itemsize
        self._open = b""

    def feed(self, data: bytes) -> Rows:
        data = self._open + data
        whole = len(data) - len(data) % self._row_bytes
        self._open = data[whole:]
        return Rows(np.frombuffer(data[:whole], FLOAT).reshape(-1, self._n_in))

    def finish(self, cut: bool) -> Rows:
        if not self._open:
            return Rows([])
        error = RecordError(f"expected rows of {self._row_bytes} bytes, got {len(self._open)} bytes at the end")
        self._open = b""
        return Rows([[0.0] * self._n_in], errors={0: error})


class RawEncoder(Encoder):
    """Rows of (n_out,) float32."""

    def encode(self, predictions: Predictions) -> list[bytes]:
        y = predictions.y.astype(FLOAT)
        for i in predictions.errors:
            y[i] = np.nan
        return [row.tobytes() for row in y]
