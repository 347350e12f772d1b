"""Builds the loop, the counters and the tracer, and runs them over the step."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from tests.compiling import compiled

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
N_STEPS = 1_000_000
WHY_NOT = (
    None
    if sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64") and platform.libc_ver()[0] == "glibc"
    else "counts on Linux with glibc, on x86-64 and aarch64"
)


class Counting:
    """The three, built in *folder*."""

    def __init__(self, folder):
        flags = ("-O1", "-fno-builtin")  # a malloc that nobody uses is to stay
        self.counters = compiled(folder / "counters.so", HERE / "counters.c", flags=flags)
        self.loop = compiled(folder / "loop.so", HERE / "loop.c", HERE / "plants.c", flags=flags)
        self.tracer = compiled(folder / "tracer", HERE / "tracer.c", flags=("-O1",))

    def run(self, what, isa, n_steps=N_STEPS):
        """What was counted, by network or by plant."""
        child = [sys.executable, "-m", "tests.realtime.calm.child", self.counters, self.loop, what, str(n_steps)]
        finished = subprocess.run(
            [self.tracer, *child],
            env=os.environ | {"LD_PRELOAD": str(self.counters), "STREAMGRU_ISA": isa},
            cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=110, check=True,
        )  # fmt: skip
        reports = [json.loads(line) for line in finished.stdout.splitlines()]
        return {report.pop("name"): report for report in reports}


def table(reports):
    """What was counted, as lines of text."""
    yield (
        f"{'network':16} {'steps':>9} {'allocations':>11} {'locks':>6} {'system calls':>12} {'control':>8} "
        f"{'instructions':>13} {'control within':>14}"
    )
    for name, report in reports.items():
        allocations, locks = (sum(report[kind].values()) for kind in ("allocations", "locks"))
        yield (
            f"{name:16} {report['n_steps']:9} {allocations:11} {locks:6} {report['system_calls']:12} "
            f"{report['control']:8} {report['instructions']:13} {report['control_within']:14}"
        )
