"""A program compiled to a flat list of operations. Immutable, shared by all threads."""

from libc.stdint cimport int64_t, uint8_t

from streamgru.model.block cimport Block
from streamgru.model.code cimport Code


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


cdef class Plan:
    cdef Code code
    cdef Token* tokens               # (n_tokens,)
    cdef Py_ssize_t n_tokens
    cdef Memory* memories            # (n_memories,)
    cdef Py_ssize_t n_memories
    cdef readonly Py_ssize_t n_in    # elements of x
    cdef readonly Py_ssize_t n_out   # elements of y
    cdef readonly Py_ssize_t n_macs  # multiply-adds of a step, for those who decide on the GIL
    cdef Py_ssize_t n_state          # elements of a state block, with its header
    cdef Py_ssize_t y_at             # work[y_at]: the output (n_out,)
    cdef readonly Py_ssize_t state_bytes
    cdef readonly Py_ssize_t work_bytes
    cdef readonly Py_ssize_t itemsize
    cdef int typenum                 # of numpy: NPY_FLOAT or NPY_DOUBLE
    cdef readonly object dtype
    cdef readonly object layout      # streamgru.model.layout.Layout
    cdef readonly dict inputs        # name -> size, in the order of x
    cdef Block initial               # the state that a stream starts from

    # All of these take the state block (n_state,) and the scratch of whoever runs them; `many` and
    # `steps` so many of them. None of them allocates, locks or calls the system.
    cdef Py_ssize_t load(self, const void* x, void* work) noexcept nogil
    cdef int step(self, void* state, void* work) noexcept nogil
    cdef Py_ssize_t many(self, Py_ssize_t n, void** states, void** works, uint8_t* failed) noexcept nogil
    cdef Py_ssize_t steps(self, Py_ssize_t n, const char* x, void* state, void** works, char* y) noexcept nogil
    cdef const void* output(self, const void* work) noexcept nogil
    cdef void start(self, void* state) noexcept nogil
