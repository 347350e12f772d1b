# cython: freethreading_compatible=True
"""The layers that the packed kernels compute: GRUs and dense layers, for many streams or many timesteps at once."""

from streamgru.kernels.packed cimport sg_dense, sg_gru, sg_gru_rows, sg_rows


cdef inline sg_rows rows(float** base, Py_ssize_t at) noexcept nogil:
    cdef sg_rows found
    found.base, found.at = base, at
    return found


cdef inline sg_gru_rows gru_rows(const Op* op, float** work) noexcept nogil:
    """All rows of a GRU but those of the old state."""
    cdef sg_gru_rows found
    found.x = rows(work, op.src)
    found.h = rows(NULL, 0)
    found.projected = rows(NULL, 0)
    found.h_next = rows(work, op.dst)
    found.gates = rows(work, op.gates)
    found.scratch = rows(work, op.scratch)
    return found


cdef void gru_many(const Op* op, Py_ssize_t n, float** state, float** work) noexcept nogil:
    cdef sg_gru_rows found = gru_rows(op, work)
    found.h = rows(state, op.old)
    op.packed.gru(<const sg_gru*>op.layer, n, &found)


cdef void gru_steps(const Op* op, Py_ssize_t n, float* state, float** work) noexcept nogil:
    """The input is multiplied for all timesteps at once; it comes before the state in the order of additions."""
    cdef sg_gru_rows found = gru_rows(op, work)
    cdef Py_ssize_t i
    op.packed.project(<const sg_gru*>op.layer, n, found.x, found.scratch, rows(work, op.projected))
    for i in range(n):
        found = gru_rows(op, work + i)
        found.projected = rows(work + i, op.projected)
        found.h = rows(&state, op.old) if i == 0 else rows(work + i - 1, op.dst)
        op.packed.gru(<const sg_gru*>op.layer, 1, &found)


cdef void dense_many(const Op* op, Py_ssize_t n, float** state, float** work) noexcept nogil:
    op.packed.dense(
        <const sg_dense*>op.layer, n, rows(work, op.src), rows(work, op.scratch), rows(work, op.dst),
    )
