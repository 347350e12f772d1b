"""The extensions of streamgru. Everything else about the package stands in pyproject.toml."""

import os
import platform
from pathlib import Path

import numpy
import scipy.linalg
from Cython.Build import cythonize
from setuptools import Extension, setup

KERNELS = Path("streamgru/kernels")
DEBUG = os.environ.get("STREAMGRU_DEBUG") == "1"

# -ffp-contract=off comes last: no flag before it may let the compiler fuse a multiply and an add.
FLAGS = {
    "Windows": ["/O2", "/fp:precise"],
}.get(platform.system(), ["-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"])

MODULES = [
    "kernels.blas",
    "kernels.packed",
    "kernels._probe",
    "layers.gru",
    "layers.packed",
    "layers.pointwise",
    "layers.window",
    "model.block",
    "model.code",
    "model.compile",
    "model.lanes",
    "model.plan",
    "model.run",
    "stream.arrays",
    "stream.batch",
    "stream.bound",
    "stream.embed",
    "stream.generate",
    "stream.running",
    "stream.slots",
    "stream.stream",
    "stream.timing",
    "stream.pool",
]
# Plain C beside the Cython: the packed kernels, once for every instruction set, and the threads of a pool.
C_SOURCES = {
    "kernels.packed": sorted(str(source) for source in (KERNELS / "simd").glob("*.c")),
    "stream.batch": ["streamgru/stream/workers.c"],
}


def write_blas_int() -> None:
    """SciPy 1.18 names the integer of its BLAS; before, it was int."""
    declared = "blas_int" in Path(scipy.linalg.__file__).with_name("cython_blas.pxd").read_text()
    line = "from scipy.linalg.cython_blas cimport blas_int\n" if declared else "ctypedef int blas_int\n"
    target = KERNELS / "_blas_int.pxi"
    if not target.exists() or target.read_text() != line:
        target.write_text(line)


def extension(module: str) -> Extension:
    """One .pyx file becomes one extension; all of them see the headers of the kernels."""
    return Extension(
        f"streamgru.{module}",
        [f"streamgru/{module.replace('.', '/')}.pyx", *C_SOURCES.get(module, [])],
        include_dirs=[numpy.get_include(), str(KERNELS), "streamgru/stream"],
        depends=[str(header) for header in KERNELS.rglob("*.h")],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_25_API_VERSION")],
        extra_compile_args=FLAGS,
    )


write_blas_int()
setup(
    ext_modules=cythonize(
        [extension(module) for module in MODULES],
        compiler_directives={
            "language_level": 3,
            "embedsignature": False,  # the stubs have the signatures, and the same docstrings
            "boundscheck": DEBUG,
            "initializedcheck": DEBUG,
            "cdivision": True,
        },
    )
)
