"""os.fork in a process that has stepped: parent and child each go on by themselves, and nobody waits for ever.

Every script runs in a process of its own; `fork` gives the exit code of the child, which an alarm ends if it hangs.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

BEGINNING = """
import gc, os, signal, sys, threading, time, warnings
import numpy as np
from streamgru.errors import StreamBusy
from streamgru.model.spec import Gru
from streamgru.stream.model import Model
from tests.networks import bits, gru_tensors, spec_of, uniform

warnings.simplefilter("ignore", DeprecationWarning)  # Python's own about threads and fork
rng = np.random.default_rng(1)
model = Model(spec_of(Gru(name="gru", n_hid=96)), gru_tensors(rng, "gru", 3, 96), kernel=sys.argv[1])
X = uniform(rng, 4, 300, 3)
ids = list(range(300))
stream, singles = model.stream(), [model.stream() for _ in ids]
EXPECTED = np.array([[single.step(row) for single, row in zip(singles, x)] for x in X])
pool = model.pool(300, threads=2)
for id in ids:
    pool.open(id)

def n_tasks():
    return len(os.listdir("/proc/self/task"))

def step(i):
    assert bits(pool.step(ids, X[i])) == bits(EXPECTED[i])
    assert bits(stream.step(X[i, 0])) == bits(EXPECTED[i, 0])

def fork(child):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        code = 1
        try:
            child()
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1]

step(0)
"""
GO_ON = """
def child():
    if sys.platform == "linux":
        assert n_tasks() == 1
    step(1), step(2), step(3)
    if sys.platform == "linux":
        assert n_tasks() >= 2

assert fork(child) == 0
step(1)
assert fork(lambda: (step(2), step(3))) == 0  # another one, later
step(2), step(3)
"""
GRANDCHILD = """
def child():
    assert fork(lambda: (step(1), step(2))) == 0  # of a child that has no threads yet
    step(1)
    assert fork(lambda: (step(2), step(3))) == 0  # and of one that has
    step(2), step(3)

assert fork(child) == 0
step(1), step(2), step(3)
"""
FREE = """
def free():
    global pool
    pool = None
    gc.collect()

def step_and_free():
    step(1)
    free()

assert fork(free) == 0
assert fork(step_and_free) == 0
step(1)
pid = os.fork()
if pid == 0:  # ends as Python ends
    signal.alarm(30)
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
step(2)
free()
"""
BUSY = """
block, one = uniform(rng, 20_000, 3), np.full(20_000, pool.handle(0), np.uint64)
calm, blob, stop = model.stream(), stream.snapshot(), threading.Event()

def use(call, *arguments):
    while not stop.is_set():
        call(*arguments)

threads = [threading.Thread(target=use, args=call) for call in ((stream.run, block), (pool.step, one, block))]

def refused(call):
    try:
        call()
    except StreamBusy as error:
        return "when this process was forked" in str(error)
    return False

def child():
    assert refused(lambda: stream.step(X[1, 0])) and refused(stream.reset) and refused(stream.snapshot)
    assert refused(lambda: pool.step(ids, X[1])) and refused(lambda: pool.close(0))
    assert bits(calm.step(X[0, 0])) == bits(EXPECTED[0, 0])
    assert bits(model.restore(blob).step(X[1, 0])) == bits(EXPECTED[1, 0])
    own = model.pool(300, threads=2)
    for id in ids:
        own.open(id)
    assert bits(own.step(ids, X[0])) == bits(EXPECTED[0])

for thread in threads:
    thread.start()
# The GIL is ours from the moment when both are seen at work until the fork, and they need it to end.
while not (refused(stream.reset) and refused(lambda: pool.reset(1))):
    time.sleep(0.001)
code = fork(child)
stop.set()
for thread in threads:
    thread.join()
assert code == 0
stream.reset()
for id in ids:
    pool.reset(id)
step(0), step(1)
"""


def run(script, kernel):
    command = [sys.executable, "-c", BEGINNING + script, kernel]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=110)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kernel", ["packed", "blas"])
def test_child_and_parent_go_on_with_the_same_bits(kernel):
    run(GO_ON, kernel)


def test_a_child_may_fork_as_well():
    run(GRANDCHILD, "packed")


def test_a_pool_can_be_freed_in_the_child():
    run(FREE, "packed")


def test_what_another_thread_was_using_stays_busy_in_the_child():
    """Nobody knows how far that thread had come; everything else goes on."""
    run(BUSY, "packed")
