"""A model: what it is made of, whole sequences, copies, and the options it refuses."""

import pickle

import numpy as np
import pytest
from safetensors.numpy import save

from streamgru.errors import NonFiniteError, ShapeError, SpecError, UnsupportedError
from streamgru.formats.safetensors_file import parse
from streamgru.kernels import packed
from streamgru.model.spec import Dense, Embedding, Gru, Input, Output, sequential
from streamgru.stream.model import FAST, Model
from tests.networks import DTYPES, bits, gru_model, gru_tensors, of_layer, spec_of, uniform
from tests.oracle.gru_numpy import gru

SPEC = spec_of(Gru(name="gru", n_hid=5))


@pytest.fixture
def tensors(rng):
    return gru_tensors(rng, "gru", 3, 5)


def test_what_a_model_tells_about_itself(rng):
    model = gru_model(rng, labels=("a", "b", "c", "d", "e"))
    kernel = "packed" if packed.isa in FAST else "blas"
    assert (model.n_in, model.n_out, model.kernel, model.dtype) == (3, 5, kernel, np.float32)
    assert model.labels == ("a", "b", "c", "d", "e") and gru_model(rng).labels is None
    assert repr(model) == f"<Model 3 -> 5, float32, {kernel}, {model.fingerprint[:12]}>"


