# cython: freethreading_compatible=True
"""From placed layers to operations: for every kind of layer, the function that fills its own."""


from libc.stdint cimport int32_t

from streamgru.kernels cimport activations as act
from streamgru.kernels.packed cimport sg_activation, sg_dense, sg_gru, sg_matrix
from streamgru.layers cimport gru, packed, pointwise, window
from streamgru.layers.op cimport OneF32, OneF64, Op
from streamgru.model.code cimport Code, owned

import numpy as np

from streamgru.errors import SpecError
from streamgru.kernels import panels
from streamgru.model import matrices
from streamgru.model import spec as s
from streamgru.model.functions import parameters
from streamgru.model.small import Quantised

FUNCTIONS = {
    "linear": act.SG_LINEAR, "sigmoid": act.SG_SIGMOID, "tanh": act.SG_TANH, "relu": act.SG_RELU,
    "hard_sigmoid": act.SG_HARD_SIGMOID, "hard_sigmoid_keras3": act.SG_HARD_SIGMOID,
    "leaky_relu": act.SG_LEAKY_RELU, "thresholded_relu": act.SG_THRESHOLDED_RELU, "elu": act.SG_ELU,
    "selu": act.SG_SELU, "softsign": act.SG_SOFTSIGN, "softplus": act.SG_SOFTPLUS,
    "scaled_tanh": act.SG_SCALED_TANH, "affine": act.SG_AFFINE, "clip": act.SG_CLIP, "swish": act.SG_SWISH,
    "gelu": act.SG_GELU, "gelu_tanh": act.SG_GELU_TANH,
    "exp": act.SG_EXP, "log": act.SG_LOG, "sqrt": act.SG_SQRT, "abs": act.SG_ABS,
}


def compiled(layout, dtype, bint use_packed):
    """The operations of a layout, as a Code.

    Raises
    ------
    SpecError
        If a tensor does not fit *dtype*.
    """
    most = sum(max(1, len(placed.inputs)) + 2 * (len(placed.delays) + 1) for placed in layout.layers)
    code = Code(most, dtype, use_packed)
    for placed in layout.layers:
        for kept in placed.delays:
            _window(code, placed, kept)
        if placed.window is not None:
            _window(code, placed, placed.window)
        FILL[type(placed.layer)](code, placed)
    return code


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


def _window(Code code, placed, kept):
    """Keep rows of a value, and get what the layer takes of them."""
    cdef Op* op = code.add(placed)
    op.one = pick(code, window.window[float], window.window[double])
    op.remembers = True
    op.first, op.stride = kept.source.clock.first, kept.source.clock.stride
    op.src, op.n_in, op.dst, op.n_out = kept.source.offset, kept.source.size, kept.buffer.offset, kept.buffer.size
    op.old, op.new, op.width = kept.state.offset, kept.state.new, kept.state.width
    if kept.taken.offset == kept.buffer.offset:
        return
    op = code.add(placed)
    op.first, op.stride = kept.taken.clock.first, kept.taken.clock.stride
    op.src, op.dst, op.n_out = kept.buffer.offset, kept.taken.offset, kept.taken.size
    op.old, op.width, op.dilation = kept.state.offset, kept.state.width, kept.dilation
    if kept.late:
        op.one = pick(code, window.recall[float], window.recall[double])
    else:
        op.one = pick(code, window.spread[float], window.spread[double])


def _average(Code code, placed):
    cdef Op* op = code.add(placed)
    op.width = placed.inputs[0].size if placed.window is None else placed.window.state.width
    op.one = pick(code, window.average[float], window.average[double])


def _largest(Code code, placed):
    cdef Op* op = code.add(placed)
    op.width = op.n_out
    op.one = pick(code, window.largest[float], window.largest[double])
    if placed.window is not None:
        code.initial[placed.layer.name] = np.full(placed.window.state.size, np.finfo(code.dtype).min, code.dtype)


def _gru(Code code, placed):
    cdef Op* op = code.add(placed)
    cdef Py_ssize_t n_hid = op.n_out
    layer, tensors = placed.layer, placed.tensors
    op.remembers = True
    op.old, op.new = placed.state.offset, placed.state.new
    op.gates, op.projected = placed.gates.offset, placed.projected.offset
    op.gate_size = placed.gates.size // 3
    op.gate, op.function, op.clip = _function(layer.gate), _function(layer.candidate), layer.clip or 0.0
    if "h0" in tensors:
        code.array(placed, "h0", tensors["h0"], 0, 0)
        code.initial[layer.name] = code.stored[f"{layer.name}.h0"]
    op.bias = code.array(placed, "bias_ih", tensors.get("bias_ih"), 3 * n_hid, 0)
    op.bias_hh = code.array(placed, "bias_hh", tensors.get("bias_hh"), 3 * n_hid, 0)
    if code.use_packed:
        op.layer = _packed_gru(code, placed, op)
        op.many, op.steps = packed.gru_many, packed.gru_steps
        return
    op.weight, op.weight_hh = _plain(code, placed, "weight_ih"), _plain(code, placed, "weight_hh")
    if layer.variant == "after":
        op.one = pick(code, gru.gru_after[float], gru.gru_after[double])
    else:
        op.one = pick(code, gru.gru_before[float], gru.gru_before[double])


