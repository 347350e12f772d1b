"""Owned, zeroed, 64-byte aligned memory."""

class Block:
    """*n_bytes* of zeros, aligned to a cache line. Freed with the object."""
    def __init__(self, n_bytes: int) -> None: ...
    @property
    def n_bytes(self) -> int: ...
