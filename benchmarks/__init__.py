"""How fast streamgru is, beside other runtimes and beside what the machine can do, measured in one run.

``make bench``, or ``python -m benchmarks``. How it is measured, and how it can mislead, is told in
docs/explanation/benchmarks.md.
"""
