# cython: freethreading_compatible=True
"""A compiled program as plain data, and the functions that run it. No Python object is touched."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from streamgru.kernels.activations cimport first_nonfinite
from streamgru.kernels.real cimport real
from streamgru.layers.op cimport OneF32, OneF64

cdef extern from "count.h" nogil:
    int64_t sg_count(const int64_t* count)
    void sg_add(int64_t* count, int64_t n)


cdef Py_ssize_t load(const Program* p, const void* x, void* work) noexcept nogil:
    memcpy(work, x, p.n_in * p.itemsize)
    return check(p, work)


cdef Py_ssize_t check(const Program* p, const void* x) noexcept nogil:
    if p.itemsize == sizeof(float):
        return _first_bad(p, <const float*>x)
    return _first_bad(p, <const double*>x)


cdef enum:
    GROUP = 96               # streams that go through an operation together, where not all of them do


cdef int step(const Program* p, void* state, void* work) noexcept nogil:
    cdef bint answers
    cdef uint8_t failed
    if p.timed:
        answers = n_due(p, state, 1) != 0
        many(p, 1, &state, &work, &failed)
        return -1 if failed else not answers
    if p.itemsize == sizeof(float):
        _run(p, 1, <float**>&state, <float**>&work)
        return _commit(p, 1, <float*>state, <float*>work)
    _run(p, 1, <double**>&state, <double**>&work)
    return _commit(p, 1, <double*>state, <double*>work)


cdef Py_ssize_t many(const Program* p, Py_ssize_t n, void** states, void** works, uint8_t* failed) noexcept nogil:
    if p.itemsize == sizeof(float):
        return _many(p, n, <float**>states, <float**>works, failed)
    return _many(p, n, <double**>states, <double**>works, failed)


cdef Py_ssize_t steps(
    const Program* p, Py_ssize_t n, const char* x, void* state, void** works, char* y,
) noexcept nogil:
    cdef Py_ssize_t x_bytes = p.n_in * p.itemsize, y_bytes = p.n_out * p.itemsize, i, failed
    cdef int outcome
    for i in range(n):
        if load(p, x + i * x_bytes, works[i]) >= 0:
            return i  # somebody has written to x since it was checked
    if p.timed:  # one after the other: what an operation is given may be of the step before, or of any before that
        for i in range(n):
            outcome = step(p, state, works[i])
            if outcome < 0:
                return i
            if outcome == 0:
                memcpy(y, output(p, works[i]), y_bytes)
                y += y_bytes
        return -1
    if p.itemsize == sizeof(float):
        failed = _steps(p, n, <float*>state, <float**>works)
    else:
        failed = _steps(p, n, <double*>state, <double**>works)
    if failed < 0:
        for i in range(n):
            memcpy(y + i * y_bytes, output(p, works[i]), y_bytes)
    return failed


cdef int64_t n_due(const Program* p, const void* state, int64_t n) noexcept nogil:
    cdef int64_t taken = (<const StateHeader*>state).n_steps
    return _count(p, taken + n) - _count(p, taken)


cdef inline int64_t _count(const Program* p, int64_t n) noexcept nogil:
    """How many outputs the first n steps have."""
    return 0 if n <= p.first else (n - p.first - 1) // p.stride + 1


cdef inline bint _is_due(int64_t first, int64_t stride, const void* state) noexcept nogil:
    """Whether the next step is one of a clock."""
    cdef int64_t since = (<const StateHeader*>state).n_steps - first
    return since >= 0 and since % stride == 0


cdef const void* output(const Program* p, const void* work) noexcept nogil:
    return <const char*>work + p.y_at * p.itemsize


cdef void start(const Program* p, void* state) noexcept nogil:
    memcpy(state, p.initial, p.state_bytes)


cdef int64_t steps_taken(const void* state) noexcept nogil:
    return sg_count(&(<const StateHeader*>state).n_steps)


cdef inline Py_ssize_t _first_bad(const Program* p, const real* x) noexcept nogil:
    cdef Py_ssize_t bad = first_nonfinite(p.packed, p.n_in, x), i, index
    if bad >= 0:
        return bad
    for i in range(p.n_tokens):
        index = p.tokens[i].index
        if not (0 <= x[index] < p.tokens[i].vocab) or x[index] != <Py_ssize_t>x[index]:
            return index
    return -1


cdef inline void _one(const Op* op, const real* state, real* work) noexcept nogil:
    if real is float:
        (<OneF32>op.one)(op, state, work)
    else:
        (<OneF64>op.one)(op, state, work)


cdef inline void _apply(const Op* op, Py_ssize_t n, real** states, real** works) noexcept nogil:
    """One operation, for n streams."""
    cdef Py_ssize_t i
    if op.many != NULL:
        op.many(op, n, <float**>states, <float**>works)
        return
    for i in range(n):
        _one(op, states[i], works[i])


cdef inline void _run(const Program* p, Py_ssize_t n, real** states, real** works) noexcept nogil:
    """All operations, for n streams."""
    cdef Py_ssize_t k
    for k in range(p.n_ops):
        _apply(&p.ops[k], n, states, works)


cdef inline void _run_timed(const Program* p, Py_ssize_t n, real** states, real** works) noexcept nogil:
    """The operations that are due, for n streams, each at a step of its own."""
    cdef real* due_states[GROUP]
    cdef real* due_works[GROUP]
    cdef Py_ssize_t i, k, n_those
    cdef const Op* op
    for k in range(p.n_ops):
        op = &p.ops[k]
        n_those = 0
        for i in range(n):
            if _is_due(op.first, op.stride, states[i]):
                due_states[n_those], due_works[n_those] = states[i], works[i]
                n_those += 1
            if n_those == GROUP or (n_those and i == n - 1):
                _apply(op, n_those, due_states, due_works)
                n_those = 0


cdef inline Py_ssize_t _many(
    const Program* p, Py_ssize_t n, real** states, real** works, uint8_t* failed,
) noexcept nogil:
    cdef Py_ssize_t i, n_failed = 0
    if p.timed:
        _run_timed(p, n, states, works)
    else:
        _run(p, n, states, works)
    for i in range(n):
        if p.timed:
            failed[i] = _commit_timed(p, states[i], works[i]) != 0
        else:
            failed[i] = _commit(p, 1, states[i], works[i]) != 0
        n_failed += failed[i]
    return n_failed


cdef inline Py_ssize_t _steps(const Program* p, Py_ssize_t n, real* state, real** works) noexcept nogil:
    """All operations, each for n timesteps; what remembers takes its state from the timestep before."""
    cdef Py_ssize_t i, k
    cdef const Op* op
    for k in range(p.n_ops):
        op = &p.ops[k]
        if op.steps != NULL:
            op.steps(op, n, <float*>state, <float**>works)
        elif op.many != NULL:
            op.many(op, n, <float**>works, <float**>works)
        else:
            for i in range(n):
                _one(op, works[i - 1] + (op.new - op.old) if op.remembers and i else state, works[i])
    for i in range(n - 1):
        if not _finite(p, works[i]):
            return i
    return n - 1 if _commit(p, n, state, works[n - 1]) else -1


cdef inline bint _finite(const Program* p, const real* work) noexcept nogil:
    """Whether the new state and the output are."""
    cdef Py_ssize_t i
    for i in range(p.n_memories):
        if first_nonfinite(p.packed, p.memories[i].size, work + p.memories[i].new) >= 0:
            return False
    return p.y_is_memory or first_nonfinite(p.packed, p.n_out, work + p.y_at) < 0


cdef inline int _commit(const Program* p, Py_ssize_t n_steps, real* state, const real* work) noexcept nogil:
    """Make what the operations left the state; -1, and nothing, if it is not finite."""
    cdef Py_ssize_t i
    cdef const Memory* memory
    if not _finite(p, work):
        return -1
    for i in range(p.n_memories):
        memory = &p.memories[i]
        memcpy(state + memory.old, work + memory.new, memory.size * sizeof(real))
    sg_add(&(<StateHeader*>state).n_steps, n_steps)
    return 0


cdef inline int _commit_timed(const Program* p, real* state, const real* work) noexcept nogil:
    """As `_commit` after one step, for what was due at it."""
    cdef Py_ssize_t i
    cdef const Memory* memory
    for i in range(p.n_memories):
        memory = &p.memories[i]
        if not _is_due(memory.first, memory.stride, state):
            continue
        if first_nonfinite(p.packed, memory.size, work + memory.new) >= 0:
            return -1
    if _is_due(p.first, p.stride, state) and first_nonfinite(p.packed, p.n_out, work + p.y_at) >= 0:
        return -1
    for i in range(p.n_memories):
        memory = &p.memories[i]
        if _is_due(memory.first, memory.stride, state):
            memcpy(state + memory.old, work + memory.new, memory.size * sizeof(real))
    sg_add(&(<StateHeader*>state).n_steps, 1)
    return 0
