# cython: freethreading_compatible=True
"""The step for Cython and C: opaque streams, free functions, no GIL. Cimported through ``streamgru`` itself."""

cimport numpy as cnp

from streamgru.model cimport run
from streamgru.stream.busy cimport sg_give, sg_take
from streamgru.stream.running cimport Outcome, Running, take_step, was_taken
from streamgru.stream.stream cimport Stream, failure

cnp.import_array()


cdef int sg_api_version() noexcept nogil:
    return SG_API_VERSION


cdef sg_stream* sg_stream_of(object stream) except NULL:
    if not isinstance(stream, Stream):
        raise TypeError(f"expected a streamgru.Stream, got {type(stream).__name__}")
    return <sg_stream*>&(<Stream>stream).running


cdef Py_ssize_t sg_n_in(const sg_stream* stream) noexcept nogil:
    return (<const Running*>stream).program.n_in


cdef Py_ssize_t sg_n_out(const sg_stream* stream) noexcept nogil:
    return (<const Running*>stream).program.n_out


cdef Py_ssize_t sg_itemsize(const sg_stream* stream) noexcept nogil:
    return (<const Running*>stream).program.itemsize


cdef sg_outcome sg_step(sg_stream* stream, const void* x, void* y) noexcept nogil:
    return <sg_outcome><int>take_step(<Running*>stream, x, y)


cdef object sg_error(object stream, const void* x, sg_outcome outcome):
    cdef Stream owner
    cdef cnp.npy_intp n_in
    if was_taken(<Outcome><int>outcome):
        return None
    if not isinstance(stream, Stream):  # None would pass for one
        raise TypeError(f"expected a streamgru.Stream, got {type(stream).__name__}")
    owner = stream
    n_in = owner.plan.program.n_in
    return failure(owner, cnp.PyArray_SimpleNewFromData(1, &n_in, owner.plan.typenum, <void*>x), <Outcome><int>outcome)


cdef sg_outcome sg_reset(sg_stream* stream) noexcept nogil:
    cdef Running* running = <Running*>stream
    if not sg_take(&running.busy):
        return SG_BUSY
    run.start(running.program, running.state)
    sg_give(&running.busy)
    return SG_STEPPED
