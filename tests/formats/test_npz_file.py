"""NumPy archives: what NumPy reads, and nothing that it would execute."""

import io
import struct
import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy_format

from streamgru.errors import FormatError
from streamgru.formats import npz_file
from streamgru.formats.bare import arrays

DTYPES = ("<f2", "<f4", "<f8", ">f2", ">f4", ">f8", "|i1", "|u1", "<i2", ">i2", "<u4", ">i8", "<u8")


def npz(compressed=False, **items):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **items)
    return file.getvalue()


def npy(header, body=b"", version=(1, 0), size=None):
    """An .npy file by hand; *header* is its text."""
    text = header.encode("latin-1")
    size = len(text) if size is None else size
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version[0] == 1 else "<I", size) + text + body


def archive(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name, data in members.items():
            zipped.writestr(f"{name}.npy", data)
    return file.getvalue()


HEADER = "{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}"


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_come_as_numpy_wrote_them(dtype, order, compressed, rng):
    whole = (rng.uniform(-100, 100, (2, 3, 4))).astype(dtype, order=order)
    for array in (whole, whole[0], whole[0, 0], whole[:0], whole[0, 0, 0].reshape(())):
        found = arrays(npz(compressed, a=array), "f")["a"]
        assert found.dtype == array.dtype.newbyteorder("=") and found.dtype.isnative
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_of_the_format(version):
    file = io.BytesIO()
    npy_format.write_array(file, np.arange(3.0), version)
    np.testing.assert_array_equal(npz_file.parse(file.getvalue(), "a"), [0, 1, 2])


@pytest.mark.parametrize("header", [
    "{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }",
    '{"shape": (2,), "fortran_order": False, "descr": "<f4"}',
    "{'fortran_order':True,'descr':'<f4','shape':(2)}    \n",
])  # fmt: skip
def test_headers_of_other_writers(header):
    np.testing.assert_array_equal(npz_file.parse(npy(header, np.float32([1, 2]).tobytes()), "a"), [1, 2])


class Canary:
    """Complains when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("it was unpickled",)


OTHERS = {
    "objects": (np.array([Canary()], dtype=object), "pickle, which is never opened"),
    "record": (np.zeros(2, [("a", "f4"), ("b", "i4")]), "a record of several fields"),
    "objects in a record": (np.array([(Canary(),)], [("a", "O")]), "a record of several fields"),
    "text": (np.array(["a"]), "'<U1'"),
    "bytes": (np.array([b"a"]), r"'\|S1'"),
    "complex": (np.ones(2, complex), "'<c16'"),
    "booleans": (np.ones(2, bool), r"'\|b1'"),
    "dates": (np.array(["2026-01-01"], "M8[D]"), "M8"),
    "long doubles": (np.ones(2, np.longdouble), "'<f16'"),
    "bfloat16": (np.zeros(2, "V2"), "V2"),
    "many dimensions": (np.ones((1,) * 5), "at most 4 sizes"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_are_no_numbers_are_refused_when_asked_for(what):
    array, message = OTHERS[what]
    if what == "long doubles" and array.dtype.itemsize != 16:
        message = "."  # of other sizes elsewhere
    found = arrays(npz(a=array, b=np.ones(2)), "net.npz")
    np.testing.assert_array_equal(found["b"], [1, 1])
    with pytest.raises(FormatError, match=f"net.npz: array 'a'.*{message}"):
        found["a"]


GOOD = HEADER.format("<f4", False, "(2,)")
WRONG = {
    "nothing": (b"", "expected an array as NumPy"),
    "no npy": (b"something else", "expected an array as NumPy"),
    "magic alone": (b"\x93NUMPY", "version"),
    "version 0": (npy(GOOD, bytes(8), (0, 0)), "version"),
    "version 4": (npy(GOOD, bytes(8), (4, 0)), "version"),
    "header beyond the file": (npy(GOOD, bytes(8), size=2000), "the header says it has 2000"),
    "header too long": (npy(GOOD + " " * 20_000, bytes(8)), "the header says"),
    "huge header": (npy(GOOD, bytes(8), (2, 0), size=0xFFFFFFFF), "the header says it has 4294967295"),
    "too short": (npy(GOOD, bytes(7)), "got 7 bytes"),
    "too long": (npy(GOOD, bytes(9)), "got 9 bytes"),
    "beyond 64 bits": (npy(HEADER.format("<f4", False, "(4294967296, 4294967296)")), "got 0 bytes"),
    "beyond any bits": (npy(HEADER.format("<f4", False, f"({'9' * 100},)")), "at most 4 sizes"),
    "negative": (npy(HEADER.format("<f4", False, "(-2,)"), bytes(8)), "expected an array of numbers"),
    "code": (npy(HEADER.format("<f4", False, "__import__('os').getpid()"), bytes(8)), "expected an array of numbers"),
    "a key more": (npy(GOOD[:-1] + "'x': 1}", bytes(8)), "expected an array of numbers"),
    "a key less": (npy("{'descr': '<f4', 'shape': (2,), }", bytes(8)), "expected an array of numbers"),
    "twice": (npy(GOOD[:-1] + "'shape': (2,), }", bytes(8)), "expected an array of numbers"),
    "behind it": (npy(GOOD + "; 1", bytes(8)), "expected an array of numbers"),
    "order": (npy(HEADER.format("<f4", "'no'", "(2,)"), bytes(8)), "True or False"),
    "type": (npy("{'descr': (1,), 'fortran_order': False, 'shape': (2,), }", bytes(8)), "expected"),
    "shape": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': True, }", bytes(8)), "sizes"),
    "commas": (npy(HEADER.format("<f4", False, "(2,,2)"), bytes(16)), "sizes"),
    "digits": (npy(HEADER.format("<f4", False, "(" + "1" * 190 + ")"), bytes(16)), "sizes"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("what", WRONG)
def test_wrong_arrays(what):
    data, message = WRONG[what]
    with pytest.raises(FormatError, match=message):
        arrays(archive(a=data), "f")["a"]


def test_two_members_of_one_name():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("a.npy", b"")
        zipped.writestr("a", b"")
    with pytest.raises(FormatError, match="twice"):
        arrays(file.getvalue(), "f")


def test_nothing_is_read_before_it_is_asked_for(monkeypatch):
    found = arrays(npz(a=np.ones(2), b=np.ones(3)), "f")
    monkeypatch.setattr(npz_file, "parse", None)
    assert (list(found), len(found), "a" in found, "c" in found) == (["a", "b"], 2, True, False)


@pytest.mark.parametrize("data", [b"", b"x", b"\x93NUMPY\x01\0", bytes(100)])
def test_other_files_are_no_arrays(data):
    with pytest.raises(FormatError, match=r"expected a file of arrays for the map, \.npz"):
        arrays(data, "f")
