"""Networks that answer late, or not at every step: however a stream is run, what whole sequences give in float64."""

import msgspec
import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from streamgru.errors import SpecError
from streamgru.stream.model import Model
from tests.networks import DTYPES, KERNELS, bits, spec_of, uniform
from tests.oracle.sequences_numpy import evaluate
from tests.properties.strategies import blocks, late_networks

RTOL = {"float32": 1e-6, "float64": 1e-12}
MOST_STEPS = 60
IDS = ["a", "b", "c"]


@st.composite
def cases(draw):
    """A model, x (n_steps, n_in), and what the framework would answer to it."""
    n_in, layers, tensors = draw(late_networks())
    dtype = draw(st.sampled_from(DTYPES))
    try:
        model = Model(spec_of(*layers, n_in=n_in), tensors, dtype=dtype, kernel=draw(st.sampled_from(KERNELS[dtype])))
    except SpecError as error:
        assert "inputs that are made equally often" in str(error)
        assume(False)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = uniform(rng, draw(st.integers(1, MOST_STEPS)), n_in)
    plain = [{"kind": type(layer).__struct_config__.tag, **msgspec.structs.asdict(layer)} for layer in layers]
    return model, x, evaluate(plain, tensors, x)


@given(st.data())
def test_a_stream_is_the_whole_sequence_however_it_is_run(data):
    model, x, expected = data.draw(cases())
    stream, got = model.stream(), []
    for block in blocks(data.draw, x):
        match data.draw(st.sampled_from(["step", "run", "trace"])):
            case "step":
                got += [y for row in block if (y := stream.step(row)) is not None]
            case "run":
                got += list(stream.run(block))
            case "trace":
                got += list(stream.trace(block).y)
        assert len(got) == len(range(model.delay, stream.n_steps, model.stride))
        blob = stream.snapshot()
        match data.draw(st.sampled_from(["as it is", "forked", "restored"])):
            case "forked":
                stream = stream.fork()
            case "restored":
                stream = model.restore(blob)
        assert stream.snapshot() == blob
    assert bits(got) == bits(model.stream().run(x))
    assert len(got) == len(expected)
    if got:
        limit = RTOL[model.dtype.name] * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(got, expected, rtol=0, atol=limit)


@given(st.data())
def test_a_pool_is_so_many_streams(data):
    """Streams at steps of their own, and with several rows in a batch."""
    model, x, _ = data.draw(cases())
    pool, singles, taken = model.pool(len(IDS)), {id: model.stream() for id in IDS}, dict.fromkeys(IDS, 0)
    for id in IDS:
        pool.open(id)
    for _ in range(data.draw(st.integers(1, 10))):
        ids = data.draw(st.lists(st.sampled_from(IDS), max_size=8))
        rows = np.empty((len(ids), model.n_in), x.dtype)
        for row, id in zip(rows, ids, strict=True):
            row[:] = x[taken[id] % len(x)]
            taken[id] += 1
        due = np.full(len(ids), 9, np.uint8)
        y = pool.step(ids, rows, due=due)
        alone = [singles[id].step(row) for id, row in zip(ids, rows, strict=True)]
        assert due.tolist() == [answer is not None for answer in alone]
        nothing = np.zeros(model.n_out, model.dtype)
        assert bits(y) == bits([nothing if answer is None else answer for answer in alone])
    for id, single in singles.items():
        assert pool.snapshot(id) == single.snapshot()
