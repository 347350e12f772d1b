"""What importing, loading and stepping do to the process around them: nothing but to load scipy's BLAS."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

IMPORT = """
import json, sys
before = set(sys.modules)
import streamgru
new = set(sys.modules) - before
assert "Model" in dir(streamgru) and streamgru.__version__
print(json.dumps(sorted(new)))
"""

WORLD = """
import json, logging, math, os, signal, sys, threading, warnings

def world():
    return {
        "tasks": len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1,
        "threads": threading.active_count(),
        "signals": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "handlers": [str(handler) for handler in logging.root.handlers],
        "levels": logging.root.level,
        "subnormals": [math.nextafter(0, 1) != 0, math.nextafter(0, 1) * 1.0 != 0, 0 < 1e-310 / 2 < 1e-310],
        "rounding": [1 + 2**-53 == 1, 0.1 + 0.2],
        "switch": sys.getswitchinterval(),
        "hook": str(sys.excepthook),
        "cwd": os.getcwd(),
        "environment": dict(os.environ),
        "filters": len(warnings.filters),
        "recursion": sys.getrecursionlimit(),
    }

if sys.argv[1] == "import":
    before = world()
    import streamgru
    after = world()
elif sys.argv[1] == "blas":
    import numpy as np
    before = world()
    import scipy.linalg.cython_blas
    after = world()
else:
    import numpy as np
    n_tasks = world()["tasks"]  # before scipy's BLAS is here, whose library starts threads when it is loaded
    import scipy.linalg.blas
    import scipy.linalg.cython_blas
    from threadpoolctl import ThreadpoolController
    from tests.networks import gru_tensors, spec_of
    from streamgru.model.spec import Gru

    def world_of_numpy():
        return world() | {
            "errstate": np.geterr(),
            "small": [float(np.float32(1e-45)) != 0, float(np.float32(1e-38) / np.float32(64)) != 0],
            "print": str(np.get_printoptions()),
            "random": str(np.random.get_state()[1][:5]),
        }

    tensors = gru_tensors(np.random.default_rng(0), "gru", 3, 200)
    before = world_of_numpy() | {"tasks": n_tasks}
    from streamgru import Model
    model = Model(spec_of(Gru(name="gru", n_hid=200)), tensors)
    stream = model.stream()
    stream.run(np.ones((50, 3)))
    for _ in range(50):
        stream.step([1e-30, 2, 3])
    pool = model.pool(3)
    pool.open("a")
    pool.step(["a", "a"], np.ones((2, 3)))
    stream.trace(np.ones((2, 3))), stream.snapshot(), repr(stream)
    try:
        stream.step([1e39, 0, 0])
    except ValueError:
        pass
    after = world_of_numpy()
print(json.dumps([before, after]))
"""


def run(code, *arguments):
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return json.loads(done.stdout)


def test_importing_loads_nothing():
    """Neither numpy nor scipy nor an extension of ours."""
    new = run(IMPORT)
    heavy = {
        "numpy",
        "scipy",
        "msgspec",
        "safetensors",
        "threadpoolctl",
        "click",
        "logging",
        "asyncio",
        "typing_extensions",
    }
    assert not {name.partition(".")[0] for name in new} & heavy
    assert [name for name in new if name.startswith("streamgru")] == ["streamgru"]


def changed(what):
    """What is not as it was before."""
    before, after = run(WORLD, what)
    assert all(before["subnormals"])
    return {key: (before[key], value) for key, value in after.items() if value != before[key]}


def test_importing_changes_nothing():
    """Threads, signals, logging, floating point, warnings, environment."""
    assert changed("import") == {}


def test_use_changes_nothing_but_loads_the_blas_of_scipy():
    """Its library starts a thread for each further core: just as many as without us."""
    of_blas = changed("blas").get("tasks", (0, 0))
    tasks = changed("use")
    before, after = tasks.pop("tasks", (0, 0))
    assert tasks == {}
    assert after - before == of_blas[1] - of_blas[0]


def test_every_public_name_can_be_had():
    import streamgru
    from streamgru import errors

    assert streamgru.__all__ == sorted(streamgru.__all__)
    tree = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert tree <= set(streamgru.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = streamgru.nonsense


def test_the_tree_in_the_docstring_of_errors_is_the_tree():
    """Drawn by hand, read back line by line."""
    from streamgru import errors

    parents, drawn = [], {}
    for line in errors.__doc__.splitlines():
        words = line.replace("├──", "   ").replace("└──", "   ").replace("│", " ")
        name = (words.split() or [""])[0]
        if name in vars(errors):
            depth = (len(words) - len(words.lstrip()) - 4) // 4
            parents[depth:] = [name]
            drawn[name] = parents[depth - 1] if depth else None
    classes = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    assert set(drawn) == set(classes)
    for name, parent in drawn.items():
        assert classes[name].__bases__[0].__name__ == (parent or "Exception")
