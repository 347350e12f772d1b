"""The layers that remember nothing. Each reads work[op.src] (n_in,) and writes work[op.dst] (n_out,)."""

from streamgru.kernels.real cimport real
from streamgru.layers.op cimport Op

cdef void dense(const Op* op, const real* state, real* work) noexcept nogil
cdef void embedding(const Op* op, const real* state, real* work) noexcept nogil
cdef void embedding_f16(const Op* op, const real* state, real* work) noexcept nogil
cdef void embedding_q8(const Op* op, const real* state, real* work) noexcept nogil
cdef void scale(const Op* op, const real* state, real* work) noexcept nogil
cdef void layernorm(const Op* op, const real* state, real* work) noexcept nogil
cdef void activation(const Op* op, const real* state, real* work) noexcept nogil
cdef void softmax(const Op* op, const real* state, real* work) noexcept nogil
cdef void log_softmax(const Op* op, const real* state, real* work) noexcept nogil
cdef void normalize_length(const Op* op, const real* state, real* work) noexcept nogil
cdef void normalize_sum(const Op* op, const real* state, real* work) noexcept nogil
cdef void copy(const Op* op, const real* state, real* work) noexcept nogil
cdef void add(const Op* op, const real* state, real* work) noexcept nogil
cdef void mul(const Op* op, const real* state, real* work) noexcept nogil
cdef void div(const Op* op, const real* state, real* work) noexcept nogil
