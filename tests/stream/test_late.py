"""Streams of networks that answer late, or not at every step: against whole sequences in float64, and themselves."""

import ctypes as c

import msgspec
import numpy as np
import pytest

from streamgru.errors import NonFiniteError, ShapeError, SnapshotError
from streamgru.model import spec as s
from streamgru.stream import embed, timing
from streamgru.stream.model import Model
from streamgru.stream.shrink import shrink
from tests.networks import DTYPES, KERNELS, bits, gru_tensors, spec_of, uniform
from tests.oracle.sequences_numpy import evaluate
from tests.realtime.embedded import function, pointer_to

RTOL = {"float32": 1e-6, "float64": 1e-12}
N_STEPS, N_IN = 61, 3
KINDS = [(dtype, kernel) for dtype in DTYPES for kernel in KERNELS[dtype]]


def convolutional(rng):
    """Layers in a row with a stride of 6, and their tensors; so wide that 50 rows are worth a second thread."""
    layers = (
        s.Conv1d(name="conv", n_out=6, size=5, before=2, after=2, dilation=2, function="relu"),
        s.MaxPool1d(name="pool", size=2, stride=2),
        s.Gru(name="gru", n_hid=200, variant="before"),
        s.AveragePool1d(name="mean", size=3, stride=3, before=1),
        s.Dense(name="head", n_out=4),
    )
    tensors = gru_tensors(rng, "gru", 6, 200) | {
        "conv.weight": uniform(rng, 6, 5 * N_IN, bound=0.5),
        "conv.bias": uniform(rng, 6),
        "head.weight": uniform(rng, 4, 200, bound=0.1),
    }
    return layers, tensors


def residual(rng):
    """Branches that look ahead by different numbers of steps, and meet."""
    layers = (
        s.Conv1d(name="near", n_out=N_IN, size=3, before=1, inputs=("x",)),
        s.Conv1d(name="far", n_out=N_IN, size=3, before=2, dilation=4, inputs=("x",)),
        s.Add(name="sum", inputs=("near", "x")),
        s.Concat(name="all", inputs=("x", "far", "sum", "near")),
        s.Gru(name="gru", n_hid=7),
        s.Activation(name="wide", function="sigmoid"),
        s.Div(name="y", inputs=("gru", "wide")),
    )
    tensors = gru_tensors(rng, "gru", 4 * N_IN, 7) | {
        f"{name}.weight": uniform(rng, N_IN, 3 * N_IN, bound=0.5) for name in ("near", "far")
    }
    return layers, tensors


def between_steps(rng):
    """Two branches of one stride that answer at different steps of it, so that one is due when the other is not."""
    layers = (
        s.Conv1d(name="even", n_out=4, size=2, stride=2, before=1, inputs=("x",)),
        s.MaxPool1d(name="odd", size=4, stride=2, before=0, inputs=("x",)),
        s.Concat(name="both", inputs=("even", "odd")),
        s.Gru(name="gru", n_hid=8),
    )
    return layers, gru_tensors(rng, "gru", 4 + N_IN, 8) | {"even.weight": uniform(rng, 4, 2 * N_IN)}


# what makes the layers, and when they answer: stride, delay
NETWORKS = {convolutional: (6, 9), residual: (1, 6), between_steps: (2, 3)}


@pytest.fixture(params=NETWORKS, ids=lambda make: make.__name__)
def make(request):
    return request.param


def model_of(made, dtype="float32", kernel="auto"):
    layers, tensors = made
    return Model(spec_of(*layers, n_in=N_IN), tensors, dtype=dtype, kernel=kernel)


def reference(made, x):
    layers, tensors = made
    plain = [{"kind": type(layer).__struct_config__.tag, **msgspec.structs.asdict(layer)} for layer in layers]
    return evaluate(plain, tensors, x)


def due(model, n_steps=N_STEPS):
    """The steps at which it answers."""
    return list(range(model.delay, n_steps, model.stride))