def test_labels_belong_to_one_output(tensors):
    outputs = (Output(name="a", stop=2, labels=("x", "y")), Output(name="b", start=2))
    assert Model(spec_of(Gru(name="gru", n_hid=5), outputs=outputs), tensors).labels is None


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float32, "f8", ">f4", "<f8", ">f8"])
def test_dtypes(dtype, tensors):
    """The byte order of the machine is the only one that is computed in."""
    model = Model(SPEC, tensors, dtype=dtype)
    y = model.stream().step([1, 2, 3])
    assert model.dtype.isnative and y.dtype == model.dtype
    np.testing.assert_allclose(y, gru([[1, 2, 3]], **of_layer(tensors, "gru"))[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "option, words",
    [
        ({"dtype": "int8"}, "dtype: expected one of float32, float64, got 'int8'"),
        ({"dtype": "float16"}, "dtype: expected one of"),
        ({"dtype": "nonsense"}, "dtype: expected one of"),
        ({"dtype": None}, "dtype: expected one of"),
        ({"kernel": "gpu"}, "kernel: expected one of auto, blas, packed, got 'gpu'"),
        ({"kernel": "packed", "dtype": "float64"}, "kernel 'packed' computes in float32, not in float64"),
        ({"blas_threads": 0}, "blas_threads: expected a positive integer or None, got 0"),
        ({"blas_threads": "many"}, "blas_threads: expected"),
        ({"blas_threads": 1.5}, "blas_threads: expected"),
    ],
)
def test_options(option, words, tensors):
    with pytest.raises(UnsupportedError, match=words):
        Model(SPEC, tensors, **option)


def test_a_spec_made_in_python_is_checked(tensors):
    with pytest.raises(SpecError, match="n_hid"):
        Model(spec_of(Gru(name="gru", n_hid=-5)), tensors)
    with pytest.raises(SpecError, match="maxout"):
        Model(spec_of(Gru(name="gru", n_hid=5, gate="maxout")), tensors)


def test_lists_for_tensors(tensors):
    lists = {name: tensor.tolist() for name, tensor in tensors.items()}
    assert bits(Model(SPEC, lists).stream().step([1, 2, 3])) == bits(Model(SPEC, tensors).stream().step([1, 2, 3]))


def test_the_fingerprint_is_of_the_numbers(tensors):
    """Not of where or how they lie in memory, nor of what is only for people."""
    base = Model(SPEC, tensors).fingerprint
    turned = dict(reversed([(name, np.asfortranarray(t)) for name, t in tensors.items()]))
    assert Model(SPEC, turned).fingerprint == base
    assert Model(SPEC, {name: t.astype(">f4") for name, t in tensors.items()}).fingerprint == base
    changed = {name: t.copy() for name, t in tensors.items()}
    changed["gru.weight_hh"][7, 2] = np.nextafter(changed["gru.weight_hh"][7, 2], np.float32(1))
    swapped = tensors | {"gru.bias_ih": tensors["gru.bias_hh"], "gru.bias_hh": tensors["gru.bias_ih"]}
    clipped = sequential(Gru(name="gru", n_hid=5, clip=1.0), inputs=(Input(name="x", size=3),))
    others = [Model(SPEC, changed), Model(SPEC, swapped), Model(clipped, tensors)]
    assert len({base, *(other.fingerprint for other in others)}) == 4
    named = sequential(
        Gru(name="gru", n_hid=5),
        inputs=(Input(name="x", size=3, features=("a", "b", "c"), unit="m"),),
        outputs=(Output(name="y", labels=tuple("vwxyz")),),
        title="x",
    )
    assert Model(named, tensors).fingerprint == base


def test_the_fingerprint_never_changes():
    """Snapshots of today must be taken by the versions to come."""
    tensors = {
        "gru.weight_ih": np.arange(6, dtype=np.float32).reshape(6, 1) / 8,
        "gru.weight_hh": np.arange(12, dtype=np.float32).reshape(6, 2) / 16,
    }
    model = Model(spec_of(Gru(name="gru", n_hid=2), n_in=1), tensors)
    assert model.fingerprint == "e3fb9b9453bfaf7898c8dd461cfe3b34cdf93f9aae10e2174c94a08029feb6ac"
    assert model.state_layout == "51077468456dd40198a98970585fb6f39b3b34c8eb55c8281a0433a77da001c2"


@pytest.mark.parametrize("dtype", DTYPES)
def test_run(dtype, rng):
    model = gru_model(rng, dtype=dtype, initial="learned")
    x = uniform(rng, 4, 9, 3)
    lengths = [9, 0, 3, 7]
    got = model.run(x, lengths)
    assert got.shape == (4, 9, 5) and got.dtype == dtype
    for row, length, y in zip(x, lengths, got, strict=True):
        assert bits(y[:length]) == bits(model.stream().run(row[:length]))
        assert not y[length:].any()
    assert bits(model.run(x)) == bits(model.run(x, np.full(4, 9)))


def test_what_lies_beyond_a_length_is_not_read(rng):
    model = gru_model(rng)
    x = uniform(rng, 2, 4, 3)
    x[0, 2:] = np.nan
    assert np.isfinite(model.run(x, [2, 4])).all()
    with pytest.raises(NonFiniteError, match=r"stream 0: X\[2, 0\]: expected a finite float32, got nan"):
        model.run(x)


def test_run_of_nothing(rng):
    model = gru_model(rng)
    assert model.run(np.empty((0, 4, 3))).shape == (0, 4, 5)
    assert model.run(np.empty((2, 0, 3))).shape == (2, 0, 5)
    assert model.run(np.empty((0, 4, 3)), []).shape == (0, 4, 5)


@pytest.mark.parametrize("X", [np.zeros((2, 3)), np.zeros((1, 2, 4)), "abc", None, [[[1, 2, 3]], [[1, 2]]]])
def test_run_of_wrong_shapes(X, rng):
    with pytest.raises(ShapeError, match=r"X: expected shape \(n_streams, n_steps, 3\), got"):
        gru_model(rng).run(X)


@pytest.mark.parametrize("lengths", [[1], [1, 2, 3], [-1, 1], [1, 5], [1, 2.5], ["1", "2"], 4, [[1, 2]], [None, 1]])
def test_run_of_wrong_lengths(lengths, rng):
    with pytest.raises(ShapeError, match="lengths: expected 2 integers from 0 to 4, got"):
        gru_model(rng).run(np.zeros((2, 4, 3)), lengths)


def test_pickle_keeps_everything(tensors):
    model = Model(SPEC, tensors, dtype="float64", blas_threads=None)
    other = pickle.loads(pickle.dumps(model))  # noqa: S301
    assert (other.fingerprint, other.spec, other.dtype) == (model.fingerprint, model.spec, model.dtype)
    assert other.__reduce__()[1][2:] == ("float64", "blas", None, model.fingerprint)
    assert bits(other.stream().step([1, 2, 3])) == bits(model.stream().step([1, 2, 3]))


def test_streams_share_nothing_but_the_model(rng):
    model = gru_model(rng)
    x, first, second = uniform(rng, 10, 3), model.stream(), model.stream()
    expected = first.run(x)
    first.step([9, 9, 9])
    assert bits(second.run(x)) == bits(expected)


def test_a_network_without_a_state(rng):
    model = Model(spec_of(Dense(name="d", n_out=2)), {"d.weight": uniform(rng, 2, 3)})
    stream = model.stream()
    assert bits(stream.step([1, 2, 3])) == bits(stream.step([1, 2, 3]))
    assert stream.state == {} and model.restore(stream.snapshot()).n_steps == 2


@pytest.mark.parametrize("dtype, kernel", [("float32", "packed"), ("float32", "blas"), ("float64", "blas")])
@pytest.mark.parametrize("kind", ["writable", "a read-only view", "read-only till now", "a part of a bytearray"])
def test_a_model_does_not_change_with_the_arrays_that_it_was_made_of(rng, dtype, kernel, kind):
    spec = spec_of(
        Embedding(name="emb", n_out=3), Gru(name="gru", n_hid=5), Dense(name="head", n_out=2),
        inputs=(Input(name="word", kind="token", vocab=4),),
    )  # fmt: skip
    tensors = gru_tensors(rng, "gru", 3, 5, h0=False) | {
        "emb.weight": uniform(rng, 4, 3), "head.weight": uniform(rng, 2, 5), "head.bias": uniform(rng, 2),
    }  # fmt: skip
    owners = {name: tensor.astype(dtype) for name, tensor in tensors.items()}
    given = dict(owners)
    if kind == "a read-only view":
        given = {name: owner[:] for name, owner in owners.items()}
    if kind == "a part of a bytearray":
        parts = {name: bytearray(owner.tobytes()) for name, owner in owners.items()}
        given = {name: np.frombuffer(part, dtype).reshape(owners[name].shape) for name, part in parts.items()}
        owners = {name: np.frombuffer(part, dtype) for name, part in parts.items()}
    if kind != "writable":
        for array in given.values():
            array.flags.writeable = False
    model = Model(spec, given, dtype=dtype, kernel=kernel)
    before = bits(model.stream().run(np.arange(4)[:, None])), [bits(tensor) for tensor in model.tensors.values()]
    for owner in owners.values():
        owner.flags.writeable = True
        owner[...] = 7
    after = bits(model.stream().run(np.arange(4)[:, None])), [bits(tensor) for tensor in model.tensors.values()]
    assert after == before


def test_what_was_read_from_a_file_is_not_copied_again(rng):
    """Nobody can write to it."""
    data = save(gru_tensors(rng, "gru", 3, 5))
    tensors, _ = parse(data, "the bytes")
    model = Model(SPEC, tensors, kernel="blas")
    assert np.shares_memory(model.tensors["gru.weight_hh"], tensors["gru.weight_hh"])
    with pytest.raises(ValueError, match="WRITEABLE"):
        tensors["gru.weight_hh"].flags.writeable = True
