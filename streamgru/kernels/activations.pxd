"""The functions of activations.h, for both types."""

from streamgru.kernels.packed cimport sg_activation, sg_packed_table
from streamgru.kernels.real cimport real


cdef extern from "activations.h" nogil:
    int SG_LINEAR, SG_SIGMOID, SG_TANH, SG_HARD_SIGMOID, SG_RELU, SG_LEAKY_RELU, SG_THRESHOLDED_RELU
    int SG_ELU, SG_SELU, SG_SOFTSIGN, SG_SOFTPLUS, SG_SCALED_TANH, SG_AFFINE, SG_CLIP
    int SG_SWISH, SG_GELU, SG_GELU_TANH, SG_EXP, SG_LOG, SG_SQRT, SG_ABS

    void sg_activate_f64(sg_activation f, Py_ssize_t n, double* x)
    void sg_clip_f32(float limit, Py_ssize_t n, float* x)
    void sg_clip_f64(double limit, Py_ssize_t n, double* x)
    void sg_blend_f32(Py_ssize_t n_hid, const float* z, const float* n, const float* h, float* h_next)
    void sg_blend_f64(Py_ssize_t n_hid, const double* z, const double* n, const double* h, double* h_next)
    Py_ssize_t sg_first_nonfinite_f64(Py_ssize_t n, const double* x)


cdef inline void activate(const sg_packed_table* table, sg_activation f, Py_ssize_t n, real* x) noexcept nogil:
    """x[n] := f(x), in place."""
    if real is float:
        table.activate(&f, n, x)
    else:
        sg_activate_f64(f, n, x)


cdef inline void clip(double limit, Py_ssize_t n, real* x) noexcept nogil:
    """x[n] := min(max(x, -limit), limit), in place."""
    if real is float:
        sg_clip_f32(<float>limit, n, x)
    else:
        sg_clip_f64(limit, n, x)


cdef inline void blend(
    Py_ssize_t n_hid, const real* z, const real* n, const real* h, real* h_next,
) noexcept nogil:
    """h_next := (1 - z) * n + z * h."""
    if real is float:
        sg_blend_f32(n_hid, z, n, h, h_next)
    else:
        sg_blend_f64(n_hid, z, n, h, h_next)


cdef inline Py_ssize_t first_nonfinite(const sg_packed_table* table, Py_ssize_t n, const real* x) noexcept nogil:
    """Index of the first NaN or infinity in x[n], or -1."""
    if real is float:
        return table.first_nonfinite(n, x)
    else:
        return sg_first_nonfinite_f64(n, x)
