"""The kernels as Python functions, so that tests reach each one at each dtype. Not public."""

from cpython.pycapsule cimport PyCapsule_GetPointer

from streamgru.kernels cimport activations as act
from streamgru.kernels.activations cimport activate, blend, clip, first_nonfinite
from streamgru.kernels.blas cimport SG_BLAS_TABLE_NAME, gemv, sg_blas_table
from streamgru.kernels.packed cimport SG_PACKED_TABLE_NAME, sg_activation, sg_packed_table
from streamgru.kernels.real cimport real

from streamgru.kernels import blas, packed

KINDS = {
    "linear": act.SG_LINEAR, "sigmoid": act.SG_SIGMOID, "tanh": act.SG_TANH, "hard_sigmoid": act.SG_HARD_SIGMOID,
    "relu": act.SG_RELU, "leaky_relu": act.SG_LEAKY_RELU, "thresholded_relu": act.SG_THRESHOLDED_RELU,
    "elu": act.SG_ELU, "selu": act.SG_SELU, "softsign": act.SG_SOFTSIGN, "softplus": act.SG_SOFTPLUS,
    "scaled_tanh": act.SG_SCALED_TANH, "affine": act.SG_AFFINE, "clip": act.SG_CLIP, "swish": act.SG_SWISH,
    "gelu": act.SG_GELU, "gelu_tanh": act.SG_GELU_TANH,
    "exp": act.SG_EXP, "log": act.SG_LOG, "sqrt": act.SG_SQRT, "abs": act.SG_ABS,
}


cdef const sg_packed_table* _packed():
    table = packed.table
    return <const sg_packed_table*>PyCapsule_GetPointer(table, SG_PACKED_TABLE_NAME)


def probe_activate(str kind, real[::1] x, double alpha=0.0, double beta=0.0):
    """x := f(x), in place. x: (n,)."""
    cdef sg_activation f
    f.kind, f.alpha, f.beta = KINDS[kind], alpha, beta
    activate(_packed(), f, x.shape[0], &x[0])


def probe_clip(double limit, real[::1] x):
    """x := clip(x, -limit, limit), in place. x: (n,)."""
    clip(limit, x.shape[0], &x[0])


def probe_blend(real[::1] z, real[::1] n, real[::1] h, real[::1] h_next):
    """h_next := (1 - z) * n + z * h. All (n_hid,)."""
    blend(z.shape[0], &z[0], &n[0], &h[0], &h_next[0])


def probe_first_nonfinite(real[::1] x):
    """Index of the first NaN or infinity, or -1. x: (n,)."""
    return first_nonfinite(_packed(), x.shape[0], &x[0])


def probe_gemv(real[:, ::1] a, real[::1] x, real[::1] y):
    """y += A x. a: (n_rows, n_cols), x: (n_cols,), y: (n_rows,)."""
    table = blas.table
    gemv(<const sg_blas_table*>PyCapsule_GetPointer(table, SG_BLAS_TABLE_NAME), a.shape[0], a.shape[1],
         &a[0, 0], &x[0], &y[0])
