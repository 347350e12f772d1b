"""Several rows of one value: how they are kept, and what looks at them."""

from streamgru.kernels.real cimport real
from streamgru.layers.op cimport Op

# The rows of state[op.old], oldest first, and behind them x at work[op.src] (n_in,), to work[op.dst]: (n_out,)
# in rows of op.width. A row that is one wider than x ends with a 1, which tells it from the zeros of padding.
cdef void window(const Op* op, const real* state, real* work) noexcept nogil
# Rows of work[op.src] that are op.dilation apart, from the first on, to work[op.dst] (n_out,).
cdef void spread(const Op* op, const real* state, real* work) noexcept nogil
# The oldest row of state[op.old], to work[op.dst] (n_out,).
cdef void recall(const Op* op, const real* state, real* work) noexcept nogil
# The mean and the largest of the rows of work[op.src] (n_in,), element by element, to work[op.dst] (n_out,).
cdef void average(const Op* op, const real* state, real* work) noexcept nogil
cdef void largest(const Op* op, const real* state, real* work) noexcept nogil
