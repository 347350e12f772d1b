# cython: freethreading_compatible=True
"""The operations of a plan, and what they point to. Filled by ``compile``, run by ``plan``."""

cimport numpy as cnp
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.pycapsule cimport PyCapsule_GetPointer

from streamgru.kernels.blas cimport SG_BLAS_TABLE_NAME
from streamgru.kernels.packed cimport SG_PACKED_TABLE_NAME
from streamgru.model.block cimport Block

import numpy as np

from streamgru.errors import SpecError
from streamgru.kernels import packed

cnp.import_array()


cdef class Code:
    """At most *most* operations in *dtype*, on the packed kernels or on BLAS."""

    def __cinit__(self, Py_ssize_t most, dtype, bint use_packed):
        table = packed.table
        self.dtype, self.use_packed = np.dtype(dtype), use_packed
        self.single = self.dtype.itemsize == sizeof(float)
        self.stored, self.initial, self.read, self.kept, self.defaults = {}, {}, [], [], {}
        self.packed = <const sg_packed_table*>PyCapsule_GetPointer(table, SG_PACKED_TABLE_NAME)
        self.tables = [table]
        if not use_packed:
            from streamgru.kernels import blas  # loads scipy's BLAS: not before the first model needs it
            blas_table = blas.table
            self.blas = <const sg_blas_table*>PyCapsule_GetPointer(blas_table, SG_BLAS_TABLE_NAME)
            self.tables.append(blas_table)
        self.ops = <Op*>PyMem_Calloc(most, sizeof(Op))
        if self.ops == NULL:
            raise MemoryError("no memory for the plan")

    def __dealloc__(self):
        PyMem_Free(self.ops)

    cdef Op* add(self, object placed) except NULL:
        """One more operation, with what it reads and writes."""
        cdef Op* op = &self.ops[self.n_ops]
        self.n_ops += 1
        op.blas, op.packed = self.blas, self.packed
        op.n_in, op.n_out = placed.reads.size, placed.output.size
        op.src, op.src_b, op.dst = placed.reads.offset, placed.inputs[-1].offset, placed.output.offset
        op.first, op.stride = placed.clock.first, placed.clock.stride
        if placed.scratch is not None:
            op.scratch = placed.scratch.offset
        return op

    cdef const void* array(self, object placed, str key, object array, Py_ssize_t size, double default) except NULL:
        """A pointer to the tensor *key* of a layer in this dtype; to *size* times *default* for None."""
        if array is None:
            if (size, default) not in self.defaults:
                self.defaults[size, default] = np.full(size, default, self.dtype)
            return cnp.PyArray_DATA(self.defaults[size, default])
        with np.errstate(over="ignore"):
            own = owned(array, self.dtype)
        if not np.isfinite(own).all():
            raise SpecError(f"layer {placed.layer.name!r}: a tensor holds a value that is too large for {self.dtype}")
        if key:
            self.stored[f"{placed.layer.name}.{key}"] = own
        return self.keep(own)

    cdef void* room(self, Py_ssize_t n_bytes) except NULL:
        """Zeros that live as long as the operations."""
        cdef Block block = Block(n_bytes)
        self.kept.append(block)
        return block.data

    cdef const void* keep(self, object array) except NULL:
        self.kept.append(array)
        return cnp.PyArray_DATA(array)


cdef object owned(object array, object dtype):
    """An array in C order that nobody can write to: a copy, unless it views a read-only buffer, as of a file."""
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, (bytes, memoryview)) and memoryview(base).readonly:
        return np.require(array, dtype, ["C", "A"])
    return np.array(array, dtype, order="C")
