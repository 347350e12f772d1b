"""However a sequence is cut, whatever happens in between: the same bits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.networks import bits
from tests.properties.strategies import blocks, inputs, models


@given(st.data())
def test_any_split_is_the_same_run(data):
    model = data.draw(models())
    x = data.draw(inputs(model))
    expected = model.stream().run(x)
    stream, got = model.stream(), []
    for block in blocks(data.draw, x):
        match data.draw(st.sampled_from(["step", "out", "run", "trace"])):
            case "step":
                got += [stream.step(row) for row in block]
            case "out":
                got += [stream.step(row, out=np.empty(model.n_out, model.dtype)) for row in block]
            case "run":
                got += list(stream.run(block))
            case "trace":
                got += list(stream.trace(block).y)
    assert bits(got) == bits(expected)
    assert stream.n_steps == len(x)
    assert bits(model.run(x[None])[0]) == bits(expected)


@given(st.data())
def test_gates_recombine_to_the_state(data):
    model = data.draw(models())
    x = data.draw(inputs(model))
    stream = model.stream()
    h = stream.state
    trace = stream.trace(x)
    assert set(trace.gates) == set(h)
    for name, gates in trace.gates.items():
        before = np.vstack([h[name], gates.h[:-1]])
        assert bits((1 - gates.z) * gates.n + gates.z * before) == bits(gates.h)
        assert bits(gates.h[-1]) == bits(stream.state[name])


@given(st.data())
def test_a_snapshot_anywhere_goes_on(data):
    model = data.draw(models())
    x = data.draw(inputs(model))
    expected = model.stream().run(x)
    stream, got = model.stream(), []
    for block in blocks(data.draw, x):
        got += list(stream.run(block))
        blob = stream.snapshot()
        stream = model.restore(blob) if data.draw(st.booleans()) else stream.fork()
        assert stream.snapshot() == blob
    assert bits(got) == bits(expected)
