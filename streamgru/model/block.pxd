"""Owned, zeroed, 64-byte aligned memory."""


cdef class Block:
    cdef void* raw           # what the allocator gave
    cdef char* data          # (n_bytes,), 64-byte aligned, inside raw
    cdef readonly Py_ssize_t n_bytes
