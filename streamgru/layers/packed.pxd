"""The layers that the packed kernels compute."""

from streamgru.layers.op cimport Op

# One timestep of n streams; as gru_after and gru_before of gru.pxd, by the sg_gru at op.layer.
cdef void gru_many(const Op* op, Py_ssize_t n, float** state, float** work) noexcept nogil
# n timesteps of one stream, with the same bits.
cdef void gru_steps(const Op* op, Py_ssize_t n, float* state, float** work) noexcept nogil
# y = function(W x + b), by the sg_dense at op.layer.
cdef void dense_many(const Op* op, Py_ssize_t n, float** state, float** work) noexcept nogil
