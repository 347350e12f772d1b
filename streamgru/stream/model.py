"""A network ready to run: immutable, shared by all streams and threads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamgru.errors import InputError, ShapeError, UnsupportedError
from streamgru.kernels import packed
from streamgru.model.plan import Plan
from streamgru.model.spec import Spec, checked, from_json, identity, to_json
from streamgru.stream.pool import Pool
from streamgru.stream.stream import Stream, restored

DTYPES = ("float32", "float64")
KERNELS = ("auto", "blas", "packed")
FAST = ("avx512", "avx2", "neon")  # instruction sets with fused multiply-adds
Kernel = Literal["packed", "blas"]


class Model:
    """A network and its weights, compiled.

    Parameters
    ----------
    spec : Spec
        What the network is.
    tensors : mapping of str to ndarray
        Its weights, named ``<layer>.<tensor>`` (see the layers in ``streamgru.model.spec``). They are copied; but
        views of bytes, which nobody can change, are used where they lie if the kernel takes them as they are.
    dtype : {"float32", "float64"}
        What the network is computed in.
    kernel : {"auto", "blas", "packed"}
        What multiplies its matrices: kernels of our own, with the same bits on every CPU (float32 alone), or
        scipy's BLAS. ``auto`` is ``packed`` for float32 where the CPU has fused multiply-adds, else ``blas``.
    blas_threads : int or None
        scipy's BLAS is held to so many threads, for the whole process, from now on; None leaves it alone.

    Raises
    ------
    SpecError
        If spec and tensors do not fit.
    UnsupportedError
        If this version cannot run what they ask for.

    Notes
    -----
    Thread-safety: immutable; use one model from as many threads as you like, each with its own streams.
    """

    def __init__(
        self,
        spec: Spec,
        tensors: Mapping[str, NDArray[Any]],
        *,
        dtype: str = "float32",
        kernel: str = "auto",
        blas_threads: int | None = 1,
    ) -> None:
        if _dtype_name(dtype) not in DTYPES:
            raise UnsupportedError(f"dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}")
        if kernel not in KERNELS:
            raise UnsupportedError(f"kernel: expected one of {', '.join(KERNELS)}, got {kernel!r}")
        if kernel == "packed" and _dtype_name(dtype) != "float32":
            raise UnsupportedError(
                f"kernel 'packed' computes in float32, not in {_dtype_name(dtype)}; use kernel='blas'"
            )
        if blas_threads is not None and (not isinstance(blas_threads, int) or blas_threads < 1):
            raise UnsupportedError(f"blas_threads: expected a positive integer or None, got {blas_threads!r}")
        self.spec = spec = checked(spec)
        arrays = {name: np.asarray(tensor) for name, tensor in tensors.items()}
        self.dtype = np.dtype(_dtype_name(dtype))
        self.kernel: Kernel = _chosen(kernel, self.dtype)
        self.plan = Plan(spec.main, arrays, self.dtype, self.kernel)
        if blas_threads is not None and self.kernel == "blas":
            from streamgru.kernels import blas  # slow to import; the plan has just done so

            blas.limit_threads(blas_threads)
        self._blas_threads = blas_threads
        self.fingerprint = _fingerprint(spec, arrays)
        self.state_layout = _state_layout(self.plan)

    @property
    def tensors(self) -> dict[str, NDArray[Any]]:
        """The weights by their names, put together from what the kernels keep, which is the only copy."""
        return self.plan.tensors()

    @property
    def n_in(self) -> int:
        """Numbers in one ``x``."""
        return self.plan.n_in

    @property
    def n_out(self) -> int:
        """Numbers in one ``y``."""
        return self.plan.n_out

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The classes, where the network has one output with labels."""
        outputs = self.spec.main.outputs
        return outputs[0].labels if len(outputs) == 1 else None

    def stream(self) -> Stream:
        """Start a stream: one hidden state, one owner."""
        return Stream(self)

    def pool(self, capacity: int = 1024, *, threads: int = 1) -> Pool:
        """Make a pool of at most *capacity* streams, whose large batches *threads* threads share.

        ValueError unless 1 <= capacity < 2**31 and 1 <= threads <= 1024.
        """
        return Pool(self, capacity, threads)

    def restore(self, blob: bytes, *, carry: bool = False) -> Stream:
        """Go on from a snapshot, bit for bit as if never stopped.

        With *carry* the snapshot may come from another model whose state has the same layout, say
        after training went on; without, only this very model is taken.

        Raises
        ------
        SnapshotError
            If it is damaged, of another model, or of another layout.
        """
        return restored(self, blob, carry)

    def run(self, X: ArrayLike, lengths: Sequence[int] | None = None) -> NDArray[np.floating[Any]]:
        """Run whole sequences, each from the start.

        Parameters
        ----------
        X : array_like (n_streams, n_steps, n_in)
        lengths : sequence of int (n_streams,), optional
            Steps of each sequence; what lies beyond is not read, and zero in the answer.

        Returns
        -------
        ndarray (n_streams, n_steps, n_out)

        Raises
        ------
        ShapeError, NonFiniteError, TokenError
            Naming the sequence, the step and the number.
        """
        try:
            rows = np.asarray(X)
        except ValueError as error:  # sequences of different lengths
            raise ShapeError(f"X: expected shape (n_streams, n_steps, {self.n_in}), got {error}") from None
        if rows.ndim != 3 or rows.shape[2] != self.n_in:
            raise ShapeError(f"X: expected shape (n_streams, n_steps, {self.n_in}), got {rows.shape}")
        n_streams, n_steps, _ = rows.shape
        steps = np.full(n_streams, n_steps) if lengths is None else np.asarray(lengths)
        whole = steps.dtype.kind in "iu" or steps.size == 0
        if steps.shape != (n_streams,) or not whole or not ((steps >= 0) & (steps <= n_steps)).all():
            raise ShapeError(f"lengths: expected {n_streams} integers from 0 to {n_steps}, got {lengths}")
        y = np.zeros((n_streams, n_steps, self.n_out), self.dtype)
        for i, length in enumerate(steps):
            try:
                self.stream().run(rows[i, :length], out=y[i, :length])
            except InputError as error:
                raise type(error)(f"stream {i}: {error}") from None
        return y

    def __reduce__(self) -> tuple[Any, ...]:
        told = (self.dtype.name, self.kernel, self._blas_threads, self.fingerprint)
        return _unpickled, (to_json(self.spec), self.tensors, *told)

    def __repr__(self) -> str:
        return f"<Model {self.n_in} -> {self.n_out}, {self.dtype}, {self.kernel}, {self.fingerprint[:12]}>"


