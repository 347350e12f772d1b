"""A network ready to run: immutable, shared by all streams and threads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamgru.errors import UnsupportedError
from streamgru.kernels import packed
from streamgru.model.clocks import EVERY
from streamgru.model.placed import Layout
from streamgru.model.plan import Plan
from streamgru.model.programs import check_links, divided
from streamgru.model.spec import Program, Spec, checked, from_json, identity, several, to_json
from streamgru.model.streamable import obstacle, padded_after
from streamgru.stream.generate import Generator
from streamgru.stream.generation import Choose, Generated, finished, make_generator, rows_of
from streamgru.stream.pool import Pool
from streamgru.stream.sequences import Layerwise, run_each
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
        views of bytes or of a read-only memoryview are used where they lie if the kernel takes them as they are.
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
        parts = divided(spec, arrays)
        self._plan: Plan | None = None
        self._programs: dict[str, Model] | None = None
        self._obstacle: str | None = None
        if set(parts) == {"main"}:
            self._obstacle = obstacle(spec.main)
            if self._obstacle is None:
                self._plan = Plan(spec.main, arrays, self.dtype, self.kernel)
            else:
                self._layerwise = Layerwise(spec.main, arrays, self.dtype, self.kernel)
            check_links(spec, {"main": self.n_out})
        else:
            self._programs = {
                name: Model(_alone(spec, program), own, dtype=dtype, kernel=kernel, blas_threads=None)
                for name, (program, own) in parts.items()
            }
            check_links(spec, {name: part.n_out for name, part in self._programs.items()})
        if blas_threads is not None and self.kernel == "blas":
            from streamgru.kernels import blas  # slow to import; the plan has just done so

            blas.limit_threads(blas_threads)
        self._blas_threads = blas_threads
        self.fingerprint = ""
        self._sign(_fingerprint(spec, arrays))

    @property
    def plan(self) -> Plan:
        """What a stream runs; UnsupportedError for a network that cannot be stepped, with the reason."""
        if self._plan is not None:
            return self._plan
        if self._obstacle is None:
            raise UnsupportedError(several(self.spec))
        raise UnsupportedError(
            f"{self._obstacle}, so that this network cannot answer step by step; give it whole sequences, model.run(X)"
        )

    @property
    def streams(self) -> bool:
        """Whether it can be stepped; if not, :meth:`run` takes whole sequences, or it has several programs."""
        return self._plan is not None

    @property
    def programs(self) -> Mapping[str, Model]:
        """Every program as a model of its own; of a plain network itself, as ``main``."""
        return MappingProxyType({"main": self} if self._programs is None else self._programs)

    @cached_property
    def state_layout(self) -> str:
        """sha256 of what the state consists of and when it changes; the weights do not matter."""
        entries = [
            [entry.name, entry.size] + ([entry.clock.first, entry.clock.stride] if entry.clock != EVERY else [])
            for entry in self.plan.layout.state
        ]
        return hashlib.sha256(json.dumps([self.dtype.name, entries]).encode()).hexdigest()

    @property
    def tensors(self) -> dict[str, NDArray[Any]]:
        """The weights by their names, put together from what the kernels keep, which is the only copy."""
        if self._programs is not None:
            return {name: tensor for part in self._programs.values() for name, tensor in part.tensors.items()}
        return self._whole.tensors()

    @property
    def n_in(self) -> int:
        """Numbers in one ``x``."""
        return self._whole.n_in

    @property
    def n_out(self) -> int:
        """Numbers in one ``y``."""
        return self._whole.n_out

    @property
    def layout(self) -> Layout:
        """Layers, sizes and tensors of its one program."""
        return self._whole.layout

    @cached_property
    def _layerwise(self) -> Layerwise | None:
        """What runs whole sequences, where stepping through them would not give all answers, or cannot be done."""
        if self._plan is None or not padded_after(self.spec.main):
            return None
        return Layerwise(self.spec.main, self._plan.tensors(), self.dtype, self.kernel)

    @property
    def _whole(self) -> Plan | Layerwise:
        return self._plan or self._layerwise or self.plan

    @property
    def stride(self) -> int:
        """A stream answers at every so many steps: 1, unless something between input and output is strided."""
        return self.layout.y.clock.stride

    @property
    def delay(self) -> int:
        """The number of the first step that is answered, counted from 0: how far the network looks ahead."""
        return self.layout.y.clock.first

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
        """Run whole sequences, each from the start, also those of a network that reads them from their end.

        Parameters
        ----------
        X : array_like (n_streams, n_steps, n_in)
        lengths : sequence of int (n_streams,), optional
            Steps of each sequence; what lies beyond is not read, and zero in the answer.

        Returns
        -------
        ndarray (n_streams, n_steps, n_out)
            Of a network that answers once, the answer is that of a sequence's last step. Convolutions and pooling
            that pad or stride change the number of steps: then (n_streams, n_steps_out, n_out).

        Raises
        ------
        ShapeError, NonFiniteError, TokenError
            Naming the sequence, the step and the number.
        """
        whole = self._layerwise
        if whole is not None:
            return run_each(X, lengths, whole, whole.run, whole.n_steps_out)
        plan, clock = self.plan, self.plan.layout.y.clock
        return run_each(X, lengths, plan, lambda rows, out: self.stream().run(rows, out=out), clock.count)

    def encode(self, text: str) -> NDArray[np.int64]:
        """The tokens of a text as a sequence (n_steps, 1), by the labels of the network's one input.

        ShapeError if its tokens have none; TokenError if the text has something that is no label.
        """
        return np.array(rows_of(text, self.spec.main.inputs[0]), np.int64)

    def finals(self, X: ArrayLike) -> dict[str, NDArray[np.floating[Any]]]:
        """Run one sequence (n_steps, n_in) from its start and give the final state of every GRU layer, (n_hid,)."""
        if self._layerwise is not None:
            return self._layerwise.run(X)[1]
        stream = self.stream()
        stream.run(X)
        return stream.state

    def generator(
        self,
        X: ArrayLike | str | None = None,
        *,
        limit: int | None = None,
        temperature: float = 1.0,
        seed: int | None = None,
        choose: Choose | None = None,
        start: int | Sequence[float] | None = None,
        stop: int | None = None,
    ) -> Generator:
        """Begin to write: answers one by one, each fed back as the next input, as the spec's ``feedback`` tells.

        Parameters
        ----------
        X : array_like (n_steps, n_in), tokens (n_steps,) or str, optional
            What an encoder reads, its final state being handed on; of one program alone, what it goes on from,
            behind *start*. Text needs labels in the spec.
        limit : int, optional
            The most answers.
        temperature : float
            Logits are divided by it before one is drawn; 0 always takes the largest.
        seed : int, optional
            Below 2**64: the same draws on every machine. Without it they are others each time.
        choose : {"argmax", "sample", "value"}, optional
        start : int or sequence of float, optional
            The first input.
        stop : int, optional
            The token that ends it. What is left out of these four is as in the spec.

        Returns
        -------
        Generator

        Raises
        ------
        SpecError
            If an option does not fit the network.
        ShapeError, NonFiniteError, TokenError
            If X does not.
        UnsupportedError
            If the network is fed nothing back.
        """
        return make_generator(self, X, limit, temperature, seed, choose, start, stop)

    def restore_generator(self, blob: bytes) -> Generator:
        """Go on from the snapshot of a generator, token by token as if never stopped.

        Raises
        ------
        SnapshotError
            If it is damaged, or of another model.
        """
        from streamgru.stream.halfway import unpack

        return unpack(self, blob)

    def generate(
        self, X: ArrayLike | str | list[Any] | None = None, *, seed: int | None = None, **options: Any
    ) -> Generated | list[Generated]:
        """Write until it ends; parameters as :meth:`generator`.

        A list of texts or arrays is several sequences and gives a list: the one at *i* is drawn with ``seed + i``.
        """
        if not (isinstance(X, list) and X and isinstance(X[0], (str, np.ndarray))):
            return finished(self.generator(X, seed=seed, **options))
        seeds = [None if seed is None else (seed + i) % (1 << 64) for i in range(len(X))]
        return [finished(self.generator(x, seed=own, **options)) for x, own in zip(X, seeds, strict=True)]

    def _sign(self, fingerprint: str) -> None:
        """Take a fingerprint; those of several programs follow from it, so that it alone has to be kept."""
        self.fingerprint = fingerprint
        for name, part in (self._programs or {}).items():
            part._sign(hashlib.sha256(f"{fingerprint} {name}".encode()).hexdigest())

    def __reduce__(self) -> tuple[Any, ...]:
        told = (self.dtype.name, self.kernel, self._blas_threads, self.fingerprint)
        return _unpickled, (to_json(self.spec), self.tensors, *told)

    def __repr__(self) -> str:
        sizes = [f"{part.n_in} -> {part.n_out}" for part in self.programs.values()]
        if self._programs is not None:
            sizes = [f"{name} {size}" for name, size in zip(self._programs, sizes, strict=True)]
        return f"<Model {', '.join(sizes)}, {self.dtype}, {self.kernel}, {self.fingerprint[:12]}>"


def _alone(spec: Spec, program: Program) -> Spec:
    """The spec of one program of several."""
    return msgspec.structs.replace(spec, programs={"main": program}, handoffs=())


def _unpickled(
    spec: bytes, tensors: dict[str, NDArray[Any]], dtype: str, kernel: str, blas_threads: int | None, fingerprint: str
) -> Model:
    model = Model(from_json(spec), tensors, dtype=dtype, kernel=kernel, blas_threads=blas_threads)
    model._sign(fingerprint)  # of the tensors as they came, before they were rounded to the dtype
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
