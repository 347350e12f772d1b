"""The packed kernels, compiled for several instruction sets; which one is used is decided at import.

The best that this CPU has is taken, or the one that ``STREAMGRU_ISA`` names. The bits are the same.
"""

VARIABLE: str
isa: str
bits: int
table: object

def isas() -> list[str]:
    """The instruction sets that this CPU can run, the best first."""

def table_of(isa: str) -> object:
    """The kernels for one instruction set, as a capsule (see simd/packed.h).

    Raises
    ------
    UnsupportedError
        If this CPU, or this build, does not have it.
    """
