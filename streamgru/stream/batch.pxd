"""One tick: a batch of rows through the streams of a pool."""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint8_t, uint32_t

from streamgru.model.lanes cimport Lanes
from streamgru.model.run cimport Program

cdef enum Mark:     # what becomes of a row
    STEPPED = 0
    UNKNOWN = 1     # no such stream
    BAD_INPUT = 2
    DIVERGED = 3    # the new state or the output would not be finite


cdef struct Rows:
    const Program* program
    Py_ssize_t n_rows
    const char* x            # (n_rows, n_in)
    char* y                  # (n_rows, n_out)
    char** states            # (n_rows,) the state of each row's stream; NULL: unknown
    Py_ssize_t* slots        # (n_rows,) -1: unknown
    uint8_t* marks           # (n_rows,) of Mark
    uint8_t* due             # (n_rows,) whether an answer was; NULL: always
    const double* t          # (n_rows,) or NULL
    const int64_t* seq       # (n_rows,) or NULL
    char* before             # (n_rows, state_bytes): states to go back to; NULL: no need
    Py_ssize_t* order        # (n_rows,) rows, by round and then as they came


cdef extern from "workers.h":
    ctypedef struct sg_workers:
        pass
    sg_workers* sg_workers_new(int n_threads) nogil
    void sg_workers_run(sg_workers* workers, void (*job)(void*, int, int) noexcept nogil, void* arg) nogil
    void sg_workers_free(sg_workers* workers) nogil


# A batch whose numbers lie in these arrays; *due*, *t*, *seq* and *before* may be None.
cdef Rows rows_of(
    const Program* program, cnp.ndarray x, cnp.ndarray y, cnp.ndarray places, cnp.ndarray marks, cnp.ndarray due,
    cnp.ndarray t, cnp.ndarray seq, cnp.ndarray before,
)


cdef class Crew:
    cdef sg_workers* workers         # NULL with one thread
    cdef readonly int n_threads
    cdef Lanes lanes                 # of all threads together
    cdef char** states               # (lanes.n,)
    cdef uint8_t* failed             # (lanes.n,)
    cdef Py_ssize_t worth_sharing    # rows below which waking a thread takes longer than the work

    # Step all rows that are marked STEPPED, a stream's own in order; `seen` is one zero per slot of the pool, and
    # again when it returns. The least row that diverged, if `rows.before` says that then all is undone, or -1.
    cdef Py_ssize_t step(self, Rows* rows, uint32_t* seen, Py_ssize_t* starts) noexcept nogil
