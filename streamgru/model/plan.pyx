# cython: freethreading_compatible=True
"""A program compiled to a flat list of operations over one scratch block.

Compiling happens once; running touches no Python object. Every running party brings a state block
and a scratch block of its own, so one plan serves any number of threads.
"""

cimport numpy as cnp
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport NAN
from libc.string cimport memcpy

from streamgru.kernels.activations cimport (
    SG_HARD_SIGMOID, SG_LINEAR, SG_RELU, SG_SIGMOID, SG_TANH, first_nonfinite, sg_activation,
)
from streamgru.kernels.blas cimport SG_BLAS_TABLE_NAME, sg_blas_table
from streamgru.kernels.real cimport real
from streamgru.layers cimport gru, pointwise
from streamgru.layers.op cimport Op, StepF32, StepF64

import numpy as np

from streamgru.errors import SpecError
from streamgru.model import spec as s
from streamgru.model.layout import ALIGN as _ALIGN
from streamgru.model.layout import lay_out

cnp.import_array()

FUNCTIONS = {
    "linear": (SG_LINEAR, 0.0, 0.0),
    "sigmoid": (SG_SIGMOID, 0.0, 0.0),
    "tanh": (SG_TANH, 0.0, 0.0),
    "relu": (SG_RELU, 0.0, 0.0),
    "hard_sigmoid": (SG_HARD_SIGMOID, 0.2, 0.5),         # Keras 1 and 2, Theano, ONNX by default
    "hard_sigmoid_keras3": (SG_HARD_SIGMOID, 1.0 / 6.0, 0.5),  # Keras 3, PyTorch's Hardsigmoid
}


