import json

import numpy as np
import pytest
from safetensors.numpy import save

from streamgru.errors import FormatError
from streamgru.formats import safetensors_file
from streamgru.formats.safetensors_file import MAX_HEADER_BYTES, MAX_TENSORS, parse
from tests.formats.networks import entry, safetensors_bytes


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 1, 3, 4)])
def test_every_dtype_and_rank(dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    tensors, metadata = parse(save({"a": array}, {"k": "v"}), "f")
    assert tensors["a"].dtype == array.dtype
    np.testing.assert_array_equal(array, tensors["a"], strict=True)
    assert metadata == {"k": "v"}


def test_bfloat16_becomes_the_same_number_in_float32():
    bits = np.array([0x0000, 0x3F80, 0xBF80, 0x4049, 0x7F7F, 0x0001], np.uint16)
    tensors, _ = parse(safetensors_bytes({"a": entry((6,), "BF16", (0, 12))}, bits.tobytes()), "f")
    assert tensors["a"].dtype == np.float32
    np.testing.assert_array_equal([0, 1, -1, 3.140625, 3.3895313892515355e38, 2.0**-133], tensors["a"].astype(float))


def test_tensors_cannot_be_written_to():
    tensors, _ = parse(save({"a": np.ones(3)}), "f")
    with pytest.raises(ValueError, match="read-only"):
        tensors["a"][0] = 2


TWICE = b'{"a":%s,"a":%s}' % ((json.dumps(entry()).encode(),) * 2)
HOSTILE = {
    "empty": (b"", "at least 8 bytes, got 0"),
    "short": (b"\x01\x02", "at least 8 bytes, got 2"),
    "header larger than the file": (safetensors_bytes({}, size=3), "says it has 3 bytes, but only 2 follow"),
    "header larger than allowed": (safetensors_bytes(b"{", size=MAX_HEADER_BYTES + 1), "at most 1048576 bytes"),
    "header of 2**64 - 1": (b"\xff" * 8 + b"{}", "at most 1048576 bytes, got 18446744073709551615"),
    "header no JSON": (safetensors_bytes(b"{nonsense"), "not the JSON"),
    "header no UTF-8": (safetensors_bytes(b'{"\xff":1}'), "not the JSON"),
    "header an array": (safetensors_bytes(b"[]"), "to be an object, got list"),
    "header nested deeply": (safetensors_bytes(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "not the JSON"),
    "twins": (safetensors_bytes(TWICE, bytes(4)), "twice"),
    "twin metadata": (safetensors_bytes(b'{"__metadata__":{"a":"1","a":"2"}}'), "twice"),
    "metadata no strings": (safetensors_bytes({"__metadata__": {"a": 1}}), "well-formed"),
    "metadata no object": (safetensors_bytes({"__metadata__": 7}), "__metadata__ to be an object, got int"),
    "entry no object": (safetensors_bytes({"a": 1}), "dtype, shape and data_offsets"),
    "no shape": (safetensors_bytes({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, bytes(4)), "shape"),
    "no offsets": (safetensors_bytes({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)), "well-formed"),
    "unknown dtype": (safetensors_bytes({"a": entry(dtype="F8_E4M3", offsets=(0, 1))}, bytes(1)), "F8_E4M3"),
    "dtype no text": (safetensors_bytes({"a": entry(dtype=["F32"])}, bytes(4)), "dtype"),
    "five dimensions": (safetensors_bytes({"a": entry((1,) * 5)}, bytes(4)), "at most 4 dimensions, got 5"),
    "long name": (safetensors_bytes({"a" * 257: entry()}, bytes(4)), "at most 256 bytes"),
    "lone surrogate": (safetensors_bytes(rb'{"\ud800":%s}' % json.dumps(entry()).encode(), bytes(4)), "well-formed"),
    "too many": (safetensors_bytes({f"{i}": entry((0,), offsets=(0, 0)) for i in range(MAX_TENSORS + 1)}), "4097"),
    "shape larger than its bytes": (safetensors_bytes({"a": entry((2,))}, bytes(4)), "well-formed"),
    "shape that overflows": (safetensors_bytes({"a": entry((2**62, 2**62))}, bytes(4)), "expected sizes up to"),
    "negative size": (safetensors_bytes({"a": entry((-1,))}, bytes(4)), "expected sizes up to"),
    "offsets outside": (safetensors_bytes({"a": entry((2,), offsets=(0, 8))}, bytes(4)), "well-formed"),
    "offsets backwards": (safetensors_bytes({"a": entry(offsets=(4, 0))}, bytes(4)), "well-formed"),
    "overlap": (safetensors_bytes({"a": entry(), "b": entry()}, bytes(4)), "well-formed"),
    "hole": (safetensors_bytes({"a": entry(offsets=(4, 8))}, bytes(8)), "well-formed"),
    "bytes left over": (safetensors_bytes({"a": entry()}, bytes(5)), "well-formed"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_are_refused_by_name(what):
    data, message = HOSTILE[what]
    with pytest.raises(FormatError, match=message) as caught:
        parse(data, "some/where")
    assert str(caught.value).startswith("some/where: ")
    assert len(str(caught.value)) < 1000


def test_a_file_over_the_limit_is_refused_before_parsing(monkeypatch):
    monkeypatch.setattr(safetensors_file, "MAX_BYTES", 10)
    with pytest.raises(FormatError, match="at most 10 bytes"):
        parse(bytes(11), "f")
