"""Sigmoid, tanh and exp over all 2^32 floats, on every instruction set of this CPU: `make exhaustive`.

The best one is measured against libm in double; the others must answer the same bits. Two idle cores have about a
quarter of an hour to do, most of it for sse2 and c, which multiply and add in software; STRIDE=16 looks at every 16th
number there.
"""

import os
import sys
import tempfile
from pathlib import Path

from tests.kernels.simd import build


def answers(program, isa, mode, stride):
    """Lines of `function, how many, hash, figures`."""
    print(f"{isa}: {mode}, every {stride}. number" if stride != 1 else f"{isa}: {mode}, every number", flush=True)
    text = build.run(program, isa, mode, stride)
    print(text, end="", flush=True)
    return [line.split()[:3] for line in text.splitlines()]


def main():
    stride = int(os.environ.get("STRIDE") or 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        objects = build.compile_kernels(folder)
        program = build.link(folder / "exhaustive", "exhaustive.c", objects)
        best, *others = build.isas(build.link(folder / "driver", "driver.c", objects))
        expected = {1: answers(program, best, "measure", 1)}
        for isa in others:
            step = stride if isa in ("sse2", "c") else 1
            if step not in expected:
                expected[step] = answers(program, best, "hash", step)
            if answers(program, isa, "hash", step) != expected[step]:
                sys.exit(f"{isa} is not {best}")
    print("the same bits everywhere")


if __name__ == "__main__":
    main()
