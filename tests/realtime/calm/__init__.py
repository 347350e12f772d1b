"""Counts what a step does beside arithmetic: allocations, locks, system calls, changes of the floating-point control.

A process of its own runs `loop.c` over the step, reached as a function of C. `counters.c` is preloaded into it and
counts calls of libc; `tracer.c` is its parent and counts system calls. ``python -m tests.realtime.calm`` prints
a table.
"""
