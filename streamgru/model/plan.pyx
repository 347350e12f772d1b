# cython: freethreading_compatible=True
"""A program compiled to a flat list of operations over one scratch block.

Compiling happens once; running touches no Python object. Every running party brings a state block
and a scratch block of its own, so one plan serves any number of threads.
"""

cimport numpy as cnp
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport NAN
from libc.string cimport memcpy

from streamgru.kernels.activations cimport first_nonfinite
from streamgru.kernels.real cimport real
from streamgru.layers.op cimport OneF32, OneF64, Op

from dataclasses import replace

import numpy as np

from streamgru.model import spec as s
from streamgru.model.compile import compiled
from streamgru.model.layout import ALIGN as _ALIGN
from streamgru.model.layout import lay_out
from streamgru.model.matrices import joined
from streamgru.model.small import info

cnp.import_array()


cdef class Plan:
    """Compiled from a :class:`~streamgru.model.spec.Program` and its tensors.

    Parameters
    ----------
    program : Program
    tensors : dict of str to ndarray
        Named ``<layer>.<tensor>``. Arrays of the right dtype and layout are used as they are.
    dtype : {"float32", "float64"}
    kernel : {"packed", "blas"}
        What multiplies matrices; ``packed`` takes float32 alone.

    Raises
    ------
    SpecError
        If they do not fit.

    Notes
    -----
    Thread-safety: immutable once made.
    """

    def __cinit__(self, program, dict tensors, dtype, str kernel="blas"):
        cdef StateHeader* header
        self.dtype = np.dtype(dtype)
        self.typenum = self.dtype.num
        self.itemsize = self.dtype.itemsize
        layout = lay_out(program, tensors, _ALIGN)
        self.inputs = {item.name: item.size for item in program.inputs}
        self.n_in, self.n_out = layout.x.size, layout.y.size
        self.y_at, self.n_state = layout.y.offset, layout.n_state
        self.state_bytes = self.n_state * self.itemsize
        self.work_bytes = layout.n_work * self.itemsize
        self.code = compiled(layout, self.dtype, kernel == "packed")
        # The kernels have the numbers now; what is left tells what they were.
        layout.layers = [replace(placed, tensors=_told(placed.tensors)) for placed in layout.layers]
        self.layout = layout

        self.tokens = <Token*>PyMem_Calloc(len(layout.tokens) + 1, sizeof(Token))
        self.memories = <Memory*>PyMem_Calloc(len(layout.state) + 1, sizeof(Memory))
        if self.tokens == NULL or self.memories == NULL:
            raise MemoryError("no memory for the plan")
        for token in layout.tokens:
            self.tokens[self.n_tokens].index = token.index
            self.tokens[self.n_tokens].vocab = token.vocab
            self.n_tokens += 1
        for entry in layout.state:
            self.memories[self.n_memories].old = entry.offset
            self.memories[self.n_memories].new = entry.new
            self.memories[self.n_memories].size = entry.size
            self.n_memories += 1
        self.initial = Block(self.state_bytes)
        header = <StateHeader*>self.initial.data
        header.t, header.seq, header.n_steps = NAN, -1, 0
        for entry in layout.state:
            if entry.name in self.code.initial:
                memcpy(
                    self.initial.data + <Py_ssize_t>entry.offset * self.itemsize,
                    cnp.PyArray_DATA(self.code.initial[entry.name]), <Py_ssize_t>entry.size * self.itemsize,
                )
        for placed in layout.layers:
            if not isinstance(placed.layer, s.Embedding):
                self.n_macs += sum(tensor.size for tensor in placed.tensors.values() if tensor.ndim == 2)

    def __dealloc__(self):
        PyMem_Free(self.tokens)
        PyMem_Free(self.memories)

    def tensors(self):
        """The tensors by their names in a native file; those in panels are put together again."""
        found = {}
        for placed in self.layout.layers:
            for key, told in placed.tensors.items():
                name = f"{placed.layer.name}.{key}"
                held = self.code.stored[name]
                weight = joined(list(held), told.dtype) if isinstance(held, tuple) else held
                if told.dtype == np.int8:
                    found[f"{name}.q8"], found[f"{name}.scale"] = weight.q8, weight.scale
                else:
                    found[name] = weight.astype(told.dtype, copy=False)
        return found

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
            _run(self, 1, <float**>&state, <float**>&work)
            return _commit(self, 1, <float*>state, <float*>work)
        _run(self, 1, <double**>&state, <double**>&work)
        return _commit(self, 1, <double*>state, <double*>work)

    cdef Py_ssize_t many(self, Py_ssize_t n, void** states, void** works, uint8_t* failed) noexcept nogil:
        """A step of each of n streams, no two the same. How many failed, and for each whether it did."""
        cdef Py_ssize_t i, n_failed = 0
        if self.itemsize == sizeof(float):
            _run(self, n, <float**>states, <float**>works)
        else:
            _run(self, n, <double**>states, <double**>works)
        for i in range(n):
            if self.itemsize == sizeof(float):
                failed[i] = _commit(self, 1, <float*>states[i], <float*>works[i]) != 0
            else:
                failed[i] = _commit(self, 1, <double*>states[i], <double*>works[i]) != 0
            n_failed += failed[i]
        return n_failed

    cdef Py_ssize_t steps(self, Py_ssize_t n, const char* x, void* state, void** works, char* y) noexcept nogil:
        """n timesteps of one stream, from x (n, n_in) to y (n, n_out).

        The first that failed, with the state untouched, or -1.
        """
        cdef Py_ssize_t i, failed
        cdef Py_ssize_t x_bytes = self.n_in * self.itemsize, y_bytes = self.n_out * self.itemsize
        for i in range(n):
            if self.load(x + i * x_bytes, works[i]) >= 0:
                return i  # somebody has written to x since it was checked
        if self.itemsize == sizeof(float):
            failed = _steps(self, n, <float*>state, <float**>works)
        else:
            failed = _steps(self, n, <double*>state, <double**>works)
        if failed < 0:
            for i in range(n):
                memcpy(y + i * y_bytes, self.output(works[i]), y_bytes)
        return failed

    cdef const void* output(self, const void* work) noexcept nogil:
        """Where a step left y (n_out,)."""
        return <const char*>work + self.y_at * self.itemsize

    cdef void start(self, void* state) noexcept nogil:
        """Set a state block (n_state,) to the state that a stream starts from."""
        memcpy(state, self.initial.data, self.state_bytes)


