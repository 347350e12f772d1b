"""The process that is counted: runs the loop over the step and prints what was counted, as JSON.

    python -m tests.realtime.calm.child COUNTERS LOOP networks|plants N_STEPS

Its parent is the tracer, and COUNTERS is preloaded.
"""

import ctypes as c
import itertools
import json
import sys

import numpy as np

from streamgru.kernels import packed
from streamgru.stream import embed
from streamgru.stream.model import FAST
from tests.realtime.calm.networks import inputs, networks, one_gru
from tests.realtime.embedded import function, pointer_to

PLANTS = (
    "nothing", "malloc", "calloc", "realloc", "aligned_alloc", "memalign", "posix_memalign", "mmap", "mremap",
    "madvise", "sbrk", "mutex_lock", "mutex_trylock", "mutex_timedlock", "rwlock_rdlock", "rwlock_tryrdlock",
    "rwlock_wrlock", "rwlock_trywrlock", "spin_lock", "spin_trylock", "barrier_wait", "once", "sem_wait",
    "sem_trywait", "sem_timedwait", "cond_timedwait", "system_call", "rounding", "rounding_and_back", "flush_to_zero",
)  # fmt: skip
# What a network may take: multiply-adds, a share of the steps asked for, and multiply-adds with the instructions
# taken one by one. The kernels that emulate the fused multiply-add take a hundred times as long.
MACS, SHARE, MACS_WATCHED = (5e9, 1, 100e3) if packed.isa in FAST else (40e6, 0.02, 2500)


class CalmStream(c.Structure):
    """calm_stream of loop.c."""

    _fields_ = [("step", c.c_void_p), ("stream", c.c_void_p), ("x", c.c_void_p), ("x_bytes", c.c_ssize_t),
                ("n_rows", c.c_ssize_t), ("y", c.c_void_p)]  # fmt: skip


class Report(c.Structure):
    """calm_report of loop.c."""

    _fields_ = [(name, c.c_long) for name in ("n_refused", "n_changes", "n_system_calls")]


class Watched(c.Structure):
    """calm_watched of calm.h."""

    _fields_ = [(name, c.c_long) for name in ("watching", "n_instructions", "n_changes")]


class Counter:
    """The loop and the counters, and what they counted."""

    def __init__(self, counters, loop):
        self.counters, self.loop = c.CDLL(counters), c.CDLL(loop)
        names = (c.c_char_p * 100).in_dll(self.counters, "calm_names")
        self.names = [name.decode() for name in itertools.takewhile(bool, names)]
        self.n_allocations = c.c_long.in_dll(self.counters, "calm_n_allocations").value
        self.counts = (c.c_long * len(self.names)).in_dll(self.counters, "calm_counts")
        self.x = inputs(64)

    def count(self, model, step, n_steps, n_watched):
        """What is counted while *step* advances a stream of *model*."""
        stream, y = model.stream(), np.empty(model.n_out, np.float32)
        run = CalmStream(step, pointer_to(stream), self.x.ctypes.data, self.x.strides[0], len(self.x), y.ctypes.data)
        report, watched = Report(n_system_calls=-1), Watched()
        c.memset(self.counts, 0, c.sizeof(self.counts))
        self.loop.calm_loop(c.byref(run), c.c_long(n_steps), c.byref(report))
        self.loop.calm_watch(c.byref(run), c.c_long(n_watched), c.byref(watched))
        counts = list(zip(self.names, self.counts, strict=True))
        return {
            "n_steps": n_steps,
            "allocations": {name: n for name, n in counts[: self.n_allocations] if n},
            "locks": {name: n for name, n in counts[self.n_allocations :] if n},
            "system_calls": report.n_system_calls,
            "control": report.n_changes,
            "refused": report.n_refused,
            "n_watched": n_watched,
            "instructions": watched.n_instructions,
            "control_within": watched.n_changes,
            "taken": stream.n_steps,
        }


def main(counters, loop, what, most):
    counter, step, most = Counter(counters, loop), function(embed, "sg_step"), int(most)
    if counter.loop.calm_be_traced() != 0:
        raise SystemExit("this process may not be traced: ptrace(2) is needed")
    if what == "networks":
        for name, model in networks().items():
            n_macs = model.plan.n_macs
            n_steps, n_watched = int(min(most * SHARE, MACS // n_macs)), int(min(2, MACS_WATCHED // n_macs))
            print(json.dumps({"name": name} | counter.count(model, step, n_steps, n_watched)), flush=True)
    else:
        counter.loop.plant_in(c.c_void_p(step))
        model = one_gru(8, "after")
        for name in PLANTS:
            planted = c.cast(counter.loop[f"plant_{name}"], c.c_void_p).value
            print(json.dumps({"name": name} | counter.count(model, planted, most, 5)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
