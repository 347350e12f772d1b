# cython: freethreading_compatible=True
"""Several rows of one value: how they are kept, and what looks at them."""

from libc.string cimport memcpy


cdef void window(const Op* op, const real* state, real* work) noexcept nogil:
    """The new state is what follows the first row: kept, it is moved on without another copy."""
    cdef real* rows = work + op.dst             # (n_rows + 1, width)
    cdef real* newest = rows + op.n_out - op.width
    memcpy(rows, state + op.old, (op.n_out - op.width) * sizeof(real))
    memcpy(newest, work + op.src, op.n_in * sizeof(real))
    if op.width > op.n_in:
        newest[op.n_in] = 1


cdef void spread(const Op* op, const real* state, real* work) noexcept nogil:
    """Side by side, as the columns of a weight."""
    cdef Py_ssize_t j, apart = op.dilation * op.width
    for j in range(op.n_out // op.width):
        memcpy(work + op.dst + j * op.width, work + op.src + j * apart, op.width * sizeof(real))


cdef void recall(const Op* op, const real* state, real* work) noexcept nogil:
    """Of a value that is not new at this step, so that the state is what its last step left."""
    memcpy(work + op.dst, state + op.old, op.n_out * sizeof(real))


cdef void average(const Op* op, const real* state, real* work) noexcept nogil:
    """Summed in double, the oldest first; of rows that are marked, only those that are no padding are counted."""
    cdef const real* rows = work + op.src       # (n_rows, width)
    cdef real* y = work + op.dst
    cdef Py_ssize_t n_rows = op.n_in // op.width, i, j
    cdef double total, count = n_rows
    if op.width > op.n_out:
        count = 0
        for j in range(n_rows):
            count += rows[j * op.width + op.n_out]
    for i in range(op.n_out):
        total = 0
        for j in range(n_rows):
            total += rows[j * op.width + i]
        y[i] = <real>(total / count)


cdef void largest(const Op* op, const real* state, real* work) noexcept nogil:
    """Padding is the lowest of all numbers."""
    cdef const real* rows = work + op.src       # (n_rows, width)
    cdef real* y = work + op.dst
    cdef Py_ssize_t n_rows = op.n_in // op.width, i, j
    cdef real top
    for i in range(op.n_out):
        top = rows[i]
        for j in range(1, n_rows):
            top = rows[j * op.width + i] if rows[j * op.width + i] > top else top
        y[i] = top
