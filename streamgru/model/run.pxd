"""A compiled program as plain data, and the functions that run it. No Python object is touched.

Whoever runs it brings a state block (n_state,), which holds what a stream remembers, and scratch
(n_work,), so that one program serves any number of threads. Nothing here allocates, locks or calls the system.
"""

from libc.stdint cimport int64_t, uint8_t

from streamgru.kernels.packed cimport sg_packed_table
from streamgru.layers.op cimport Op


cdef struct StateHeader:     # opens every state block
    double t                 # time of the last record in seconds, NaN before the first
    int64_t seq              # sequence number of the last record, -1 before the first
    int64_t n_steps          # steps since the start


cdef struct Token:
    Py_ssize_t index         # element of x
    Py_ssize_t vocab         # it is an integer in [0, vocab)


cdef struct Memory:          # what one layer remembers
    Py_ssize_t old           # state[old]: before the step (size,)
    Py_ssize_t new           # work[new]: after it (size,)
    Py_ssize_t size
    int64_t first            # its clock, as of an Op
    int64_t stride


cdef struct Program:
    const sg_packed_table* packed
    const Op* ops            # (n_ops,)
    Py_ssize_t n_ops
    Token* tokens            # (n_tokens,)
    Py_ssize_t n_tokens
    Memory* memories         # (n_memories,)
    Py_ssize_t n_memories
    Py_ssize_t n_in          # elements of x
    Py_ssize_t n_out         # elements of y
    Py_ssize_t y_at          # work[y_at]: the output (n_out,)
    bint y_is_memory         # the output is what a layer will remember
    bint timed               # some operations do not run at every step, so that clocks must be asked
    int64_t first            # the clock of the output, as of an Op
    int64_t stride
    Py_ssize_t itemsize      # 4: float, 8: double
    Py_ssize_t state_bytes
    Py_ssize_t work_bytes
    const void* initial      # the state that a stream starts from


# Copy x (n_in,) to where the operations read it; the index of the first bad element, or -1. Bad is what
# is not finite or, where a token belongs, no integer of the vocabulary. It is the copy that is checked,
# since somebody may be writing to x.
cdef Py_ssize_t load(const Program* p, const void* x, void* work) noexcept nogil
# The index of the first bad element of x (n_in,), or -1.
cdef Py_ssize_t check(const Program* p, const void* x) noexcept nogil
# Run all operations that are due on what is loaded and commit the new state; -1, with the state untouched, if it or
# the output is not finite; 1 if no output was due.
cdef int step(const Program* p, void* state, void* work) noexcept nogil
# The same for n streams, no two of which are one; how many failed, and for each whether it did.
cdef Py_ssize_t many(const Program* p, Py_ssize_t n, void** states, void** works, uint8_t* failed) noexcept nogil
# n timesteps of one stream, from x (n, n_in) to y, a row for each output that is due, with n works; the first
# that failed, or -1. The state is then anything between that before the first and that of the last good one.
cdef Py_ssize_t steps(
    const Program* p, Py_ssize_t n, const char* x, void* state, void** works, char* y,
) noexcept nogil
# How many outputs the next n steps have.
cdef int64_t n_due(const Program* p, const void* state, int64_t n) noexcept nogil
# Where a step left y (n_out,).
cdef const void* output(const Program* p, const void* work) noexcept nogil
# Set a state block to the state that a stream starts from.
cdef void start(const Program* p, void* state) noexcept nogil
# Steps since the start; another thread may be taking one.
cdef int64_t steps_taken(const void* state) noexcept nogil
