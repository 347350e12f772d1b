# cython: freethreading_compatible=True
"""One timestep of a gated recurrent unit, in its two variants.

*After*: the reset gate acts after the recurrent product (Cho et al. 2014, arXiv:1406.1078v1; what
cuDNN, PyTorch and Keras with ``reset_after=True`` compute)::

    r  = gate(W_r x + b_r + U_r h + c_r)
    z  = gate(W_z x + b_z + U_z h + c_z)
    n  = candidate(W_n x + b_n + r * (U_n h + c_n))
    h' = (1 - z) * n + z * h

*Before*: it acts on the state that enters the product (Cho et al. 2014, arXiv:1406.1078v3; Chung et
al. 2014, arXiv:1412.3555; TensorFlow 1, Keras with ``reset_after=False``, ONNX by default)::

    n  = candidate(W_n x + b_n + U_n (r * h) + c_n)

``weight`` is W (3*n_hid, n_in), ``weight_hh`` is U (3*n_hid, n_hid), ``bias`` is b and ``bias_hh``
is c (3*n_hid,); rows are r | z | n, PyTorch's order. Without a bias the plan passes zeros.
"""

from libc.string cimport memcpy

from streamgru.kernels.activations cimport activate, blend, clip
from streamgru.kernels.blas cimport gemv


cdef void gru_after(const Op* op, const real* state, real* work) noexcept nogil:
    cdef Py_ssize_t n_hid = op.n_out, i
    cdef const real* x = work + op.src          # (n_in,)
    cdef const real* h = state + op.old         # (n_hid,)
    cdef real* r = work + op.gates              # (3*n_hid,) r | z | n
    cdef real* z = r + n_hid
    cdef real* n = z + n_hid
    cdef real* u = work + op.scratch            # (3*n_hid,) U h + c
    cdef real* u_n = u + 2 * n_hid
    cdef real* h_next = work + op.new           # (n_hid,)

    memcpy(r, op.bias, 3 * n_hid * sizeof(real))
    memcpy(u, op.bias_hh, 3 * n_hid * sizeof(real))
    gemv(op.blas, 3 * n_hid, op.n_in, <const real*>op.weight, x, r)
    gemv(op.blas, 3 * n_hid, n_hid, <const real*>op.weight_hh, h, u)

    for i in range(2 * n_hid):
        r[i] = r[i] + u[i]
    if op.clip > 0:
        clip(op.clip, 2 * n_hid, r)
    activate(op.gate, 2 * n_hid, r)

    for i in range(n_hid):
        n[i] = n[i] + r[i] * u_n[i]
    if op.clip > 0:
        clip(op.clip, n_hid, n)
    activate(op.function, n_hid, n)

    blend(n_hid, z, n, h, h_next)
    memcpy(work + op.dst, h_next, n_hid * sizeof(real))


cdef void gru_before(const Op* op, const real* state, real* work) noexcept nogil:
    cdef Py_ssize_t n_hid = op.n_out, i
    cdef const real* x = work + op.src          # (n_in,)
    cdef const real* h = state + op.old         # (n_hid,)
    cdef const real* weight_hh = <const real*>op.weight_hh
    cdef const real* c = <const real*>op.bias_hh
    cdef real* r = work + op.gates              # (3*n_hid,) r | z | n
    cdef real* z = r + n_hid
    cdef real* n = z + n_hid
    cdef real* rh = work + op.scratch           # (n_hid,) r * h
    cdef real* h_next = work + op.new           # (n_hid,)

    memcpy(r, op.bias, 3 * n_hid * sizeof(real))
    gemv(op.blas, 3 * n_hid, op.n_in, <const real*>op.weight, x, r)
    for i in range(3 * n_hid):
        r[i] = r[i] + c[i]

    gemv(op.blas, 2 * n_hid, n_hid, weight_hh, h, r)
    if op.clip > 0:
        clip(op.clip, 2 * n_hid, r)
    activate(op.gate, 2 * n_hid, r)

    for i in range(n_hid):
        rh[i] = r[i] * h[i]
    gemv(op.blas, n_hid, n_hid, weight_hh + 2 * n_hid * n_hid, rh, n)
    if op.clip > 0:
        clip(op.clip, n_hid, n)
    activate(op.function, n_hid, n)

    blend(n_hid, z, n, h, h_next)
    memcpy(work + op.dst, h_next, n_hid * sizeof(real))
