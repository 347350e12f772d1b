"""The operations of a plan, and what they point to."""

from streamgru.kernels.blas cimport sg_blas_table
from streamgru.kernels.packed cimport sg_packed_table
from streamgru.layers.op cimport Op


cdef class Code:
    cdef Op* ops                     # (n_ops,)
    cdef readonly Py_ssize_t n_ops
    cdef readonly object dtype
    cdef readonly bint single        # float32
    cdef readonly bint use_packed
    cdef readonly dict stored        # tensor name -> what holds its numbers: ndarray, or tuple of Matrix
    cdef readonly list read          # the matrices that every step reads, as the kernels do: ndarrays
    cdef readonly dict initial       # state entry -> what it starts from, where that is not zero
    cdef list kept                   # owns what the operations point to
    cdef dict defaults               # (size, value) -> the array that stands in for tensors that are not there
    cdef object tables               # owns the tables below
    cdef const sg_blas_table* blas   # NULL where the packed kernels do everything
    cdef const sg_packed_table* packed

    cdef Op* add(self, object placed) except NULL
    cdef const void* array(self, object placed, str key, object array, Py_ssize_t size, double default) except NULL
    cdef void* room(self, Py_ssize_t n_bytes) except NULL
    cdef const void* keep(self, object array) except NULL


cdef object owned(object array, object dtype)
