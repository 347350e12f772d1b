"""The functions that other compiled code cimports, as addresses."""

import ctypes as c

from streamgru.stream import embed

_name = c.PYFUNCTYPE(c.c_char_p, c.py_object)(("PyCapsule_GetName", c.pythonapi))
_pointer = c.PYFUNCTYPE(c.c_void_p, c.py_object, c.c_char_p)(("PyCapsule_GetPointer", c.pythonapi))


def function(module, name):
    """The address of a C function that a module of Cython offers to others."""
    capsule = module.__pyx_capi__[name]
    return _pointer(capsule, _name(capsule))


def pointer_to(stream):
    """The sg_stream* of a stream, good as long as the stream."""
    return c.PYFUNCTYPE(c.c_void_p, c.py_object)(function(embed, "sg_stream_of"))(stream)
