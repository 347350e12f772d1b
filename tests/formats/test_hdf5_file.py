"""HDF5 files: the arrays of a good one, and one error for every kind of bad one."""

import io
import subprocess
import sys

import numpy as np
import pytest

from streamgru.errors import FormatError, UnsupportedError
from streamgru.formats import hdf5_file
from streamgru.formats.hdf5_file import datasets

h5py = pytest.importorskip("h5py", reason="needs h5py")

WEIGHTS = np.arange(12, dtype=np.float32).reshape(3, 4)


def written(fill, **settings):
    file = io.BytesIO()
    with h5py.File(file, "w", **settings) as opened:
        fill(opened)
    return file.getvalue()


def plain(file):
    group = file.create_group("layers/gru")
    group["kernel"] = WEIGHTS
    group["big"] = WEIGHTS.astype(">f8")
    group["scalar"] = np.int64(7)
    group["empty"] = np.zeros((0, 4), np.float32)
    group.create_dataset("packed", data=WEIGHTS, chunks=(2, 3), compression="gzip", shuffle=True, fletcher32=True)
    group.attrs["names"] = np.array([b"kernel:0", b"bias:0"])
    group.attrs["units"] = 4
    file.attrs["version"] = "2.2.4"
    file.attrs["bytes"] = np.bytes_(b"{}")


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_the_arrays(libver):
    found = datasets(written(plain, libver=libver), "x")
    assert sorted(found) == [f"layers/gru/{name}" for name in ("big", "empty", "kernel", "packed", "scalar")]
    for name in ("kernel", "packed", "big"):
        np.testing.assert_array_equal(found[f"layers/gru/{name}"], WEIGHTS)
    assert found["layers/gru/big"].dtype == np.float64 and found["layers/gru/big"].dtype.isnative
    assert found["layers/gru/scalar"].shape == () and found["layers/gru/empty"].shape == (0, 4)
    assert found.groups() == ("", "layers", "layers/gru")
    assert found.attributes() == {"version": "2.2.4", "bytes": "{}"}
    assert found.attributes("layers/gru") == {"names": ["kernel:0", "bias:0"], "units": 4}


def test_two_files_at_once_are_two():
    """HDF5 takes two files in memory for one if they have one name."""
    one, two = (datasets(written(lambda file, k=k: file.create_dataset("a", data=k)), "x") for k in (1, 2))
    assert (one["a"], two["a"]) == (1, 2)


def test_without_h5py(monkeypatch):
    data = written(plain)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UnsupportedError, match=r"pip install streamgru\[keras\]"):
        datasets(data, "x")


def soft(file):
    file["a"] = h5py.SoftLink("/b")


def external(file):
    file["a"] = h5py.ExternalLink("/etc/passwd", "/b")


def cycle(file):
    file.create_group("g")["g"] = file["/"]


def outside(file):
    file.create_dataset("a", (4,), np.uint8, external=[("/etc/passwd", 0, 4)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), np.float32)
    layout[:] = h5py.VirtualSource("other.h5", "a", (4,))
    file.create_virtual_dataset("a", layout)


def lzf(file):
    file.create_dataset("a", data=WEIGHTS, compression="lzf")


def plugin(file):
    """A filter of a library: HDF5 would look for it in a folder, and load it."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((4,))
    properties.set_filter(32_015, h5py.h5z.FLAG_OPTIONAL, (1,))
    h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((4,)), properties)


def huge(file):
    file.create_dataset("a", (1 << 40,), np.float32, chunks=(1 << 10,))


def huge_chunk(file):
    file.create_dataset("a", (4,), np.float32, chunks=(1 << 28,), maxshape=(None,), compression="gzip")


def deflate_bomb(file):
    """A chunk of 16 numbers that inflates to 80 MB."""
    import zlib

    dataset = file.create_dataset("a", (16,), np.float32, chunks=(16,), compression="gzip")
    dataset.id.write_direct_chunk((0,), zlib.compress(bytes(80 << 20)))


def text(file):
    file["a"] = "text"


def compound(file):
    file["a"] = np.zeros(2, [("x", "f4"), ("y", "f4")])


def rank(file):
    file["a"] = np.zeros((1,) * 5)


def deep(file):
    file.create_group("/".join("g" * 40))


BAD = (soft, external, cycle, outside, virtual, lzf, plugin, huge, huge_chunk, deflate_bomb, text, compound, rank, deep)


@pytest.mark.parametrize("fill", BAD)
def test_what_is_refused(fill):
    data = written(fill)
    assert len(data) < 200_000
    with pytest.raises(FormatError, match="expected"):
        dict(datasets(data, "x"))


def test_many_objects(monkeypatch):
    monkeypatch.setattr(hdf5_file, "MAX_OBJECTS", 5)
    with pytest.raises(FormatError, match="at most 5 objects"):
        datasets(written(lambda file: [file.create_group(str(i)) for i in range(9)]), "x")


def test_long_attributes(monkeypatch):
    monkeypatch.setattr(hdf5_file, "MAX_TEXT_BYTES", 1000)
    found = datasets(written(lambda file: file.attrs.__setitem__("a", np.bytes_(b"x" * 2000))), "x")
    with pytest.raises(FormatError, match="at most 1000 bytes"):
        found.attributes()


def test_a_text_of_no_length_does_not_hang():
    """The library itself walks on by 0 bytes for ever."""
    data = written(plain)
    heap = data.index(b"GCOL")
    space = data.index((4096 - 16 - 24).to_bytes(8, "little"), heap)  # what is left of the collection
    for size in (0, 15, 4096 - 16 - 24 - 16, 1 << 63):
        with pytest.raises(FormatError, match="impossible lengths"):
            datasets(data[:space] + size.to_bytes(8, "little") + data[space + 8 :], "x")


FUZZ = """
import sys
from streamgru.errors import FormatError
from streamgru.formats.hdf5_file import datasets
data = open(sys.argv[1], "rb").read()
def look(data):
    try:
        found = datasets(data, "x")
        for path in found:
            found[path]
        for path in (*found, *found.groups()):
            found.attributes(path)
    except FormatError:
        return 1
    return 0
refused = sum(look(data[:size]) for size in range(0, len(data), 29))
flipped = 0
for bit in range(0, 8 * len(data), 61):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    flipped += look(bytes(changed))
print(refused, flipped)
"""


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_truncations_and_flipped_bits(tmp_path, libver):
    """In a process of its own: that one ends well, as the HDF5 library could also crash."""
    (tmp_path / "file").write_bytes(written(plain, libver=libver))
    command = [sys.executable, "-c", FUZZ, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(int(count) > 100 for count in done.stdout.split())
