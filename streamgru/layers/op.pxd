"""One operation of a compiled network.

A plan is a flat list of these. Every value of the network lies at a fixed place in ``work``, the
scratch of whoever runs the plan; what a stream remembers lies in ``state`` and is only read. The
new state is written to ``work`` and committed by the plan when the whole step has succeeded.
All places are counted in elements of the network's dtype.
"""

from streamgru.kernels.activations cimport sg_activation
from streamgru.kernels.blas cimport sg_blas_table

# A step function is `void f(const Op* op, const real* state, real* work) noexcept nogil`.
ctypedef void (*StepF32)(const Op* op, const float* state, float* work) noexcept nogil
ctypedef void (*StepF64)(const Op* op, const double* state, double* work) noexcept nogil

cdef struct Op:
    void* step               # StepF32 or StepF64, by the dtype of the plan
    const sg_blas_table* blas
    Py_ssize_t n_in          # elements read at src
    Py_ssize_t n_out         # elements written at dst
    Py_ssize_t src           # work[src]: input (n_in,)
    Py_ssize_t src_b         # work[src_b]: second input of add and mul (n_in,)
    Py_ssize_t dst           # work[dst]: output (n_out,)
    Py_ssize_t old           # state[old]: what the layer remembers
    Py_ssize_t new           # work[new]: what it will remember
    Py_ssize_t gates         # work[gates]: r | z | n of a GRU (3*n_hid,)
    Py_ssize_t scratch       # work[scratch]: products of a GRU (3*n_hid,)
    const void* weight       # shapes: see the step function
    const void* weight_hh
    const void* bias
    const void* bias_hh
    sg_activation gate       # of a GRU's reset and update gates
    sg_activation function   # of a GRU's candidate; of dense and activation layers
    double clip              # bound on a GRU's gate inputs; 0: none
    double eps               # of layernorm and normalize