cdef const void* _packed_gru(Code code, placed, const Op* op) except NULL:
    """Rows r | z | n of the tensors in the order of the kernels (see simd/packed.h)."""
    cdef sg_gru* g = <sg_gru*>code.room(sizeof(sg_gru))
    cdef Py_ssize_t n_hid = op.n_out
    layer, tensors = placed.layer, placed.tensors
    kind = matrices.kind_of([tensors["weight_ih"], tensors["weight_hh"]])
    zeros = np.zeros(3 * n_hid, np.float32)
    b_r, b_z, b_n = np.split(code.stored.get(f"{layer.name}.bias_ih", zeros), 3)
    c_r, c_z, c_n = np.split(code.stored.get(f"{layer.name}.bias_hh", zeros), 3)
    g.n_hid, g.n_panels, g.weights = n_hid, panels.n_panels(n_hid), kind
    g.before = layer.variant == "before"
    g.gate, g.candidate, g.clip = op.gate, op.function, <float>op.clip
    _matrix(code, &g.input, placed, "weight_ih", kind, (2, 0, 1), 3)
    if g.before:
        _matrix(code, &g.recurrent, placed, "weight_hh", kind, (0, 1), 3)
        _matrix(code, &g.reset, placed, "weight_hh", kind, (2,), 3)
        b_n, c_n = b_n + c_n, zeros[:n_hid]
    else:
        _matrix(code, &g.recurrent, placed, "weight_hh", kind, (0, 1, 2), 3)
    bias = panels.pack_rows([b_n, b_r + c_r, b_z + c_z, c_n], np.float32)
    g.bias = <const float*>code.keep(bias)
    return g


cdef int _matrix(Code code, sg_matrix* m, placed, str key, int kind, tuple order, int n_gates) except -1:
    """Put some row blocks of a weight into panels; they are then the only copy of it."""
    name = f"{placed.layer.name}.{key}"
    weight = placed.tensors[key]
    if not isinstance(weight, Quantised):
        with np.errstate(over="ignore"):
            fits = np.isfinite(weight.astype(np.float32)).all()
        if not fits:
            raise SpecError(f"layer {placed.layer.name!r}: a tensor holds a value that is too large for float32")
    matrix = matrices.matrix(weight, kind, order, n_gates)
    if isinstance(weight, Quantised) and kind != matrices.Q8:
        code.stored[name] = weight  # widened, its integers and its scale could not be told apart again
    else:
        code.stored[name] = code.stored.get(name, ()) + (matrix,)
    code.read.append(matrix.data)
    m.data, m.n_cols = code.keep(matrix.data), matrix.n_cols
    m.scale = <const float*>code.keep(matrix.scale)
    m.offset = <const int32_t*>code.keep(matrix.offset)
    return 0


def _dense(Code code, placed):
    cdef Op* op = code.add(placed)
    cdef sg_dense* d
    op.function = _function(placed.layer.function)
    op.bias = code.array(placed, "bias", placed.tensors.get("bias"), op.n_out, 0)
    if not code.use_packed:
        op.weight = _plain(code, placed, "weight")
        op.one = pick(code, pointwise.dense[float], pointwise.dense[double])
        return
    d = <sg_dense*>code.room(sizeof(sg_dense))
    d.n_panels, d.weights = panels.n_panels(op.n_out), matrices.kind_of([placed.tensors["weight"]])
    d.function = op.function
    _matrix(code, &d.matrix, placed, "weight", d.weights, (0,), 1)
    bias = code.stored.get(f"{placed.layer.name}.bias", np.zeros(op.n_out, np.float32))
    bias = panels.pack_rows([bias], np.float32)
    d.bias = <const float*>code.keep(bias)
    op.layer, op.many = d, packed.dense_many


def _embedding(Code code, placed):
    """A table stays as small as it came: its rows are widened when they are looked up."""
    cdef Op* op = code.add(placed)
    weight = placed.tensors["weight"]
    if isinstance(weight, Quantised):
        weight = Quantised(owned(weight.q8, np.int8), owned(weight.scale, np.float32))
        op.weight, op.scale = code.keep(weight.q8), <const float*>code.keep(weight.scale)
        op.one = pick(code, pointwise.embedding_q8[float], pointwise.embedding_q8[double])
    elif weight.dtype == np.float16:
        weight = owned(weight, np.float16)
        op.weight = code.keep(weight)
        op.one = pick(code, pointwise.embedding_f16[float], pointwise.embedding_f16[double])
    else:
        op.weight = code.array(placed, "weight", weight, 0, 0)
        op.one = pick(code, pointwise.embedding[float], pointwise.embedding[double])
        return
    code.stored[f"{placed.layer.name}.weight"] = weight


