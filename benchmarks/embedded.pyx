# cython: boundscheck=False, wraparound=False
"""Steps from Cython: what a service that embeds streamgru would write."""

from streamgru cimport SG_STEPPED, import_streamgru, sg_step, sg_stream, sg_stream_of

import_streamgru()


def steps(stream, const float[::1] x, float[::1] y, Py_ssize_t n):
    """n steps without the GIL; how many were refused."""
    cdef sg_stream* of = sg_stream_of(stream)
    cdef Py_ssize_t refused = 0
    with nogil:
        for _ in range(n):
            refused += sg_step(of, &x[0], &y[0]) != SG_STEPPED
    return refused
