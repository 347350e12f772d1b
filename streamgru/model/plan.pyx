# cython: freethreading_compatible=True
"""A program compiled to a flat list of operations over one scratch block.

Compiling happens once; running touches no Python object. Every running party brings a state block
and a scratch block of its own, so one plan serves any number of threads.
"""

cimport numpy as cnp
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.math cimport NAN
from libc.string cimport memcpy

from streamgru.model.run cimport Memory, Program, StateHeader, Token

from dataclasses import replace

import numpy as np

from streamgru.model import spec as s
from streamgru.model.compile import compiled
from streamgru.model.layout import lay_out
from streamgru.model.matrices import joined
from streamgru.model.placed import ALIGN as _ALIGN
from streamgru.model.small import info

cnp.import_array()


cdef class Plan:
    """Compiled from a :class:`~streamgru.model.spec.Program` and its tensors.

    Parameters
    ----------
    program : Program
    tensors : dict of str to ndarray
        Named ``<layer>.<tensor>``. Views of read-only buffers are used where they lie.
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
        cdef Program* p = &self.program
        self.dtype = np.dtype(dtype)
        self.typenum = self.dtype.num
        layout = lay_out(program, tensors, _ALIGN)
        self.inputs = {item.name: item.size for item in program.inputs}
        self.code = compiled(layout, self.dtype, kernel == "packed")
        # The kernels have the numbers now; what is left tells what they were.
        layout.layers = [replace(placed, tensors=_told(placed.tensors)) for placed in layout.layers]
        self.layout = layout

        p.packed, p.ops, p.n_ops = self.code.packed, self.code.ops, self.code.n_ops
        p.n_in, p.n_out, p.y_at = layout.x.size, layout.y.size, layout.y.offset
        p.y_is_memory = any((entry.new, entry.size) == (layout.y.offset, layout.y.size) for entry in layout.state)
        p.timed, p.first, p.stride = layout.timed, layout.y.clock.first, layout.y.clock.stride
        p.itemsize = self.dtype.itemsize
        p.state_bytes, p.work_bytes = layout.n_state * p.itemsize, layout.n_work * p.itemsize
        p.tokens = <Token*>PyMem_Calloc(len(layout.tokens) + 1, sizeof(Token))
        p.memories = <Memory*>PyMem_Calloc(len(layout.state) + 1, sizeof(Memory))
        if p.tokens == NULL or p.memories == NULL:
            raise MemoryError("no memory for the plan")
        for token in layout.tokens:
            p.tokens[p.n_tokens].index = token.index
            p.tokens[p.n_tokens].vocab = token.vocab
            p.n_tokens += 1
        for entry in layout.state:
            p.memories[p.n_memories].old = entry.offset
            p.memories[p.n_memories].new = entry.new
            p.memories[p.n_memories].size = entry.size
            p.memories[p.n_memories].first = entry.clock.first
            p.memories[p.n_memories].stride = entry.clock.stride
            p.n_memories += 1
        self.initial = Block(p.state_bytes)
        p.initial = self.initial.data
        header = <StateHeader*>self.initial.data
        header.t, header.seq, header.n_steps = NAN, -1, 0
        for entry in layout.state:
            if entry.name in self.code.initial:
                memcpy(
                    self.initial.data + <Py_ssize_t>entry.offset * p.itemsize,
                    cnp.PyArray_DATA(self.code.initial[entry.name]), <Py_ssize_t>entry.size * p.itemsize,
                )
        for placed in layout.layers:
            if not isinstance(placed.layer, s.Embedding):
                self.n_macs += sum(tensor.size for tensor in placed.tensors.values() if tensor.ndim == 2)

    def __dealloc__(self):
        PyMem_Free(self.program.tokens)
        PyMem_Free(self.program.memories)

    @property
    def n_in(self):
        """Elements of x."""
        return self.program.n_in

    @property
    def n_out(self):
        """Elements of y."""
        return self.program.n_out

    @property
    def state_bytes(self):
        """Bytes of a state block."""
        return self.program.state_bytes

    @property
    def work_bytes(self):
        """Bytes of the scratch of one stream."""
        return self.program.work_bytes

    @property
    def itemsize(self):
        """Bytes of a number."""
        return self.program.itemsize

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
                    found[name] = weight.astype(told.dtype, copy=False).view()
                    found[name].flags.writeable = False  # the kernels may be reading the very same numbers
        return found


def _told(tensors):
    return {key: info(tensor) for key, tensor in tensors.items()}
