"""Models of int8 and float16: the arithmetic against NumPy, and the same bits however they are run."""

import hashlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

import streamgru
from streamgru.errors import NonFiniteError
from streamgru.formats import native
from streamgru.kernels import packed
from streamgru.model.spec import Concat, Dense, Embedding, Gru, Input, LayerNorm
from streamgru.stream.model import Model
from streamgru.stream.shrink import shrink
from tests.networks import VARIANTS, bits, gru_tensors, spec_of, uniform

WEIGHTS = ("int8", "f16")
N_STEPS = 37


def spec(variant="after", n_hid=21):
    """A table, and layers whose sizes fill no panel and no four of columns."""
    return spec_of(
        Embedding(name="emb", n_out=5, inputs=("word",)),
        Concat(name="both", inputs=("emb", "x")),
        Dense(name="in", n_out=7, function="tanh"),
        Gru(name="gru", n_hid=n_hid, variant=variant),
        Dense(name="head", n_out=3),
        inputs=(Input(name="word", kind="token", vocab=9), Input(name="x", size=2)),
    )


def floats(n_hid=21):
    rng = np.random.default_rng(3)
    found = {"emb.weight": uniform(rng, 9, 5), "in.weight": uniform(rng, 7, 7), "head.weight": uniform(rng, 3, n_hid)}
    return found | gru_tensors(rng, "gru", 7, n_hid)


def as_int8(tensor):
    """Any matrix in int8, in the simplest way."""
    scale = (np.abs(tensor).max(1) / 127).astype(np.float32)
    return np.rint(tensor / scale[:, None]).astype(np.int8), scale


def int8_everywhere(tensors, but=()):
    """Int8 tensors for all matrices, also for those that ``shrink`` would leave alone."""
    found = {}
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and name not in but:
            found[f"{name}.q8"], found[f"{name}.scale"] = as_int8(tensor)
        else:
            found[name] = tensor
    return found


def widened(tensors):
    """The same numbers in float32."""
    found = {}
    for name, tensor in tensors.items():
        if name.endswith(".q8"):
            plain = name.removesuffix(".q8")
            found[plain] = tensor.astype(np.float32) * tensors[f"{plain}.scale"][:, None]
        elif not name.endswith(".scale"):
            found[name] = tensor.astype(np.float32)
    return found


def rows(n_steps=N_STEPS):
    rng = np.random.default_rng(5)
    return np.column_stack([rng.integers(9, size=n_steps), 3 * uniform(rng, n_steps, 2)]).astype(np.float32)


def small_model(weights, variant="after", kernel="packed"):
    tensors = int8_everywhere(floats()) if weights == "int8" else shrink(spec(), floats(), "f16")
    return Model(spec(variant), tensors, kernel=kernel)


@pytest.mark.parametrize("n_in", [1, 3, 16, 33, 1100])
def test_a_product_of_int8_is_that_of_integers(n_in, rng):
    """The input in units of its largest over 8064, and whole numbers from there on."""
    weight = uniform(rng, 5, n_in)
    q8, scale = as_int8(weight)
    spec = spec_of(Gru(name="gru", n_hid=1), Dense(name="head", n_out=5, inputs=("x",)), n_in=n_in)
    tensors = gru_tensors(rng, "gru", n_in, 1) | {"head.weight.q8": q8, "head.weight.scale": scale}
    model = Model(spec, tensors | {"head.bias": uniform(rng, 5)}, kernel="packed")
    for x in (uniform(rng, n_in), uniform(rng, n_in, bound=1e-6), 1e6 * uniform(rng, n_in), np.zeros(n_in, np.float32)):
        unit = np.abs(x).max().astype(np.float64) / 8064 or 1.0
        expected = (q8.astype(np.int64) @ np.rint(x / unit).astype(np.int64)) * scale.astype(np.float64) * unit
        actual = model.stream().step(x) - model.tensors["head.bias"].astype(np.float64)
        # a number that lies between two units may go either way, which is worth at most 127 units of a row
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=130 * scale.max() * unit + 1e-6)


@pytest.mark.parametrize("between", [(), (LayerNorm(name="norm"),)], ids=["infinite", "NaN"])
@pytest.mark.parametrize("last", [Dense(name="last", n_out=3), Gru(name="last", n_hid=3)], ids=["dense", "gru"])
@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_a_number_that_is_not_finite_comes_out_of_a_product(weights, last, between, rng):
    """The first layer overflows for large inputs; the step is refused as with floats."""
    tensors = gru_tensors(rng, "last", 5, 3) if isinstance(last, Gru) else {"last.weight": uniform(rng, 3, 5)}
    tensors["wide.weight"] = np.full((5, 2), 3e38, np.float32)
    if weights == "int8":
        tensors = int8_everywhere(tensors, but=("wide.weight",))
    model = Model(spec_of(Dense(name="wide", n_out=5), *between, last, n_in=2), tensors, kernel="packed")
    small, large = np.zeros(2, np.float32), np.ones(2, np.float32)
    model.stream().step(small)
    with pytest.raises(NonFiniteError):
        model.stream().step(large)
    pool = model.pool(capacity=9)
    with pytest.raises(NonFiniteError, match="row 6"):
        pool.step([pool.open(i) for i in range(9)], np.array([large if i == 6 else small for i in range(9)]))


