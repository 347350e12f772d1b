"""Compiling the C that some tests bring along."""

import os
import subprocess


def compiled(target, *sources, flags=()):
    """Compile C files to a program or, if *target* ends in ``.so``, to a library; the path of it."""
    shared = ("-shared", "-fPIC") if target.suffix == ".so" else ()
    compiler = os.environ.get("CC", "cc").split()
    command = [*compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", *flags, *shared, "-o", target, *sources, "-lm"]
    finished = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=100, check=False)
    assert finished.returncode == 0, finished.stderr
    return target
