"""The pickle of a checkpoint, written by hand: what it may say, and what it may not."""

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

import streamgru
from streamgru.errors import FormatError, LoadError, SpecError, UnsupportedError
from streamgru.formats.torch_pickle import Storage, View, loads
from tests.formats.watching import check_quiet

TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
ORDERED = b"ccollections\nOrderedDict\n)R"


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def storage(kind="FloatStorage", key="0", n=4):
    return b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key) + text("cpu") + integer(n) + b"tQ"


def integer(value):
    size = max(1, (value.bit_length() + 8) // 8)
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def integers(values):
    return b"(" + b"".join(map(integer, values)) + b"t"


def tensor(shape=(2, 2), strides=(2, 1), offset=0, of=None):
    return (
        TENSOR
        + b"("
        + (of or storage())
        + integer(offset)
        + integers(shape)
        + integers(strides)
        + b"\x89"
        + ORDERED
        + b"tR"
    )


def state(**tensors):
    return b"\x80\x02}(" + b"".join(text(name) + code for name, code in tensors.items()) + b"u."


def archive(data, numbers=(), **more):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("archive/data.pkl", data)
        made.writestr("archive/data/0", np.array(numbers, "<f4").tobytes())
        for name, content in more.items():
            made.writestr(f"archive/{name}", content)
    return file.getvalue()


def gru(**change):
    """A GRU of 1 -> 1 in one storage of 12 numbers: 3 for each tensor."""
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    tensors = {
        name: tensor((3, 1) if i < 2 else (3,), (1, 1) if i < 2 else (1,), 3 * i, storage(n=12))
        for i, name in enumerate(names)
    }
    return state(**(tensors | change))


NUMBERS = np.linspace(-1, 1, 12, dtype=np.float32)


def test_what_a_pickle_may_say():
    value = loads(pickle.dumps({"a": [1, 2.5, (None, True)], "b": {"c": "text"}, 3: -(2**40)}), "file")
    assert value == {"a": [1, 2.5, (None, True)], "b": {"c": "text"}, 3: -(2**40)}
    assert loads(state(w=tensor()), "file") == {"w": View(Storage("float32", "0", 4), 0, (2, 2), (2, 1))}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_protocols(protocol):
    assert loads(pickle.dumps({"epoch": 3, "names": ["a", "b"]}, protocol), "file") == {"epoch": 3, "names": ["a", "b"]}


def test_a_file_made_by_hand():
    model = streamgru.load(archive(gru(), NUMBERS))
    np.testing.assert_array_equal(model.tensors["gru.0.weight_hh"][:, 0], NUMBERS[3:6])
    np.testing.assert_array_equal(model.tensors["gru.0.bias_hh"], NUMBERS[9:])


def test_the_other_order_of_bytes():
    data = archive(gru(), np.array(NUMBERS, ">f4").view("<f4"), byteorder=b"big")
    np.testing.assert_array_equal(streamgru.load(data).tensors["gru.0.bias_hh"], NUMBERS[9:])
    with pytest.raises(FormatError, match="byteorder"):
        streamgru.load(archive(gru(), NUMBERS, byteorder=b"middle"))


CODE = {
    "a function": (b"\x80\x02cos\nsystem\n(X\x04\0\0\0exittR.", UnsupportedError, "needs os.system"),
    "by the stack": (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", UnsupportedError, "needs os.system"),
    "a relative of an allowed name": (b"\x80\x02ctorch._utils\n_rebuild_x\n.", UnsupportedError, "_rebuild_x"),
    "an attribute of an allowed name": (
        b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93.", UnsupportedError, "OrderedDict.__init__",
    ),
    "an instance": (b"\x80\x02(cos\nsystem\no.", UnsupportedError, "os.system"),
    "INST": (b"(ios\nsystem\n.", UnsupportedError, "INST"),
    "NEWOBJ": (b"\x80\x02ccollections\nOrderedDict\n)\x81.", UnsupportedError, "NEWOBJ"),
    "an extension": (b"\x80\x02\x82\x01.", UnsupportedError, "EXT1"),
    "text that is evaluated": (b"S'a'\n.", UnsupportedError, "STRING"),
    "a call of a number": (b"\x80\x02K\x01)R.", FormatError, "no function"),
    "a call of a storage": (b"\x80\x02ctorch\nFloatStorage\n)R.", FormatError, "no function"),
    "a foreign reference": (b"\x80\x02X\x01\0\0\0aQ.", FormatError, "none to a storage"),
    "a filled OrderedDict": (b"\x80\x02ccollections\nOrderedDict\n]K\x01a\x85R.", FormatError, "empty"),
    "a mark as a value": (b"\x80\x02((tR.", FormatError, "mark"),
    "nothing on the stack": (b"\x80\x020.", UnsupportedError, "POP"),
    "two values": (b"\x80\x02NN.", FormatError, "damaged"),
    "a hole in the memo": (b"\x80\x02h\x05.", FormatError, "damaged"),
    "an odd number of items": (b"\x80\x02}(K\x01u.", FormatError, "key without a value"),
    "a tuple for a key": (b"\x80\x02})K\x01s.", FormatError, "tuple"),
    "no end": (b"\x80\x02N", FormatError, "damaged"),
    "no beginning": (b"", FormatError, "damaged"),
    "a tensor of negative size": (state(w=tensor((-1,), (1,))), FormatError, "not described"),
    "a tensor of fractions": (
        state(w=TENSOR + b"(" + storage() + b"G?\xf0\0\0\0\0\0\0))\x89NtR"), FormatError, "not described",
    ),
    "a tensor without a storage": (state(w=TENSOR + b"(NK\0))\x89NtR"), FormatError, "not described"),
    "too few arguments": (state(w=TENSOR + b")R"), FormatError, "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("what", CODE)
def test_what_a_pickle_may_not_say(what):
    data, kind, words = CODE[what]
    with pytest.raises(kind, match=words):
        loads(data, "file")
    with pytest.raises(LoadError):
        streamgru.load(archive(data))


OUTSIDE = {
    "behind its end": tensor((3, 1), (1, 1), 10, storage(n=12)),
    "by its strides": tensor((3, 1), (6, 1), 0, storage(n=12)),
    "far away": tensor((3, 1), (2**60, 1), 0, storage(n=12)),
    "in a storage that promises more": tensor((3, 1), (5, 1), 8, storage(n=2**50)),
    "in more than the pickle says": tensor((3, 1), (1, 1), 0, storage(n=2)),
    "without one": tensor((3, 1), (1, 1), 0, storage(key="7", n=12)),
    "up the tree": tensor((3, 1), (1, 1), 0, storage(key="../data.pkl", n=12)),
    "with a stride too few": tensor((3, 1), (1,), 0, storage(n=12)),
    "in too many dimensions": tensor((1,) * 40, (1,) * 40, 0, storage(n=12)),
    "of more numbers than there is memory": tensor((2**40, 2**20), (0, 0), 0, storage(n=12)),
    "of one number, often": tensor((2**24, 1), (0, 1), 0, storage(n=12)),
}  # fmt: skip


@pytest.mark.parametrize("what", OUTSIDE)
def test_elements_lie_in_their_storage(what):
    with pytest.raises(FormatError, match=r"weight_ih_l0|bytes in all"):
        streamgru.load(archive(gru(weight_ih_l0=OUTSIDE[what]), NUMBERS))


def test_dictionaries_that_hold_each_other():
    """Walked once each: to unfold them would take for ever."""
    knot = b"\x80\x02}q\0(" + b"".join(text(f"k{i}") + b"h\0" for i in range(60)) + text("w") + tensor() + b"u."
    with pytest.raises(LoadError):
        streamgru.load(archive(knot, NUMBERS))
    deep = b"\x80\x02" + b"}X\x01\0\0\0a" * 50_000 + b"N" + b"s" * 50_000 + b"."
    with pytest.raises(SpecError, match="expected one state_dict, got none"):
        streamgru.load(archive(deep))


def test_tuples_within_tuples_are_never_unfolded():
    doubling = b"\x80\x02K\x01" + b"q\0h\0\x86" * 200 + b"."
    with pytest.raises(SpecError):
        streamgru.load(archive(doubling))
    for call in (b"ctorch\nSize\n", b"ctorch\ndevice\n"):
        with pytest.raises(FormatError):
            streamgru.load(archive(b"\x80\x02" + call + b"K\x01" + b"q\0h\0\x86" * 200 + b"\x85R."))
    with pytest.raises(FormatError, match="no text"):
        streamgru.load(archive(b"\x80\x04K\x01" + b"q\0h\0\x86" * 200 + b"\x8c\x01a\x93."))


def test_long_names_of_nested_dictionaries_are_not_joined_for_ever():
    deep = b"\x80\x02}" + text("k" * 1024) + b"q\0}" + b"h\0}" * 20_000 + b"s" * 20_001 + b"."
    with pytest.raises(SpecError, match="got none"):
        streamgru.load(archive(deep))


def test_integers_of_one_hash_are_no_keys():
    same = b"\x80\x02}(" + b"".join(integer((2**61 - 1) * n) + b"N" for n in range(1, 50_000)) + b"u."
    with pytest.raises(FormatError, match="too large"):
        streamgru.load(archive(same))


def test_a_storage_of_many_tensors_is_inflated_once(monkeypatch):
    inflated = []
    read = zipfile.ZipFile.read
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda self, info: inflated.append(info.filename) or read(self, info))
    streamgru.load(archive(gru(), NUMBERS))
    assert sorted(inflated) == ["archive/data.pkl", "archive/data/0"]


def test_messages_quote_no_more_than_people_read():
    name = b"x" * 100_000
    for code in (b"\x80\x02c" + name + b"\nf\n.", b"S" + name + b"\n.", state(w=tensor(of=storage(key="k" * 100_000)))):
        with pytest.raises(LoadError) as caught:
            streamgru.load(archive(code))
        assert len(str(caught.value)) < 1000


def test_one_among_many_members():
    """The directory of the archive is then so long that the name of the pickle does not stand near its end."""
    more = {f"data/{n}": b"" for n in range(1, 2000)}
    assert streamgru.load(archive(gru(), NUMBERS, **more)).n_out == 1


def test_what_a_schedule_of_the_learning_rate_counts():
    counter = b"ccollections\nCounter\n}(K\x05K\x01u\x85R"
    data = b"\x80\x02}(" + text("schedule") + counter + text("model") + gru()[2:-1] + b"u."
    assert streamgru.load(archive(data, NUMBERS)).n_out == 1


def test_more_than_one_state_dict():
    both = b"\x80\x02}(" + text("model") + gru()[2:-1] + text("ema") + gru()[2:-1] + b"u."
    with pytest.raises(SpecError, match=r"'ema', 'model'|'model', 'ema'"):
        streamgru.load(archive(both, NUMBERS))
    many = b"\x80\x02}(" + b"".join(text(f"fold {n}") + gru()[2:-1] for n in range(30)) + b"u."
    with pytest.raises(SpecError, match="and 20 more; save the one"):
        streamgru.load(archive(many, NUMBERS))


def test_every_prefix_and_every_bit():
    data = archive(gru(), NUMBERS)
    for n in range(len(data)):
        with pytest.raises(LoadError):
            streamgru.load(data[:n])
    for i in range(8 * len(data)):
        changed = bytearray(data)
        changed[i // 8] ^= 1 << i % 8
        try:
            streamgru.load(bytes(changed))
        except LoadError:
            continue


def test_loading_executes_nothing(tmp_path):
    """Watched by an audit hook in a process of its own."""
    bad = {f"bad {i}": archive(code) for i, (code, *_) in enumerate(CODE.values())}
    check_quiet(tmp_path, {"good": archive(gru(), NUMBERS), **bad})


def test_a_checkpoint_that_torch_wrote():
    """With the state of an optimiser beside the weights; PyTorch need not be there to read it."""
    golden = Path(__file__).parents[1] / "golden" / "gru_3_16_head_5"
    model, same = streamgru.load(golden.with_suffix(".pt")), streamgru.load(golden.with_suffix(".safetensors"))
    assert model.fingerprint == same.fingerprint


SLOW = {
    "a call with many arguments, often": (
        b"\x80\x02ctorch\ndevice\nq\0(" + b"N" * 900_000 + b"tq\1" + b"h\0h\1R" * 300_000 + b"."
    ),
    "a copy of a large dictionary, often": (
        b"\x80\x02ccollections\nCounter\nq\0}q\1("
        + b"".join(integer(i) + b"N" for i in range(30_000))
        + b"u\x85q\2"
        + b"h\0h\2R" * 150_000
        + b"."
    ),
    "a long key, often": b"\x80\x02" + text("k" * 60_000_000) + b"q\0" + b"}h\0Ns" * 50_000 + b".",
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("what", SLOW)
def test_little_is_done_for_each_opcode(what):
    with pytest.raises(LoadError):
        streamgru.load(archive(SLOW[what]))


def test_a_view_that_is_negated_is_refused():
    place = storage(n=12) + integer(0) + integers((3, 1)) + integers((1, 1))
    for metadata in (b"", b"}", b"}" + text("neg") + b"\x88s"):
        code = TENSOR + b"(" + place + b"\x89" + ORDERED + metadata + b"tR"
        data = archive(gru(weight_ih_l0=code), NUMBERS)
        if b"neg" in metadata:
            with pytest.raises(UnsupportedError, match=r"weight_ih_l0.*negated"):
                streamgru.load(data)
        else:
            streamgru.load(data)


@pytest.mark.parametrize("shape, strides", [((1, 2), (2**61 - 1, 1)), ((0, 2**60), (1, 1)), ((1, 1), (2**60, 2**60))])
def test_strides_and_sizes_that_mean_nothing(shape, strides):
    """The stride of a single element, and sizes next to a 0."""
    code = tensor(shape, strides, 0, storage("DoubleStorage", n=6))
    with pytest.raises(LoadError):
        streamgru.load(archive(gru(weight_ih_l0=code), NUMBERS))
