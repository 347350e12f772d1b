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
    cdef const real* weight = <const real*>op.weight
    cdef const real* weight_hh = <const real*>op.weight_hh
    cdef real* r = work + op.gates              # (n_hid,)
    cdef real* z = r + op.gate_size             # (n_hid,)
    cdef real* n = z + op.gate_size             # (n_hid,)
    cdef real* a = work + op.scratch            # (3*n_hid,) W x + b, rows r | z | n
    cdef real* u = a + 3 * n_hid                # (3*n_hid,) U h + c
    memcpy(a, op.bias, 3 * n_hid * sizeof(real))
    memcpy(u, op.bias_hh, 3 * n_hid * sizeof(real))
    gemv(op.blas, 3 * n_hid, op.n_in, weight, x, a)
    gemv(op.blas, 3 * n_hid, n_hid, weight_hh, h, u)

    for i in range(n_hid):
        r[i] = a[i] + u[i]
        z[i] = a[n_hid + i] + u[n_hid + i]
    _gate(op, op.gate, r)
    _gate(op, op.gate, z)
    for i in range(n_hid):
        n[i] = a[2 * n_hid + i] + r[i] * u[2 * n_hid + i]
    _gate(op, op.function, n)
    blend(n_hid, z, n, h, work + op.dst)


cdef void gru_before(const Op* op, const real* state, real* work) noexcept nogil:
    cdef Py_ssize_t n_hid = op.n_out, i
    cdef const real* x = work + op.src          # (n_in,)
    cdef const real* h = state + op.old         # (n_hid,)
    cdef const real* weight_hh = <const real*>op.weight_hh
    cdef const real* c = <const real*>op.bias_hh
    cdef real* r = work + op.gates              # (n_hid,)
    cdef real* z = r + op.gate_size             # (n_hid,)
    cdef real* n = z + op.gate_size             # (n_hid,)
    cdef real* a = work + op.scratch            # (3*n_hid,) W x + b + c, rows r | z | n, then all that is added
    cdef real* rh = a + 3 * n_hid               # (n_hid,) r * h
    memcpy(a, op.bias, 3 * n_hid * sizeof(real))
    gemv(op.blas, 3 * n_hid, op.n_in, <const real*>op.weight, x, a)
    for i in range(3 * n_hid):
        a[i] = a[i] + c[i]

    gemv(op.blas, 2 * n_hid, n_hid, weight_hh, h, a)
    memcpy(r, a, n_hid * sizeof(real))
    memcpy(z, a + n_hid, n_hid * sizeof(real))
    _gate(op, op.gate, r)
    _gate(op, op.gate, z)
    for i in range(n_hid):
        rh[i] = r[i] * h[i]
    memcpy(n, a + 2 * n_hid, n_hid * sizeof(real))
    gemv(op.blas, n_hid, n_hid, weight_hh + 2 * n_hid * n_hid, rh, n)
    _gate(op, op.function, n)
    blend(n_hid, z, n, h, work + op.dst)


cdef inline void _gate(const Op* op, sg_activation function, real* x) noexcept nogil:
    """x[n_hid] := function(x), after the clip if there is one."""
    if op.clip > 0:
        clip(op.clip, op.n_out, x)
    activate(op.packed, function, op.n_out, x)