def _unpickled(
    spec: bytes, tensors: dict[str, NDArray[Any]], dtype: str, kernel: str, blas_threads: int | None, fingerprint: str
) -> Model:
    model = Model(from_json(spec), tensors, dtype=dtype, kernel=kernel, blas_threads=blas_threads)
    model.fingerprint = fingerprint  # of the tensors as they came, before they were rounded to the dtype
    return model


def _chosen(kernel: str, dtype: np.dtype[Any]) -> Kernel:
    """The kernel that ``auto`` stands for; without fused multiply-adds the packed ones must imitate them, slowly."""
    if kernel == "auto":
        return "packed" if dtype == np.float32 and packed.isa in FAST else "blas"
    return "packed" if kernel == "packed" else "blas"


def _dtype_name(dtype: Any) -> str:
    """The name of a dtype, without its byte order; empty for what is none."""
    try:
        return np.dtype(dtype).name if dtype is not None else ""
    except TypeError:
        return ""


def _fingerprint(spec: Spec, tensors: Mapping[str, NDArray[Any]]) -> str:
    """sha256 of what the spec computes and of every tensor, with its name, dtype and shape."""
    digest = hashlib.sha256(identity(spec))
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, tensor.dtype.name, tensor.shape]).encode())
        digest.update(np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _state_layout(plan: Plan) -> str:
    """sha256 of what the state consists of: changes with its shape, not with the weights."""
    entries = [[entry.name, entry.size] for entry in plan.layout.state]
    return hashlib.sha256(json.dumps([plan.dtype.name, entries]).encode()).hexdigest()
