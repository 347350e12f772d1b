"""The kernels as Python functions, so that tests reach each one at each dtype. Not public."""

from typing import Any

from numpy.typing import NDArray

KINDS: dict[str, int]

def probe_activate(kind: str, x: NDArray[Any], alpha: float = 0.0, beta: float = 0.0) -> None:
    """x := f(x), in place. x: (n,)."""

def probe_clip(limit: float, x: NDArray[Any]) -> None:
    """x := clip(x, -limit, limit), in place. x: (n,)."""

def probe_blend(z: NDArray[Any], n: NDArray[Any], h: NDArray[Any], h_next: NDArray[Any]) -> None:
    """h_next := (1 - z) * n + z * h. All (n_hid,)."""

def probe_first_nonfinite(x: NDArray[Any]) -> int:
    """Index of the first NaN or infinity, or -1. x: (n,)."""

def probe_gemv(a: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> None:
    """y += A x. a: (n_rows, n_cols), x: (n_cols,), y: (n_rows,)."""
