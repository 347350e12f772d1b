# cython: freethreading_compatible=True
"""Scratch for several streams, or several timesteps, at once."""

from cpython.mem cimport PyMem_Free, PyMem_Malloc


cdef class Lanes:
    """So much scratch that a plan can take up to *most* of them together, and not so much that it leaves the cache.

    Parameters
    ----------
    plan : Plan
    most : int
        Lanes that there are work for.
    n_bytes : int
        What they may take, unless *least* need more.
    least : int
        Below so many, going together gains nothing.
    """

    def __cinit__(self, Plan plan, Py_ssize_t most, Py_ssize_t n_bytes=96 * 1024, Py_ssize_t least=8):
        cdef Py_ssize_t i
        self.n = lanes_for(plan, most, n_bytes, least)
        self.block = Block(self.n * plan.program.work_bytes)
        self.works = <void**>PyMem_Malloc(self.n * sizeof(void*))
        if self.works == NULL:
            raise MemoryError("no memory for the scratch")
        for i in range(self.n):
            self.works[i] = self.block.data + i * plan.program.work_bytes

    def __dealloc__(self):
        PyMem_Free(self.works)
