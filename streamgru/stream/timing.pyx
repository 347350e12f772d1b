# cython: freethreading_compatible=True
"""How long a step takes, timed from C without the GIL, and how long it takes to read the weights."""

cimport numpy as cnp
from libc.stdint cimport int64_t

from streamgru.model.plan cimport Plan
from streamgru.stream.arrays cimport check_input
from streamgru.stream.running cimport STEPPED, Outcome, take_step, was_taken
from streamgru.stream.stream cimport Stream, failure

import numpy as np

cdef extern from "clock.h" nogil:
    int64_t sg_now_ns()

cdef extern from "read_once.h" nogil:
    enum:
        SG_READERS
    int sg_reader_width(int reader)
    void sg_read_once(int reader, const void* data, Py_ssize_t n_bytes)

cdef enum:
    CLOCK_TRIALS = 1001

cnp.import_array()


def step_ns(Stream stream not None, cnp.ndarray x not None, Py_ssize_t n_steps):
    """Advance a stream by *n_steps*, all from *x*, and time each step.

    Parameters
    ----------
    stream : Stream
    x : ndarray (n_in,)
        C-contiguous, of the model's dtype.
    n_steps : int

    Returns
    -------
    ndarray (n_steps,)
        Nanoseconds, without what reading the clock takes.

    Raises
    ------
    ShapeError, NonFiniteError, TokenError, StreamBusy
        As :meth:`Stream.step <streamgru.Stream.step>`; the steps before the one that failed are taken.
    """
    cdef const void* source = _source(stream, x)
    cdef cnp.ndarray y = np.empty(stream.plan.program.n_out, stream.plan.dtype)
    cdef cnp.ndarray found = np.empty(n_steps, np.int64)
    cdef int64_t[::1] ns = found
    cdef void* target = cnp.PyArray_DATA(y)
    cdef Outcome outcome = STEPPED
    cdef Py_ssize_t i
    cdef int64_t started, cost = _clock_ns()
    with nogil:
        for i in range(n_steps):
            started = sg_now_ns()
            outcome = take_step(&stream.running, source, target)
            ns[i] = sg_now_ns() - started
            if not was_taken(outcome):
                break
    if not was_taken(outcome):
        raise failure(stream, x, outcome)
    return np.maximum(found - cost, 0)


def block_ns(Stream stream not None, cnp.ndarray x not None, Py_ssize_t n_steps):
    """As :func:`step_ns`, but all steps together: the clock is read twice, and no step waits for it."""
    cdef const void* source = _source(stream, x)
    cdef cnp.ndarray y = np.empty(stream.plan.program.n_out, stream.plan.dtype)
    cdef void* target = cnp.PyArray_DATA(y)
    cdef Outcome outcome = STEPPED
    cdef int64_t ns
    with nogil:
        ns = sg_now_ns()
        for _ in range(n_steps):
            outcome = take_step(&stream.running, source, target)
            if not was_taken(outcome):
                break
        ns = sg_now_ns() - ns
    if not was_taken(outcome):
        raise failure(stream, x, outcome)
    return ns


def weights(Plan plan not None):
    """The matrices that every step reads, as the kernels keep them."""
    return list(plan.code.read)


def readers():
    """What :func:`read_ns` can read with: bytes of a vector, the widest first."""
    return [width for width in (sg_reader_width(reader) for reader in range(SG_READERS)) if width]


def read_ns(list arrays not None, int width, Py_ssize_t n_times):
    """Read every byte of C-contiguous *arrays* *n_times*, and nothing else: nanoseconds of all times together.

    Raises
    ------
    ValueError
        If *width* is none of :func:`readers`.
    """
    cdef int reader = 0
    cdef int64_t ns
    cdef Py_ssize_t i, n_arrays = len(arrays)
    cdef cnp.ndarray places = np.array([(array.ctypes.data, array.nbytes) for array in arrays], np.intp).reshape(-1, 2)
    cdef const Py_ssize_t[:, ::1] place = places  # where each begins, and its bytes
    if width not in readers():
        raise ValueError(f"width: expected one of {readers()}, got {width}")
    while sg_reader_width(reader) != width:
        reader += 1
    with nogil:
        ns = sg_now_ns()
        for _ in range(n_times):
            for i in range(n_arrays):
                sg_read_once(reader, <const void*>place[i, 0], place[i, 1])
        ns = sg_now_ns() - ns
    return ns


cdef const void* _source(Stream stream, cnp.ndarray x) except NULL:
    """The numbers of x (n_in,), to be read where they lie."""
    check_input(stream.plan, x)
    return cnp.PyArray_DATA(x)


cdef int64_t _clock_ns():
    """What reading the clock twice takes."""
    cdef cnp.ndarray found = np.empty(CLOCK_TRIALS, np.int64)
    cdef int64_t[::1] ns = found
    cdef Py_ssize_t i
    cdef int64_t started
    for i in range(CLOCK_TRIALS):
        started = sg_now_ns()
        ns[i] = sg_now_ns() - started
    return int(np.median(found))
