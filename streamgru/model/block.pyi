"""Owned, zeroed, 64-byte aligned memory."""

from typing import Self

class Block:
    """*n_bytes* of zeros, aligned to a cache line. Freed with the object."""
    def __new__(cls, n_bytes: int) -> Self: ...
    @property
    def n_bytes(self) -> int: ...
