# cython: freethreading_compatible=True
"""One tick: a batch of rows through the streams of a pool.

A batch may hold several rows of one stream, which must be taken in order. So it is cut into rounds: the
first row of every stream, the second of those that have one, and so on. Within a round no stream appears
twice; it goes through the network many lanes at a time, on as many threads as there are.
"""

cimport numpy as cnp
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.string cimport memcpy, memset

from streamgru.model cimport run
from streamgru.model.lanes cimport lanes_for
from streamgru.model.plan cimport Plan
from streamgru.model.run cimport StateHeader

cnp.import_array()

cdef enum:
    LANES = 96               # of one thread
    LANE_BYTES = 16 << 20    # the scratch of its lanes, unless the network is so wide that few take more
    WORTH_WAKING = 6_000_000  # multiply-adds: below, waking a thread takes longer than the work


cdef struct Share:           # what one thread needs of a round
    Rows* rows
    const Py_ssize_t* order  # (n,) rows
    Py_ssize_t n
    Py_ssize_t n_lanes       # of one thread
    void** works             # (n_threads, n_lanes)
    char** states            # (n_threads, n_lanes)
    uint8_t* failed          # (n_threads, n_lanes)


cdef class Crew:
    """What steps the batches of a pool: scratch for its lanes, and its threads, which sleep between batches."""

    def __cinit__(self, Plan plan, int n_threads):
        cdef Py_ssize_t n_lanes = n_threads * lanes_for(plan, LANES, LANE_BYTES, 8)
        self.n_threads = n_threads
        self.lanes = Lanes(plan, n_lanes, 0, n_lanes)
        self.states = <char**>PyMem_Malloc(self.lanes.n * sizeof(char*))
        self.failed = <uint8_t*>PyMem_Malloc(self.lanes.n)
        self.worth_sharing = max(2, WORTH_WAKING // max(1, plan.n_macs))
        if n_threads > 1:
            self.workers = sg_workers_new(n_threads)
        if self.states == NULL or self.failed == NULL or (n_threads > 1 and self.workers == NULL):
            raise MemoryError("no memory for the lanes of a pool")

    def __dealloc__(self):
        sg_workers_free(self.workers)
        PyMem_Free(self.states)
        PyMem_Free(self.failed)

    cdef Py_ssize_t step(self, Rows* rows, uint32_t* seen, Py_ssize_t* starts) noexcept nogil:
        cdef Share share
        cdef Py_ssize_t n_rounds = _rounds(rows, seen, starts), k, i, failed = -1
        share.rows, share.works, share.states, share.failed = rows, self.lanes.works, self.states, self.failed
        share.n_lanes = self.lanes.n // self.n_threads
        for k in range(n_rounds):
            share.order, share.n = rows.order + starts[k], starts[k + 1] - starts[k]
            if self.workers != NULL and share.n >= self.worth_sharing:
                sg_workers_run(self.workers, _do_share, &share)
            else:
                _do_share(&share, 0, 1)
            if rows.before == NULL:
                continue
            for i in range(share.n):
                if rows.marks[share.order[i]] != STEPPED and (failed < 0 or share.order[i] < failed):
                    failed = share.order[i]
        if failed >= 0:  # not before every round is done: an earlier row of another stream may be in a later one
            _undo(rows, starts[n_rounds])
        return failed


cdef Rows rows_of(
    const Program* program, cnp.ndarray x, cnp.ndarray y, cnp.ndarray places, cnp.ndarray marks, cnp.ndarray due,
    cnp.ndarray t, cnp.ndarray seq, cnp.ndarray before,
):
    cdef Rows rows
    rows.program, rows.n_rows = program, cnp.PyArray_DIM(x, 0)
    rows.x, rows.y = <const char*>cnp.PyArray_DATA(x), <char*>cnp.PyArray_DATA(y)
    rows.states = <char**>cnp.PyArray_GETPTR2(places, 0, 0)
    rows.slots = <Py_ssize_t*>cnp.PyArray_GETPTR2(places, 1, 0)
    rows.order = <Py_ssize_t*>cnp.PyArray_GETPTR2(places, 2, 0)
    rows.marks = <uint8_t*>cnp.PyArray_DATA(marks)
    rows.due = <uint8_t*>_data(due)
    rows.t, rows.seq = <const double*>_data(t), <const int64_t*>_data(seq)
    rows.before = <char*>_data(before)
    return rows


cdef inline void* _data(cnp.ndarray array) noexcept:
    return NULL if array is None else cnp.PyArray_DATA(array)


cdef Py_ssize_t _rounds(Rows* rows, uint32_t* seen, Py_ssize_t* starts) noexcept nogil:
    """Sort the rows that are to be stepped by their round, each round as it came.

    Round k is ``order[starts[k]:starts[k + 1]]``. *starts* has room for n_rows + 2.
    """
    cdef Py_ssize_t row, k, n_rounds = 0
    for row in range(rows.n_rows + 2):
        starts[row] = 0
    for row in range(rows.n_rows):
        if rows.marks[row] == STEPPED:
            k = seen[rows.slots[row]]
            seen[rows.slots[row]] += 1
            starts[k + 1] += 1
            n_rounds = max(n_rounds, k + 1)
    for k in range(1, n_rounds + 1):
        starts[k] += starts[k - 1]
    for row in range(rows.n_rows):
        if rows.marks[row] == STEPPED:
            seen[rows.slots[row]] = 0
    for row in range(rows.n_rows):
        if rows.marks[row] == STEPPED:
            k = seen[rows.slots[row]]
            seen[rows.slots[row]] += 1
            rows.order[starts[k]] = row
            starts[k] += 1  # becomes the start of the next round
    for k in range(n_rounds, 0, -1):
        starts[k] = starts[k - 1]
    starts[0] = 0
    for row in range(rows.n_rows):
        if rows.marks[row] == STEPPED:
            seen[rows.slots[row]] = 0
    return n_rounds


cdef void _do_share(void* pointer, int number, int n_shares) noexcept nogil:
    """One thread's part of a round, many lanes at a time."""
    cdef Share* share = <Share*>pointer
    cdef Py_ssize_t first = share.n * number // n_shares, last = share.n * (number + 1) // n_shares, n
    cdef Py_ssize_t lane = number * share.n_lanes
    while first < last:
        n = min(last - first, share.n_lanes)
        _step_lanes(share.rows, n, share.order + first, share.works + lane, share.states + lane, share.failed + lane)
        first += n


cdef void _step_lanes(
    Rows* rows, Py_ssize_t n, const Py_ssize_t* order, void** works, char** states, uint8_t* failed,
) noexcept nogil:
    """Step n rows of different streams, with n works."""
    cdef const Program* p = rows.program
    cdef Py_ssize_t x_bytes = p.n_in * p.itemsize, y_bytes = p.n_out * p.itemsize
    cdef Py_ssize_t i, row, n_good = 0
    cdef StateHeader* header
    for i in range(n):
        row = order[i]
        if rows.before != NULL:
            memcpy(rows.before + row * p.state_bytes, rows.states[row], p.state_bytes)
        if run.load(p, rows.x + row * x_bytes, works[n_good]) >= 0:
            rows.marks[row] = BAD_INPUT  # somebody has written to X since it was checked
        else:
            states[n_good] = rows.states[row]
            n_good += 1
            if rows.due != NULL:
                rows.due[row] = run.n_due(p, rows.states[row], 1)
    run.many(p, n_good, <void**>states, works, failed)
    n_good = 0
    for i in range(n):
        row = order[i]
        if rows.marks[row] != STEPPED:
            continue
        if failed[n_good]:
            rows.marks[row] = DIVERGED
            if rows.due != NULL:
                rows.due[row] = False
        else:
            if rows.due == NULL or rows.due[row]:
                memcpy(rows.y + row * y_bytes, run.output(p, works[n_good]), y_bytes)
            else:
                memset(rows.y + row * y_bytes, 0, y_bytes)
            header = <StateHeader*>states[n_good]
            if rows.t != NULL:
                header.t = rows.t[row]
            if rows.seq != NULL:
                header.seq = rows.seq[row]
        n_good += 1


cdef void _undo(Rows* rows, Py_ssize_t n) noexcept nogil:
    """Take back the first n rows of the order, the last one first."""
    cdef Py_ssize_t i, row, size = rows.program.state_bytes
    for i in range(n - 1, -1, -1):
        row = rows.order[i]
        memcpy(rows.states[row], rows.before + row * size, size)