def _scale(Code code, placed):
    cdef Op* op = code.add(placed)
    for key, tensor in placed.tensors.items():
        code.array(placed, key, tensor, 0, 0)
    tensors = fold_batchnorm(placed.layer, placed.tensors) if isinstance(placed.layer, s.BatchNorm) else placed.tensors
    op.weight = code.array(placed, "", tensors.get("weight"), op.n_out, 1)
    op.bias = code.array(placed, "", tensors.get("bias"), op.n_out, 0)
    op.one = pick(code, pointwise.scale[float], pointwise.scale[double])


def _layernorm(Code code, placed):
    cdef Op* op = code.add(placed)
    op.eps = placed.layer.eps
    op.weight = code.array(placed, "weight", placed.tensors.get("weight"), op.n_out, 1)
    op.bias = code.array(placed, "bias", placed.tensors.get("bias"), op.n_out, 0)
    op.one = pick(code, pointwise.layernorm[float], pointwise.layernorm[double])


def _activation(Code code, placed):
    cdef Op* op = code.add(placed)
    op.function = _function(placed.layer.function)
    op.one = pick(code, pointwise.activation[float], pointwise.activation[double])


def _softmax(Code code, placed):
    cdef Op* op = code.add(placed)
    if placed.layer.log:
        op.function = _function("log")
        op.one = pick(code, pointwise.log_softmax[float], pointwise.log_softmax[double])
    else:
        op.one = pick(code, pointwise.softmax[float], pointwise.softmax[double])


def _normalize(Code code, placed):
    cdef Op* op = code.add(placed)
    op.eps = placed.layer.eps
    if placed.layer.to == "length":
        op.one = pick(code, pointwise.normalize_length[float], pointwise.normalize_length[double])
    else:
        op.one = pick(code, pointwise.normalize_sum[float], pointwise.normalize_sum[double])


def _add(Code code, placed):
    code.add(placed).one = pick(code, pointwise.add[float], pointwise.add[double])


def _mul(Code code, placed):
    code.add(placed).one = pick(code, pointwise.mul[float], pointwise.mul[double])


def _div(Code code, placed):
    code.add(placed).one = pick(code, pointwise.div[float], pointwise.div[double])


def _slice(Code code, placed):
    cdef Op* op = code.add(placed)
    op.src += placed.layer.start
    op.one = pick(code, pointwise.copy[float], pointwise.copy[double])


def _concat(Code code, placed):
    """One copy per input."""
    cdef Py_ssize_t n_out = 0
    cdef Op* op
    for value in placed.inputs:
        op = code.add(placed)
        op.one = pick(code, pointwise.copy[float], pointwise.copy[double])
        op.src, op.n_in, op.n_out = value.offset, value.size, value.size
        op.dst = placed.output.offset + n_out
        n_out += value.size


FILL = {
    s.Gru: _gru, s.Dense: _dense, s.Conv1d: _dense, s.AveragePool1d: _average, s.MaxPool1d: _largest,
    s.Embedding: _embedding, s.Scale: _scale, s.BatchNorm: _scale,
    s.LayerNorm: _layernorm, s.Activation: _activation, s.Softmax: _softmax, s.Normalize: _normalize,
    s.Concat: _concat, s.Slice: _slice, s.Add: _add, s.Mul: _mul, s.Div: _div,
}


cdef const void* _plain(Code code, placed, str key) except NULL:
    """A weight in the dtype of the plan; of int8, the integers are kept beside it to be told again."""
    cdef const void* data
    weight = placed.tensors[key]
    if isinstance(weight, Quantised):
        code.stored[f"{placed.layer.name}.{key}"] = weight
        data = code.array(placed, "", weight.widened(), 0, 0)
    else:
        data = code.array(placed, key, weight, 0, 0)
    code.read.append(code.kept[-1])
    return data


cdef inline void* pick(Code code, OneF32 f32, OneF64 f64) noexcept:
    return <void*>f32 if code.single else <void*>f64


cdef sg_activation _function(function):
    cdef sg_activation made
    name, made.alpha, made.beta = parameters(function)
    made.kind = FUNCTIONS[name]
    if name == "hard_sigmoid_keras3":
        made.alpha, made.beta = 1.0 / 6.0, 0.5  # PyTorch's Hardsigmoid as well
    return made
