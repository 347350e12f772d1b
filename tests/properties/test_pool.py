"""A pool against a dict of single streams, whatever is done with both."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.networks import bits, uniform
from tests.properties.strategies import models

IDS = ["a", b"a", 1, "1", "b"]


@given(st.data())
@settings(max_examples=60)
def test_a_pool_is_so_many_streams(data):
    """Opened, closed, reset, restored and stepped in any order, with ids repeated in a batch."""
    model = data.draw(models())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    pool, singles = model.pool(3), {}
    for _ in range(data.draw(st.integers(1, 12))):
        id = data.draw(st.sampled_from(IDS))
        if id not in singles:
            if len(singles) < 3:
                pool.open(id)
                singles[id] = model.stream()
                assert pool.snapshot(id) == model.stream().snapshot()
            continue
        match data.draw(st.sampled_from(["step", "step", "step", "close", "reset", "restore"])):
            case "close":
                pool.close(id)
                del singles[id]
            case "reset":
                pool.reset(id)
                singles[id].reset()
            case "restore":
                blob = pool.snapshot(id)
                pool.close(pool.handle(id))
                pool.open(id, blob)
            case "step":
                ids = data.draw(st.lists(st.sampled_from(list(singles)), max_size=8))
                x = uniform(rng, len(ids), model.n_in)
                rows = [id if data.draw(st.booleans()) else pool.handle(id) for id in ids]
                y = pool.step(rows, x)
                assert bits(y) == bits([singles[id].step(row) for id, row in zip(ids, x, strict=True)])
    assert set(pool) == set(singles)
    for id, single in singles.items():
        assert pool.snapshot(id) == single.snapshot()
