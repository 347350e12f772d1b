"""Owned memory."""

import pytest

from streamgru.model.block import Block


def test_size():
    assert Block(100).n_bytes == 100
    assert Block(0).n_bytes == 0


@pytest.mark.parametrize("n_bytes", [-1, -63, -64, -1000, 2**62, 2**63 - 1])
def test_no_memory_of_that_size(n_bytes):
    with pytest.raises(MemoryError):
        Block(n_bytes)
