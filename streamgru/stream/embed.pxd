"""The step for Cython and C: opaque streams, free functions, no GIL. Cimported through ``streamgru`` itself.

Everything that takes a ``sg_stream*`` may be called without the GIL. The pointer is good as long as the
:class:`~streamgru.Stream` that it came from. Numbers are in the model's dtype, ``float`` or ``double``.
This file cimports nothing, so that nobody needs the headers of NumPy for it.
"""

cdef extern from *:
    """
    typedef struct sg_stream sg_stream;
    """
    ctypedef struct sg_stream:
        pass

cdef enum:
    SG_API_VERSION = 1   # what the caller was compiled against; another one is another set of functions

cdef enum sg_outcome:
    SG_STEPPED = 0
    SG_BUSY = 1          # another thread is using the stream
    SG_BAD_INPUT = 2     # x holds a number that is not finite, or no token
    SG_DIVERGED = 3      # the new state or the output would not be finite
    SG_NOTHING_DUE = 4   # the step was taken, and is none at which the network answers

# What this streamgru was compiled as.
cdef int sg_api_version() noexcept nogil
# The stream behind a streamgru.Stream; TypeError if it is none.
cdef sg_stream* sg_stream_of(object stream) except NULL
cdef Py_ssize_t sg_n_in(const sg_stream* stream) noexcept nogil
cdef Py_ssize_t sg_n_out(const sg_stream* stream) noexcept nogil
cdef Py_ssize_t sg_itemsize(const sg_stream* stream) noexcept nogil
# One timestep from x (n_in,) to y (n_out,). SG_NOTHING_DUE leaves y as it was; the others, but SG_STEPPED, state and y.
cdef sg_outcome sg_step(sg_stream* stream, const void* x, void* y) noexcept nogil
# The exception that Stream.step would have raised for this outcome of a step of x (n_in,); None if it was taken.
# *stream* is the streamgru.Stream. The only function here, beside sg_stream_of, that needs the GIL.
cdef object sg_error(object stream, const void* x, sg_outcome outcome)
# Back to the state that a stream starts from: SG_STEPPED or SG_BUSY.
cdef sg_outcome sg_reset(sg_stream* stream) noexcept nogil


cdef inline int import_streamgru() except -1:
    """To be called once by a module that cimports this: ImportError if it was compiled for another API."""
    if sg_api_version() != SG_API_VERSION:
        raise ImportError(
            f"compiled against streamgru's C API {SG_API_VERSION}, but the streamgru that is installed has "
            f"{sg_api_version()}; build it again"
        )
    return 0
