"""The table of packed kernels; see simd/packed.h."""

from libc.stdint cimport int32_t, uint16_t


cdef extern from "activations.h" nogil:
    ctypedef struct sg_activation:
        int kind
        double alpha, beta


cdef extern from "simd/half_and_fma.h" nogil:
    float half_to_float(uint16_t half)


cdef extern from "simd/packed.h" nogil:
    const char* SG_PACKED_TABLE_NAME
    int SG_PANEL, SG_BITS, SG_F32, SG_F16, SG_Q8

    ctypedef struct sg_matrix:
        const void* data
        const float* scale
        const int32_t* offset
        Py_ssize_t n_cols

    ctypedef struct sg_rows:
        float** base
        Py_ssize_t at

    ctypedef struct sg_gru:
        Py_ssize_t n_hid, n_panels
        int weights
        bint before
        sg_activation gate, candidate
        float clip
        sg_matrix input, recurrent, reset
        const float* bias

    ctypedef struct sg_gru_rows:
        sg_rows x, projected, h, h_next, gates, scratch

    ctypedef struct sg_dense:
        Py_ssize_t n_panels
        int weights
        sg_activation function
        sg_matrix matrix
        const float* bias

    ctypedef struct sg_packed_table:
        const char* isa
        void (*gru)(const sg_gru* g, Py_ssize_t n, const sg_gru_rows* rows) noexcept nogil
        void (*project)(
            const sg_gru* g, Py_ssize_t n, sg_rows x, sg_rows scratch, sg_rows projected,
        ) noexcept nogil
        void (*dense)(const sg_dense* d, Py_ssize_t n, sg_rows x, sg_rows scratch, sg_rows y) noexcept nogil
        void (*activate)(const sg_activation* f, Py_ssize_t n, float* x) noexcept nogil
        void (*exp_negative)(Py_ssize_t n, float* x) noexcept nogil
        Py_ssize_t (*first_nonfinite)(Py_ssize_t n, const float* x) noexcept nogil

    Py_ssize_t sg_quantised_floats(Py_ssize_t n_cols)
    Py_ssize_t sg_scratch_floats(Py_ssize_t n_in, Py_ssize_t n_panels)
    const sg_packed_table* sg_packed_named(const char* isa)
    const sg_packed_table* sg_packed_at(int i)