def _told(tensors):
    return {key: info(tensor) for key, tensor in tensors.items()}


cdef inline Py_ssize_t _first_bad(Plan plan, const real* x) noexcept nogil:
    cdef Py_ssize_t bad = first_nonfinite(plan.code.packed, plan.n_in, x), i, index
    if bad >= 0:
        return bad
    for i in range(plan.n_tokens):
        index = plan.tokens[i].index
        if not (0 <= x[index] < plan.tokens[i].vocab) or x[index] != <Py_ssize_t>x[index]:
            return index
    return -1


cdef inline void _one(const Op* op, const real* state, real* work) noexcept nogil:
    if real is float:
        (<OneF32>op.one)(op, state, work)
    else:
        (<OneF64>op.one)(op, state, work)


cdef inline void _run(Plan plan, Py_ssize_t n, real** states, real** works) noexcept nogil:
    """All operations, for n streams."""
    cdef Py_ssize_t i, k
    cdef const Op* op
    for k in range(plan.code.n_ops):
        op = &plan.code.ops[k]
        if op.many != NULL:
            op.many(op, n, <float**>states, <float**>works)
            continue
        for i in range(n):
            _one(op, states[i], works[i])


cdef inline Py_ssize_t _steps(Plan plan, Py_ssize_t n, real* state, real** works) noexcept nogil:
    """All operations, each for n timesteps; what remembers takes its state from the timestep before."""
    cdef Py_ssize_t i, k
    cdef const Op* op
    for k in range(plan.code.n_ops):
        op = &plan.code.ops[k]
        if op.steps != NULL:
            op.steps(op, n, <float*>state, <float**>works)
        elif op.many != NULL:
            op.many(op, n, <float**>works, <float**>works)
        else:
            for i in range(n):
                _one(op, works[i - 1] + (op.dst - op.old) if op.remembers and i else state, works[i])
    for i in range(n - 1):
        if not _finite(plan, works[i]):
            return i
    return n - 1 if _commit(plan, n, state, works[n - 1]) else -1


cdef inline bint _finite(Plan plan, const real* work) noexcept nogil:
    """Whether the new state and the output are."""
    cdef Py_ssize_t i
    for i in range(plan.n_memories):
        if first_nonfinite(plan.code.packed, plan.memories[i].size, work + plan.memories[i].new) >= 0:
            return False
    return first_nonfinite(plan.code.packed, plan.n_out, work + plan.y_at) < 0


cdef inline int _commit(Plan plan, Py_ssize_t n_steps, real* state, const real* work) noexcept nogil:
    """Make what the operations left the state; -1, and nothing, if it is not finite."""
    cdef Py_ssize_t i
    cdef const Memory* memory
    if not _finite(plan, work):
        return -1
    for i in range(plan.n_memories):
        memory = &plan.memories[i]
        memcpy(state + memory.old, work + memory.new, memory.size * sizeof(real))
    (<StateHeader*>state).n_steps += n_steps
    return 0