cdef class Plan:
    """Compiled from a :class:`~streamgru.model.spec.Program` and its tensors.

    Parameters
    ----------
    program : Program
    tensors : dict of str to ndarray
        Named ``<layer>.<tensor>``. Arrays of the right dtype and layout are used as they are.
    dtype : {"float32", "float64"}

    Raises
    ------
    SpecError
        If they do not fit.

    Notes
    -----
    Thread-safety: immutable once made.
    """

    def __cinit__(self, program, dict tensors, dtype):
        cdef const sg_blas_table* table
        cdef StateHeader* header
        self.dtype = np.dtype(dtype)
        self.typenum = self.dtype.num
        self.itemsize = self.dtype.itemsize
        self.layout = lay_out(program, tensors, _ALIGN)
        self.inputs = {item.name: item.size for item in program.inputs}
        self.n_in, self.n_out = self.layout.x.size, self.layout.y.size
        self.y_at, self.next_at, self.n_state = self.layout.y.offset, self.layout.n_work, self.layout.n_state
        self.state_bytes = self.n_state * self.itemsize
        self.work_bytes = (self.layout.n_work + self.n_state) * self.itemsize
        self.arrays = []
        self.defaults = {}

        from streamgru.kernels import blas  # loads scipy's BLAS: not before the first model needs it
        self.blas = blas.table
        table = <const sg_blas_table*>PyCapsule_GetPointer(self.blas, SG_BLAS_TABLE_NAME)

        self.ops = <Op*>PyMem_Calloc(sum(_n_ops(placed) for placed in self.layout.layers), sizeof(Op))
        self.tokens = <Token*>PyMem_Calloc(len(self.layout.tokens) + 1, sizeof(Token))
        if self.ops == NULL or self.tokens == NULL:
            raise MemoryError("no memory for the plan")
        for token in self.layout.tokens:
            self.tokens[self.n_tokens].index = token.index
            self.tokens[self.n_tokens].vocab = token.vocab
            self.n_tokens += 1
        self.initial = Block(self.state_bytes)
        header = <StateHeader*>self.initial.data
        header.t, header.seq, header.n_steps = NAN, -1, 0
        for placed in self.layout.layers:
            self._place(&self.ops[self.n_ops], placed, table)
            self.n_ops += _n_ops(placed)
            if not isinstance(placed.layer, s.Embedding):
                self.n_macs += sum(tensor.size for tensor in placed.tensors.values() if tensor.ndim == 2)

    def __dealloc__(self):
        PyMem_Free(self.ops)
        PyMem_Free(self.tokens)

    cdef const void* _array(self, layer, array, Py_ssize_t size, double default) except NULL:
        """A pointer to *array* in this plan's dtype; to *size* times *default* for None."""
        if array is None:
            if (size, default) not in self.defaults:
                self.defaults[size, default] = np.full(size, default, self.dtype)
            return cnp.PyArray_DATA(self.defaults[size, default])
        with np.errstate(over="ignore"):
            owned = np.require(array, self.dtype, ["C", "A"])
        if not np.isfinite(owned).all():
            raise SpecError(f"layer {layer.name!r}: a tensor holds a value that is too large for {self.dtype}")
        self.arrays.append(owned)
        return cnp.PyArray_DATA(owned)

    cdef int _place(self, Op* op, placed, const sg_blas_table* table) except -1:
        """Fill the operation of one layer (a concat takes one per input)."""
        cdef Py_ssize_t n_in = placed.inputs[0].size, n_out = placed.output.size, i
        cdef bint single = self.itemsize == sizeof(float)
        layer, tensors = placed.layer, placed.tensors
        op.blas = table
        op.n_in, op.n_out = n_in, n_out
        op.src, op.src_b, op.dst = placed.inputs[0].offset, placed.inputs[-1].offset, placed.output.offset
        op.eps = getattr(layer, "eps", 0.0)
        op.function = _function(getattr(layer, "function", "linear"))
        if isinstance(layer, s.Gru):
            if layer.variant == "after":
                op.step = pick(single, gru.gru_after[float], gru.gru_after[double])
            else:
                op.step = pick(single, gru.gru_before[float], gru.gru_before[double])
            op.old, op.new = placed.state.offset, self.next_at + placed.state.offset
            op.gates, op.scratch = placed.gates.offset, placed.scratch.offset
            op.weight = self._array(layer, tensors["weight_ih"], 0, 0)
            op.weight_hh = self._array(layer, tensors["weight_hh"], 0, 0)
            op.bias = self._array(layer, tensors.get("bias_ih"), 3 * n_out, 0)
            op.bias_hh = self._array(layer, tensors.get("bias_hh"), 3 * n_out, 0)
            op.gate, op.function = _function(layer.gate), _function(layer.candidate)
            op.clip = layer.clip or 0.0
            memcpy(
                self.initial.data + op.old * self.itemsize,
                self._array(layer, tensors.get("h0"), n_out, 0), n_out * self.itemsize,
            )
        elif isinstance(layer, s.Dense):
            op.step = pick(single, pointwise.dense[float], pointwise.dense[double])
            op.weight = self._array(layer, tensors["weight"], 0, 0)
            op.bias = self._array(layer, tensors.get("bias"), n_out, 0)
        elif isinstance(layer, s.Embedding):
            op.step = pick(single, pointwise.embedding[float], pointwise.embedding[double])
            op.weight = self._array(layer, tensors["weight"], 0, 0)
        elif isinstance(layer, (s.Scale, s.BatchNorm)):
            op.step = pick(single, pointwise.scale[float], pointwise.scale[double])
            if isinstance(layer, s.BatchNorm):
                tensors = fold_batchnorm(layer, tensors)
            op.weight = self._array(layer, tensors.get("weight"), n_out, 1)
            op.bias = self._array(layer, tensors.get("bias"), n_out, 0)
        elif isinstance(layer, s.LayerNorm):
            op.step = pick(single, pointwise.layernorm[float], pointwise.layernorm[double])
            op.weight = self._array(layer, tensors.get("weight"), n_out, 1)
            op.bias = self._array(layer, tensors.get("bias"), n_out, 0)
        elif isinstance(layer, s.Activation):
            op.step = pick(single, pointwise.activation[float], pointwise.activation[double])
        elif isinstance(layer, s.Softmax):
            op.step = pick(single, pointwise.softmax[float], pointwise.softmax[double])
        elif isinstance(layer, s.Normalize):
            if layer.to == "length":
                op.step = pick(single, pointwise.normalize_length[float], pointwise.normalize_length[double])
            else:
                op.step = pick(single, pointwise.normalize_sum[float], pointwise.normalize_sum[double])
        elif isinstance(layer, s.Add):
            op.step = pick(single, pointwise.add[float], pointwise.add[double])
        elif isinstance(layer, s.Mul):
            op.step = pick(single, pointwise.mul[float], pointwise.mul[double])
        elif isinstance(layer, s.Slice):
            op.step = pick(single, pointwise.copy[float], pointwise.copy[double])
            op.src += layer.start
        else:  # a concat: one copy per input
            n_out = 0
            for i, value in enumerate(placed.inputs):
                op[i].step = pick(single, pointwise.copy[float], pointwise.copy[double])
                op[i].src, op[i].n_in, op[i].n_out = value.offset, value.size, value.size
                op[i].dst = placed.output.offset + n_out
                n_out += value.size
        return 0

    cdef Py_ssize_t load(self, const void* x, void* work) noexcept nogil:
        """Copy x (n_in,) to where the operations read it; the index of the first bad element, or -1.

        Bad is what is not finite or, where a token belongs, no integer of the vocabulary. It is the
        copy that is checked, since somebody may be writing to x.
        """
        memcpy(work, x, self.n_in * self.itemsize)
        if self.itemsize == sizeof(float):
            return _first_bad(self, <const float*>work)
        return _first_bad(self, <const double*>work)

    cdef int step(self, void* state, void* work) noexcept nogil:
        """Run all operations and commit the new state; -1, with the state untouched, if it or y is not finite."""
        if self.itemsize == sizeof(float):
            return _step(self, <float*>state, <float*>work)
        return _step(self, <double*>state, <double*>work)

    cdef const void* output(self, const void* work) noexcept nogil:
        """Where a step left y (n_out,)."""
        return <const char*>work + self.y_at * self.itemsize

    cdef void start(self, void* state) noexcept nogil:
        """Set a state block (n_state,) to the state that a stream starts from."""
        memcpy(state, self.initial.data, self.state_bytes)


