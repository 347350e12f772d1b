"""One timestep of a gated recurrent unit."""

from streamgru.kernels.activations cimport sg_activation
from streamgru.kernels.real cimport real
from streamgru.layers.op cimport Op

# Both read x at work[op.src] (n_in,) and h at state[op.old] (n_hid,), leave r, z and n at
# work[op.gates] and write the new h, which is the layer's output, to work[op.dst] (n_hid,).
cdef void gru_after(const Op* op, const real* state, real* work) noexcept nogil
cdef void gru_before(const Op* op, const real* state, real* work) noexcept nogil
