# cython: freethreading_compatible=True
"""The packed kernels, compiled for several instruction sets; which one is used is decided at import.

The best that this CPU has is taken, or the one that ``STREAMGRU_ISA`` names. The bits are the same.
"""

from cpython.pycapsule cimport PyCapsule_New

import os

from streamgru.errors import OptionError, UnsupportedError

VARIABLE = "STREAMGRU_ISA"


def isas():
    """The instruction sets that this CPU can run, the best first."""
    cdef int i = 0
    names = []
    while sg_packed_at(i) != NULL:
        names.append(sg_packed_at(i).isa.decode())
        i += 1
    return names


def table_of(str isa):
    """The kernels for one instruction set, as a capsule (see simd/packed.h).

    Raises
    ------
    UnsupportedError
        If this CPU, or this build, does not have it.
    """
    cdef bytes name = isa.encode("utf-8", "replace")
    cdef const sg_packed_table* found = sg_packed_named(name)
    if found == NULL:
        raise UnsupportedError(f"isa: expected one of {', '.join(isas())}, got {isa!r}")
    return PyCapsule_New(<void*>found, SG_PACKED_TABLE_NAME, NULL)


isa = os.environ.get(VARIABLE) or isas()[0]
if isa not in isas():
    raise OptionError(f"{VARIABLE}: expected one of {', '.join(isas())}, got {isa!r}")
bits = SG_BITS
table = table_of(isa)