@pytest.mark.parametrize("dtype, kernel", KINDS)
def test_a_stream_is_the_whole_sequence(make, dtype, kernel, rng):
    made, x = make(rng), uniform(rng, N_STEPS, N_IN)
    model = model_of(made, dtype, kernel)
    assert (model.stride, model.delay) == NETWORKS[make]
    stream, answers = model.stream(), {}
    for step, row in enumerate(x):
        if (y := stream.step(row)) is not None:
            answers[step] = y
    assert list(answers) == due(model)
    expected, got = reference(made, x), np.array(list(answers.values()))
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=RTOL[dtype] * max(1.0, np.abs(expected).max()))
    for length in (1, 2, 3, 7, 60, 61):
        stream, blocks = model.stream(), []
        for start in range(0, N_STEPS, length):
            blocks += list(stream.run(x[start : start + length]))
            if start % 3:
                stream = model.restore(stream.snapshot()) if start % 2 else stream.fork()
        assert bits(blocks) == bits(got)
        assert stream.n_steps == N_STEPS


def test_int8_weights_of_a_convolution(rng):
    """Rounded, with and without data, and multiplied as they are: not far from what they were."""
    layers, tensors = convolutional(rng)
    x, spec = uniform(rng, 600, N_IN), spec_of(*layers, n_in=N_IN)
    exact = Model(spec, tensors).stream().run(x)
    worst = []
    for data in ((), (uniform(rng, 2000, N_IN),)):
        small = shrink(spec, tensors, "int8", data)
        assert small["conv.weight.q8"].shape == (6, 5 * N_IN) and small["head.weight"].dtype == np.float16
        for kernel in KERNELS["float32"]:
            worst.append(np.abs(Model(spec, small, kernel=kernel).stream().run(x) - exact).max())
    assert max(worst) < 0.05
    half = shrink(spec, tensors, "f16")
    assert np.abs(Model(spec, half).stream().run(x) - exact).max() < 0.005


def test_the_last_convolution_stays_finer(rng):
    layers = (s.Conv1d(name="a", n_out=4, size=2), s.Conv1d(name="b", n_out=2, size=2, stride=2))
    tensors = {"a.weight": uniform(rng, 4, 2 * N_IN), "b.weight": uniform(rng, 2, 8)}
    small = shrink(spec_of(*layers, n_in=N_IN), tensors, "int8")
    assert set(small) == {"a.weight.q8", "a.weight.scale", "b.weight"}


def test_step_leaves_out_as_it_was_when_nothing_is_due(make, rng):
    model, x = model_of(make(rng)), uniform(rng, N_STEPS, N_IN)
    stream, out, expected = model.stream(), np.empty(model.n_out, np.float32), iter(model.stream().run(x))
    for step, row in enumerate(x):
        out[:] = 7
        answer = stream.step(row, out=out)
        if step in due(model):
            assert answer is out and bits(out) == bits(next(expected))
        else:
            assert answer is None and (out == 7).all()


def test_a_bound_step(make, rng):
    model, x = model_of(make(rng)), uniform(rng, N_STEPS, N_IN)
    bound, expected = model.stream().bind(np.empty(N_IN, np.float32)), iter(model.stream().run(x))
    for step, row in enumerate(x):
        bound.x[:], bound.out[:] = row, 7
        answer = bound.step()
        assert (answer is bound.out) == (step in due(model))
        assert bits(bound.out) == (
            bits(np.full(model.n_out, 7, np.float32)) if answer is None else bits(next(expected))
        )


def test_the_out_of_a_block_has_a_row_for_each_answer(rng):
    model, x = model_of(convolutional(rng)), uniform(rng, N_STEPS, N_IN)
    stream = model.stream()
    assert stream.run(x[:9]).shape == (0, 4)
    out = np.empty((2, 4), np.float32)
    assert stream.run(x[9:18], out=out) is out
    assert bits(out) == bits(model.stream().run(x)[:2])
    with pytest.raises(ShapeError, match=r"out: expected .* array \(1, 4\), got float32 \(2, 4\)"):
        stream.run(x[18:24], out=out)
    assert stream.n_steps == 18 and len(stream.run(x[18:24])) == 1


