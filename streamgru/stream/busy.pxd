"""The flag that keeps a second thread out of a stream."""


cdef extern from "atomic.h" nogil:
    ctypedef char sg_flag
    bint sg_take(sg_flag* flag)  # False, at once, if somebody holds it
    void sg_give(sg_flag* flag)
