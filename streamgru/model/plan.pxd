"""A program compiled to a flat list of operations. Immutable, shared by all threads."""

from libc.stdint cimport int64_t

from streamgru.kernels.blas cimport sg_blas_table
from streamgru.layers.op cimport Op
from streamgru.model.block cimport Block


cdef struct StateHeader:     # opens every state block
    double t                 # time of the last record in seconds, NaN before the first
    int64_t seq              # sequence number of the last record, -1 before the first
    int64_t n_steps          # steps since the start


cdef struct Token:
    Py_ssize_t index         # element of x
    Py_ssize_t vocab         # it is an integer in [0, vocab)


cdef class Plan:
    cdef Op* ops                     # (n_ops,)
    cdef Py_ssize_t n_ops
    cdef Token* tokens               # (n_tokens,)
    cdef Py_ssize_t n_tokens
    cdef readonly Py_ssize_t n_in    # elements of x
    cdef readonly Py_ssize_t n_out   # elements of y
    cdef readonly Py_ssize_t n_macs  # multiply-adds of a step, for those who decide on the GIL
    cdef Py_ssize_t n_state          # elements of a state block, with its header
    cdef Py_ssize_t next_at          # work[next_at]: the state after the step (n_state,)
    cdef Py_ssize_t y_at             # work[y_at]: the output (n_out,)
    cdef readonly Py_ssize_t state_bytes
    cdef readonly Py_ssize_t work_bytes
    cdef readonly Py_ssize_t itemsize
    cdef int typenum                 # of numpy: NPY_FLOAT or NPY_DOUBLE
    cdef readonly object dtype
    cdef readonly object layout      # streamgru.model.layout.Layout
    cdef readonly dict inputs        # name -> size, in the order of x
    cdef Block initial               # the state that a stream starts from
    cdef list arrays                 # owns what the operations point to
    cdef dict defaults               # (size, value) -> the array that stands in for tensors that are not there
    cdef object blas                 # owns the BLAS table

    cdef Py_ssize_t load(self, const void* x, void* work) noexcept nogil
    cdef int step(self, void* state, void* work) noexcept nogil
    cdef const void* output(self, const void* work) noexcept nogil
    cdef void start(self, void* state) noexcept nogil
    cdef int _place(self, Op* op, placed, const sg_blas_table* table) except -1
    cdef const void* _array(self, layer, array, Py_ssize_t size, double default) except NULL
