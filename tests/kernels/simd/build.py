"""Builds the C programs of this folder around the kernels, and runs them. The standard library is all it needs."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
KERNELS = ROOT / "streamgru" / "kernels"
SOURCES = sorted((KERNELS / "simd").glob("*.c"))
GOLDEN = ROOT / "tests" / "golden" / "bits_1.json"

# Those of setup.py; a test holds them against each other.
FLAGS = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off")
INCLUDES = (f"-I{KERNELS}", f"-I{KERNELS / 'simd'}")
LIBRARIES = ("-lm", "-lpthread")


def run(*command, env=None):
    """What a program prints; its errors are raised, with what it printed."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env={**os.environ, **(env or {})}
    )
    if done.returncode:
        raise AssertionError(
            f"{Path(command[0]).name} {command[1:]} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def compile_kernels(folder, compiler="cc", flags=FLAGS):
    """The kernels of all instruction sets as object files, as many at a time as there are CPUs."""
    folder.mkdir(parents=True, exist_ok=True)
    objects = [folder / f"{source.stem}.o" for source in SOURCES]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        commands = [
            (compiler, *flags, *INCLUDES, "-c", source, "-o", target)
            for source, target in zip(SOURCES, objects, strict=True)
        ]
        list(pool.map(lambda command: run(*command), commands))
    return objects


def link(target, source, objects=(), compiler="cc", flags=FLAGS):
    """One of the C files of this folder, and the kernels, as a program."""
    run(compiler, *flags, *INCLUDES, HERE / source, *objects, *LIBRARIES, "-o", target)
    return target


def isas(driver, runner=()):
    """The instruction sets that this CPU, or the one that is emulated, can run; the best first."""
    return run(*runner, driver, "list").split()


def hashes(driver, isa, *quick, runner=(), env=None):
    """The hash of each case, by name."""
    lines = run(*runner, driver, "hash", isa, *quick, env=env).splitlines()
    return dict(line.rsplit(": ", 1) for line in lines)