def test_a_trace_has_a_row_for_each_step_of_a_gru(rng):
    model, x = model_of(convolutional(rng)), uniform(rng, N_STEPS, N_IN)
    stream, got, y = model.stream(), [], []
    for start in range(0, N_STEPS, 7):
        h = stream.state["gru"]
        trace = stream.trace(x[start : start + 7])
        gates = trace.gates["gru"]
        before = np.vstack([h[None], gates.h])[:-1]
        assert bits((1 - gates.z) * gates.n + gates.z * before) == bits(gates.h)
        got.append(gates.h)
        y += list(trace.y)
    clock = model.plan.layout.layers[2].clock
    assert (clock.first, clock.stride) == (7, 2)
    assert sum(map(len, got)) == len(range(7, N_STEPS, 2))
    assert bits(y) == bits(model.stream().run(x))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_pool_of_streams_at_different_steps(make, threads, rng):
    model, x = model_of(make(rng)), uniform(rng, N_STEPS, N_IN)
    n_streams = 130
    expected = dict(zip(due(model), model.stream().run(x), strict=True))
    pool, singles = model.pool(n_streams, threads=threads), rng.integers(0, 20, n_streams)
    for k, n in enumerate(singles):  # where each stream is
        stream = model.stream()
        stream.run(x[:n])
        pool.open(k, stream.snapshot())
    for _ in range(6):
        ids = rng.permutation(np.repeat(np.arange(n_streams), rng.integers(0, 3, n_streams))).tolist()
        rows, steps = [], []
        for k in ids:
            steps.append(int(singles[k]))
            rows.append(x[singles[k]])
            singles[k] += 1
        marks, out = np.full(len(ids), 9, np.uint8), np.full((len(ids), model.n_out), 7, np.float32)
        y = pool.step(ids, np.array(rows), out=out, due=marks)
        assert y is out
        assert marks.tolist() == [step in expected for step in steps]
        nothing = np.zeros(model.n_out, np.float32)
        assert bits(y) == bits([expected.get(step, nothing) for step in steps])


def test_a_pool_must_be_asked_which_rows_are_due(rng):
    model = model_of(residual(rng))
    pool, x = model.pool(2), uniform(rng, 2, N_IN)
    pool.open("a")
    before = pool.snapshot("a")
    with pytest.raises(ShapeError, match=r"due: expected a uint8 array \(1,\).* answer at every step; got none"):
        pool.step(["a"], x[:1])
    with pytest.raises(ShapeError, match=r"due: expected a writable, contiguous uint8 array \(1,\)"):
        pool.step(["a"], x[:1], due=np.empty(2, np.uint8))
    assert pool.snapshot("a") == before


def test_rows_that_are_refused_have_no_answer(rng):
    model, x = model_of(between_steps(rng)), uniform(rng, 4, N_IN)
    pool = model.pool(2)
    pool.open("a")
    pool.step(["a"] * 3, x[:3], due=np.empty(3, np.uint8))
    rows, status, due = np.array([x[3], x[3], x[3]]), np.empty(3, np.uint8), np.empty(3, np.uint8)
    rows[1, 0] = np.nan
    y = pool.step(["b", "a", "a"], rows, status=status, due=due)
    assert status.tolist() == [1, 2, 0] and due.tolist() == [0, 0, 1]
    assert np.isnan(y[:2]).all() and bits(y[2:]) == bits(model.stream().run(x))


def test_what_diverges_leaves_the_state_as_it_was(rng):
    """Whether the bad row gets as far as an answer or not."""
    layers = (
        s.Conv1d(name="c", n_out=2, size=1),
        s.Conv1d(name="d", n_out=2, size=3, stride=2),
        s.Dense(name="y", n_out=1),
    )
    tensors = {"c.weight": np.full((2, N_IN), 1e30), "d.weight": np.ones((2, 6)), "y.weight": np.ones((1, 2))}
    model = Model(spec_of(*layers, n_in=N_IN), tensors)
    stream, pool = model.stream(), model.pool(1)
    pool.open("a")
    large, small = np.full(N_IN, 1e10, np.float32), np.full(N_IN, 1e-30, np.float32)
    answers = []
    for _ in range(8):
        before = stream.snapshot()
        with pytest.raises(NonFiniteError, match="the new state or the output would not be finite"):
            stream.step(large)
        with pytest.raises(NonFiniteError, match="row 1: the new state"):
            stream.run([small, large])
        with pytest.raises(NonFiniteError, match="row 1"):
            pool.step(["a", "a"], [small, large], due=np.empty(2, np.uint8))
        assert stream.snapshot() == before == pool.snapshot("a")
        answers.append(stream.step(small) is not None)
        pool.step(["a"], [small], due=np.empty(1, np.uint8))
    assert answers == [step in due(model, 8) for step in range(8)]


