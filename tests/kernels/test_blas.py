"""The doorway to BLAS: the product against NumPy in float64, and whose threads are set."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from streamgru.kernels import _probe
from tests.networks import DTYPES, uniform

ROOT = Path(__file__).parents[2]
RTOL = {"float32": 1e-6, "float64": 1e-12}

THREADS = """
import json, sys
import numpy, scipy, scipy.linalg.blas
from pathlib import Path
from threadpoolctl import ThreadpoolController
from tests.networks import gru_model, spec_of, gru_tensors
from streamgru.model.spec import Gru
from streamgru.stream.model import Model

def threads():
    home = Path(scipy.__file__).parent
    libs = [lib for lib in ThreadpoolController().lib_controllers if lib.user_api == "blas"]
    mine = [lib for lib in libs if home.name in Path(lib.filepath).parent.name]
    return [lib.num_threads for lib in mine], [lib.num_threads for lib in libs if lib not in mine]

for lib in ThreadpoolController().lib_controllers:
    lib.set_num_threads(2)
rng = numpy.random.default_rng(0)
for _ in range(2):
    spec, tensors = spec_of(Gru(name="gru", n_hid=4)), gru_tensors(rng, "gru", 3, 4)
    Model(spec, tensors, kernel="blas", blas_threads=json.loads(sys.argv[1]))
print(json.dumps(threads()))
"""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_rows, n_cols", [(1, 1), (1, 9), (9, 1), (3, 17), (51, 17), (768, 256)])
def test_gemv(n_rows, n_cols, dtype, rng):
    a, x, y = uniform(rng, n_rows, n_cols), uniform(rng, n_cols), uniform(rng, n_rows)
    got = y.astype(dtype)
    _probe.probe_gemv(a.astype(dtype), x.astype(dtype), got)
    wide = a.astype(np.float64)
    scale = np.abs(wide) @ np.abs(x) + np.abs(y)
    assert (np.abs(got - (wide @ x.astype(np.float64) + y)) <= RTOL[dtype] * scale).all()


@pytest.mark.parametrize("asked, expected", [("1", 1), ("null", 2)])
def test_only_the_threads_of_scipy_are_held(asked, expected):
    done = subprocess.run([sys.executable, "-c", THREADS, asked], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    of_scipy, others = json.loads(done.stdout)
    if not others:
        pytest.skip("numpy and scipy share one BLAS")
    assert set(of_scipy) == {expected}
    assert set(others) == {2}