def fold_batchnorm(layer, dict tensors):
    """The scale and the bias, float64 (n_in,), that do what a batch normalisation does at inference.

    Raises
    ------
    SpecError
        If a variance is negative.
    """
    mean, var = tensors["mean"].astype(np.float64), tensors["var"].astype(np.float64)
    if (var < 0).any():
        raise SpecError(f"tensor '{layer.name}.var': expected variances, got negative numbers")
    weight = tensors.get("weight", np.ones_like(mean)) / np.sqrt(var + layer.eps)
    return {"weight": weight, "bias": tensors.get("bias", np.zeros_like(mean)) - mean * weight}


cdef inline void* pick(bint single, StepF32 f32, StepF64 f64) noexcept:
    return <void*>f32 if single else <void*>f64


cdef sg_activation _function(str name):
    cdef sg_activation function
    function.kind, function.alpha, function.beta = FUNCTIONS[name]
    return function


def _n_ops(placed):
    return len(placed.inputs) if isinstance(placed.layer, s.Concat) else 1


cdef inline Py_ssize_t _first_bad(Plan plan, const real* x) noexcept nogil:
    cdef Py_ssize_t bad = first_nonfinite(plan.n_in, x), i, index
    if bad >= 0:
        return bad
    for i in range(plan.n_tokens):
        index = plan.tokens[i].index
        if not (0 <= x[index] < plan.tokens[i].vocab) or x[index] != <Py_ssize_t>x[index]:
            return index
    return -1


cdef inline int _step(Plan plan, real* state, real* work) noexcept nogil:
    cdef Py_ssize_t header = sizeof(StateHeader) // sizeof(real), i
    cdef real* new = work + plan.next_at  # (n_state,)
    for i in range(plan.n_ops):
        if real is float:
            (<StepF32>plan.ops[i].step)(&plan.ops[i], state, work)
        else:
            (<StepF64>plan.ops[i].step)(&plan.ops[i], state, work)
    if first_nonfinite(plan.n_state - header, new + header) >= 0 or first_nonfinite(plan.n_out, work + plan.y_at) >= 0:
        return -1
    memcpy(state + header, new + header, (plan.n_state - header) * sizeof(real))
    (<StateHeader*>state).n_steps += 1
    return 0