def test_the_state_can_be_read_and_set(rng):
    model, x = model_of(residual(rng)), uniform(rng, N_STEPS, N_IN)
    stream = model.stream()
    assert {name: value.shape for name, value in stream.state.items()} == {
        "near": (2, N_IN), "far": (8, N_IN), "x:1": (1, N_IN), "x:6": (6, N_IN), "sum:6": (5, N_IN),
        "near:6": (5, N_IN), "gru": (7,),
    }  # fmt: skip
    stream.run(x[:30])
    state = stream.state
    np.testing.assert_array_equal(state["near"], x[28:30])
    np.testing.assert_array_equal(state["x:6"], x[24:30])
    other = model.stream()
    other.run(np.zeros((30, N_IN)))
    other.state = state
    assert other.snapshot() == stream.snapshot()
    with pytest.raises(ShapeError, match=r"state\['near'\]: expected shape \(2, 3\), got \(6,\)"):
        other.state = {"near": np.zeros(6)}


def test_padding_that_is_left_out_starts_again_after_a_reset(rng):
    model = Model(spec_of(s.AveragePool1d(name="p", size=3, before=2), n_in=1), {})
    stream = model.stream()
    for _ in range(2):
        np.testing.assert_array_equal(stream.run([[3], [6], [9], [0]]), [[3], [4.5], [6], [5]])
        stream.reset()


def test_snapshots_know_the_clock(rng):
    """The same sizes at another stride are another state, even if it is to be carried over."""

    def pools(*strides):
        first, second = (s.MaxPool1d(name=f"p{k}", size=2 * k + 1, stride=stride) for k, stride in enumerate(strides))
        return Model(spec_of(first, second, n_in=N_IN), {})

    blob = pools(2, 1).stream().snapshot()
    with pytest.raises(SnapshotError, match="expected state layout"):
        pools(3, 1).restore(blob, carry=True)
    pools(2, 2).restore(blob, carry=True)  # the same rows are kept at the same steps; only the answers are fewer


def test_a_step_can_be_timed(make, rng):
    stream = model_of(make(rng)).stream()
    assert len(timing.step_ns(stream, np.zeros(N_IN, np.float32), 20)) == 20
    assert timing.block_ns(stream, np.zeros(N_IN, np.float32), 20) > 0
    assert stream.n_steps == 40


def test_the_step_of_cython_tells_that_nothing_is_due(rng):
    """By an outcome that is no error, with y as it was."""
    model, x = model_of(between_steps(rng)), uniform(rng, N_STEPS, N_IN)
    stream, y, expected = model.stream(), np.empty(model.n_out, np.float32), iter(model.stream().run(x))
    step = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p, c.c_void_p)(function(embed, "sg_step"))
    error = c.PYFUNCTYPE(c.py_object, c.py_object, c.c_void_p, c.c_int)(function(embed, "sg_error"))
    for i, row in enumerate(x):
        y[:] = 7
        outcome = step(pointer_to(stream), row.ctypes.data, y.ctypes.data)
        assert outcome == (0 if i in due(model) else 4)
        assert bits(y) == bits(next(expected) if outcome == 0 else np.full(model.n_out, 7, np.float32))
        assert error(stream, row.ctypes.data, outcome) is None
    assert stream.n_steps == N_STEPS


def test_a_network_that_looks_back_alone_answers_at_every_step(rng):
    layers = (s.Conv1d(name="c", n_out=2, size=3, dilation=2, before=4), s.AveragePool1d(name="p", size=2, before=1))
    model = Model(spec_of(*layers, n_in=N_IN), {"c.weight": uniform(rng, 2, 9)})
    assert (model.stride, model.delay, model.plan.layout.timed) == (1, 0, False)
    pool, x = model.pool(1), uniform(rng, 5, N_IN)
    pool.open("a")
    due = np.empty(5, np.uint8)
    assert bits(pool.step(["a"] * 5, x, due=due)) == bits(model.run(x[None])[0]) == bits(model.stream().run(x))
    assert due.tolist() == [1] * 5
