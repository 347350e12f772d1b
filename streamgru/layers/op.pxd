"""One operation of a compiled network.

A plan is a flat list of these. Every value of the network lies at a fixed place in ``work``, the
scratch of whoever runs the plan; what a stream remembers lies in ``state`` and is only read. The
new state is written to ``work`` and committed by the plan when the whole step has succeeded.
All places are counted in elements of the network's dtype.

Many streams go through an operation together, each with its own ``state`` and ``work``. So do many
timesteps of one stream, each with its own ``work``: what remembers nothing takes them as streams.
"""

from libc.stdint cimport int64_t

from streamgru.kernels.activations cimport sg_activation
from streamgru.kernels.blas cimport sg_blas_table
from streamgru.kernels.packed cimport sg_packed_table

# One stream: void one(const Op* op, const real* state, real* work) noexcept nogil
ctypedef void (*OneF32)(const Op* op, const float* state, float* work) noexcept nogil
ctypedef void (*OneF64)(const Op* op, const double* state, double* work) noexcept nogil
# n streams, with so many states and works.
ctypedef void (*Many)(const Op* op, Py_ssize_t n, float** state, float** work) noexcept nogil
# n timesteps of one stream, with so many works.
ctypedef void (*Steps)(const Op* op, Py_ssize_t n, float* state, float** work) noexcept nogil

cdef struct Op:
    void* one                # OneF32 or OneF64, by the dtype of the plan; NULL where there is `many`
    Many many                # of packed layers
    Steps steps              # of packed layers that remember
    bint remembers
    int64_t first            # its clock: it runs at the step of this number
    int64_t stride           # and at every so many steps from there on
    const sg_blas_table* blas
    const sg_packed_table* packed
    const void* layer        # sg_gru or sg_dense of a packed layer
    Py_ssize_t n_in          # elements read at src
    Py_ssize_t n_out         # elements written at dst
    Py_ssize_t src           # work[src]: input (n_in,)
    Py_ssize_t src_b         # work[src_b]: second input of add, mul and div (n_in,)
    Py_ssize_t dst           # work[dst]: output (n_out,); of a GRU, its new state
    Py_ssize_t old           # state[old]: what the layer remembers
    Py_ssize_t new           # work[new]: what it will remember
    Py_ssize_t width         # elements of a row of a window
    Py_ssize_t dilation      # the rows that are taken of a window are so far apart
    Py_ssize_t gates         # work[gates]: r, z, n of a GRU, each at a multiple of gate_size
    Py_ssize_t gate_size     # n_hid, rounded up to whole panels
    Py_ssize_t scratch       # work[scratch]: room for products and quantised vectors
    Py_ssize_t projected     # work[projected]: bias + W x of a packed GRU, in panels
    const float* scale       # of the rows of an embedding of int8
    const void* weight       # shapes: see the step function
    const void* weight_hh
    const void* bias
    const void* bias_hh
    sg_activation gate       # of a GRU's reset and update gates
    sg_activation function   # of a GRU's candidate; of dense and activation layers
    double clip              # bound on a GRU's gate inputs; 0: none
    double eps               # of layernorm and normalize
