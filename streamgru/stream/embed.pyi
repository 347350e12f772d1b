"""The step for Cython and C: opaque streams, free functions, no GIL. Cimported through ``streamgru`` itself."""
