# cython: freethreading_compatible=True
"""The layers that remember nothing: what stands around the GRUs of a network."""

from libc.math cimport exp, sqrt
from libc.stdint cimport int8_t, uint16_t
from libc.string cimport memcpy

from streamgru.kernels.activations cimport activate
from streamgru.kernels.blas cimport gemv
from streamgru.kernels.packed cimport half_to_float


cdef void dense(const Op* op, const real* state, real* work) noexcept nogil:
    """y = function(W x + b): weight (n_out, n_in), bias (n_out,)."""
    cdef real* y = work + op.dst
    memcpy(y, op.bias, op.n_out * sizeof(real))
    gemv(op.blas, op.n_out, op.n_in, <const real*>op.weight, work + op.src, y)
    activate(op.packed, op.function, op.n_out, y)


cdef void embedding(const Op* op, const real* state, real* work) noexcept nogil:
    """y = W[token]: weight (vocab, n_out). The plan has checked the token."""
    cdef Py_ssize_t token = <Py_ssize_t>work[op.src]
    memcpy(work + op.dst, <const real*>op.weight + token * op.n_out, op.n_out * sizeof(real))


cdef void embedding_f16(const Op* op, const real* state, real* work) noexcept nogil:
    """y = W[token], of 16-bit floats."""
    cdef Py_ssize_t token = <Py_ssize_t>work[op.src], i
    cdef const uint16_t* row = <const uint16_t*>op.weight + token * op.n_out
    for i in range(op.n_out):
        work[op.dst + i] = half_to_float(row[i])


cdef void embedding_q8(const Op* op, const real* state, real* work) noexcept nogil:
    """y = W[token] * scale[token], of int8: the product is that of float32 in either dtype."""
    cdef Py_ssize_t token = <Py_ssize_t>work[op.src], i
    cdef const int8_t* row = <const int8_t*>op.weight + token * op.n_out
    for i in range(op.n_out):
        work[op.dst + i] = <float>row[i] * op.scale[token]


cdef void scale(const Op* op, const real* state, real* work) noexcept nogil:
    """y = x * w + b: weight and bias (n_out,)."""
    cdef const real* x = work + op.src
    cdef const real* w = <const real*>op.weight
    cdef const real* b = <const real*>op.bias
    cdef real* y = work + op.dst
    cdef Py_ssize_t i
    for i in range(op.n_out):
        y[i] = x[i] * w[i] + b[i]


cdef void layernorm(const Op* op, const real* state, real* work) noexcept nogil:
    """y = (x - mean) / sqrt(var + eps) * w + b (Ba et al. 2016), var without Bessel's correction."""
    cdef const real* x = work + op.src
    cdef const real* w = <const real*>op.weight
    cdef const real* b = <const real*>op.bias
    cdef real* y = work + op.dst
    cdef double mean = 0, var = 0, inverse
    cdef Py_ssize_t i
    for i in range(op.n_in):
        mean += x[i]
    mean /= op.n_in
    for i in range(op.n_in):
        var += (x[i] - mean) * (x[i] - mean)
    inverse = 1 / sqrt(var / op.n_in + op.eps)
    for i in range(op.n_in):
        y[i] = <real>((x[i] - mean) * inverse) * w[i] + b[i]


cdef void activation(const Op* op, const real* state, real* work) noexcept nogil:
    """y = function(x)."""
    memcpy(work + op.dst, work + op.src, op.n_out * sizeof(real))
    activate(op.packed, op.function, op.n_out, work + op.dst)


cdef void softmax(const Op* op, const real* state, real* work) noexcept nogil:
    """y = exp(x - max x) / sum exp(x - max x)."""
    cdef real* y = work + op.dst
    cdef double total = _exponentials(op, work + op.src, y, _largest(op.n_in, work + op.src))
    cdef Py_ssize_t i
    for i in range(op.n_in):
        y[i] = <real>(y[i] / total)


cdef void log_softmax(const Op* op, const real* state, real* work) noexcept nogil:
    """y = x - max x - log sum exp(x - max x), finite also where the softmax itself is 0."""
    cdef const real* x = work + op.src
    cdef real* y = work + op.dst
    cdef real top = _largest(op.n_in, x), total = <real>_exponentials(op, x, y, top)
    cdef Py_ssize_t i
    activate(op.packed, op.function, 1, &total)
    for i in range(op.n_in):
        y[i] = (x[i] - top) - total


cdef inline real _largest(Py_ssize_t n, const real* x) noexcept nogil:
    cdef real top = x[0]
    cdef Py_ssize_t i
    for i in range(1, n):
        top = x[i] if x[i] > top else top
    return top


cdef inline double _exponentials(const Op* op, const real* x, real* y, real top) noexcept nogil:
    """y = exp(x - top), and their sum."""
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(op.n_in):
        y[i] = x[i] - top
    if real is float:
        op.packed.exp_negative(op.n_in, y)
    else:
        for i in range(op.n_in):
            y[i] = exp(y[i])
    for i in range(op.n_in):
        total += y[i]
    return total


cdef void normalize_length(const Op* op, const real* state, real* work) noexcept nogil:
    """y = x / sqrt(max(sum x^2, eps)), as Keras's UnitNormalization has it."""
    cdef const real* x = work + op.src
    cdef real* y = work + op.dst
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(op.n_in):
        total += <double>x[i] * x[i]
    total = sqrt(total if total > op.eps else op.eps)
    for i in range(op.n_in):
        y[i] = <real>(x[i] / total)


cdef void normalize_sum(const Op* op, const real* state, real* work) noexcept nogil:
    """y = x / max(sum |x|, eps)."""
    cdef const real* x = work + op.src
    cdef real* y = work + op.dst
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(op.n_in):
        total += x[i] if x[i] > 0 else -x[i]
    total = total if total > op.eps else op.eps
    for i in range(op.n_in):
        y[i] = <real>(x[i] / total)


cdef void copy(const Op* op, const real* state, real* work) noexcept nogil:
    """y = x: one input of a concat, or a slice."""
    memcpy(work + op.dst, work + op.src, op.n_out * sizeof(real))


cdef void add(const Op* op, const real* state, real* work) noexcept nogil:
    """y = a + b."""
    cdef const real* a = work + op.src
    cdef const real* b = work + op.src_b
    cdef real* y = work + op.dst
    cdef Py_ssize_t i
    for i in range(op.n_out):
        y[i] = a[i] + b[i]


cdef void mul(const Op* op, const real* state, real* work) noexcept nogil:
    """y = a * b, elementwise."""
    cdef const real* a = work + op.src
    cdef const real* b = work + op.src_b
    cdef real* y = work + op.dst
    cdef Py_ssize_t i
    for i in range(op.n_out):
        y[i] = a[i] * b[i]


cdef void div(const Op* op, const real* state, real* work) noexcept nogil:
    """y = a / b, elementwise."""
    cdef const real* a = work + op.src
    cdef const real* b = work + op.src_b
    cdef real* y = work + op.dst
    cdef Py_ssize_t i
    for i in range(op.n_out):
        y[i] = a[i] / b[i]