@pytest.mark.parametrize("variant", VARIANTS)
def test_int8_is_close_to_its_own_weights_in_floats(variant):
    tensors = int8_everywhere(floats())
    x = rows()
    exact = Model(spec(variant), widened(tensors), dtype="float64").stream().run(x)
    np.testing.assert_allclose(Model(spec(variant), tensors, kernel="packed").stream().run(x), exact, atol=2e-3)
    np.testing.assert_allclose(Model(spec(variant), tensors, kernel="blas").stream().run(x), exact, atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kernel", ["packed", "blas"])
def test_float16_has_the_bits_of_its_numbers_in_float32(variant, kernel):
    half = shrink(spec(variant), floats(), "f16")
    models = [Model(spec(variant), tensors, kernel=kernel) for tensors in (half, widened(half))]
    assert bits(models[0].stream().run(rows())) == bits(models[1].stream().run(rows()))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_bits_are_those_of_single_steps(weights, variant):
    model, x = small_model(weights, variant), rows()
    stream = model.stream()
    expected = np.array([stream.step(x_t) for x_t in x])
    assert bits(model.stream().run(x)) == bits(expected)
    assert bits(model.stream().trace(x).y) == bits(expected)
    assert bits(model.run(x[None])[0]) == bits(expected)


@pytest.mark.parametrize("n_streams", [1, 2, 3, 4, 5, 8, 17, 97])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_bits_are_those_of_any_batch(weights, n_streams):
    for variant in VARIANTS:
        model, x = small_model(weights, variant), rows()
        pool = model.pool(capacity=n_streams)
        handles = [pool.open(i) for i in range(n_streams)]
        for start in range(3):
            batch = np.array([x[(start + i) % N_STEPS] for i in range(n_streams)])
            found = pool.step(handles, batch)
        for i in range(n_streams):
            expected = model.stream().run(np.array([x[(start + i) % N_STEPS] for start in range(3)]))[-1]
            assert bits(found[i]) == bits(expected), (variant, i)


def digest():
    """Of the outputs of all small models."""
    found = hashlib.sha256()
    for weights in WEIGHTS:
        for variant in VARIANTS:
            model = small_model(weights, variant)
            found.update(bits(model.stream().run(rows())))
            pool = model.pool(capacity=N_STEPS)
            found.update(bits(pool.step([pool.open(i) for i in range(N_STEPS)], rows())))
    return found.hexdigest()


@pytest.mark.parametrize("isa", packed.isas())
def test_the_bits_are_those_of_every_instruction_set(isa, monkeypatch):
    monkeypatch.setenv("STREAMGRU_ISA", isa)
    script = "from tests.stream import test_small_weights as t; print(t.packed.isa, t.digest())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [isa, digest()]


@pytest.mark.parametrize("kernel", ["packed", "blas"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_table_is_looked_up_in_float32(weights, dtype, kernel):
    if (dtype, kernel) == ("float64", "packed"):
        dtype, kernel = "float32", "packed"
    table = floats()["emb.weight"]
    small = int8_everywhere({"emb.weight": table}) if weights == "int8" else {"emb.weight": table.astype(np.float16)}
    model = Model(
        spec_of(Embedding(name="emb", n_out=5), inputs=(Input(name="word", kind="token", vocab=9),)),
        small, dtype=dtype, kernel=kernel,
    )  # fmt: skip
    actual = model.stream().run(np.arange(9)[:, None])
    np.testing.assert_array_equal(actual, widened(small)["emb.weight"].astype(dtype), strict=True)


def test_every_float16_is_looked_up_exactly():
    table = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    table = table[np.isfinite(table)].reshape(-1, 16)
    model = Model(
        spec_of(Embedding(name="emb", n_out=16), inputs=(Input(name="word", kind="token", vocab=len(table)),)),
        {"emb.weight": table},
    )
    assert bits(model.stream().run(np.arange(len(table))[:, None])) == bits(table.astype(np.float32))


@pytest.mark.parametrize("kernel", ["packed", "blas"])
@pytest.mark.parametrize("weights", [*WEIGHTS, "one int8 matrix of two"])
def test_the_tensors_come_out_as_they_went_in(weights, kernel):
    given = shrink(spec(), floats(), "f16") if weights == "f16" else int8_everywhere(floats())
    if weights not in WEIGHTS:
        given = int8_everywhere(floats(), but=("gru.weight_ih",))
    told = Model(spec(), given, kernel=kernel).tensors
    assert told.keys() == given.keys()
    for name, tensor in given.items():
        np.testing.assert_array_equal(told[name], tensor, strict=True, err_msg=name)


@pytest.mark.parametrize("kernel", ["packed", "blas"])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_pickled_it_is_the_same_model(weights, kernel):
    model = small_model(weights, kernel=kernel)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301
    assert again.fingerprint == model.fingerprint
    assert bits(again.stream().run(rows())) == bits(model.stream().run(rows()))
    stream = model.stream()
    stream.run(rows())
    assert bits(again.restore(stream.snapshot()).step(rows()[0])) == bits(stream.step(rows()[0]))


@pytest.mark.parametrize("weights", WEIGHTS)
def test_saved_and_loaded_it_is_the_same_model(weights, tmp_path):
    model = small_model(weights)
    for path in (tmp_path / "once.safetensors", tmp_path / "twice.safetensors"):
        native.write(path, model.spec, model.tensors)
        again = streamgru.load(path, kernel="packed")
        assert again.fingerprint == model.fingerprint
        assert bits(again.stream().run(rows())) == bits(model.stream().run(rows()))
        model = again


def test_a_table_is_kept_once_and_small():
    import tracemalloc

    vocab, n_out = 65_536, 64
    table = np.frombuffer(bytes(2 * vocab * n_out), np.float16).reshape(vocab, n_out)  # as a file gives it
    spec = spec_of(Embedding(name="emb", n_out=n_out), inputs=(Input(name="word", kind="token", vocab=vocab),))
    tracemalloc.start()
    try:
        model = Model(spec, {"emb.weight": table})
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < table.nbytes / 10
    assert np.shares_memory(model.tensors["emb.weight"], table)
