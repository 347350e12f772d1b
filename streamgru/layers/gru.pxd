"""One timestep of a gated recurrent unit."""

from streamgru.kernels.real cimport real
from streamgru.layers.op cimport Op

# Both read x at work[op.src] (n_in,) and h at state[op.old] (n_hid,), leave r | z | n at
# work[op.gates] and write the new h to work[op.new] and, as the layer's output, to work[op.dst].
cdef void gru_after(const Op* op, const real* state, real* work) noexcept nogil
cdef void gru_before(const Op* op, const real* state, real* work) noexcept nogil
