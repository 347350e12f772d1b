"""Whole sequences, layer by layer: what networks need that read a sequence from its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamgru.errors import InputError, NonFiniteError, ShapeError, SpecError, TokenError
from streamgru.model import spec as s
from streamgru.model.layout import lay_out
from streamgru.model.placed import ALIGN, Layout
from streamgru.model.plan import Plan
from streamgru.model.small import info, owner
from streamgru.model.windows import shape_of
from streamgru.stream.stream import Stream

Rows = NDArray[np.floating[Any]]
Kernel = Literal["packed", "blas"]
Window = s.Conv1d | s.AveragePool1d | s.MaxPool1d


@dataclass(frozen=True)
class Part:
    """One layer as a network of its own. *plan* is None for the pools, which have no tensors."""

    layer: s.AnyLayer
    inputs: tuple[str, ...]
    plan: Plan | None


class Layerwise:
    """A program that runs layer by layer over whole sequences.

    Parameters
    ----------
    program : Program
    tensors : mapping of str to ndarray
        Named ``<layer>.<tensor>``.
    dtype : dtype
    kernel : {"packed", "blas"}

    Raises
    ------
    SpecError
        If they do not fit.

    Notes
    -----
    Thread-safety: immutable once made.
    """

    def __init__(
        self, program: s.Program, tensors: Mapping[str, NDArray[Any]], dtype: np.dtype[Any], kernel: Kernel
    ) -> None:
        layout = lay_out(program, dict(tensors), ALIGN)
        self.dtype = dtype
        self.program = program
        self.parts = list(_parts(program, layout, tensors, dtype, kernel))
        # The kernels have the numbers now; what is left tells what they were.
        layout.layers = [
            replace(placed, tensors={key: info(tensor) for key, tensor in placed.tensors.items()})
            for placed in layout.layers
        ]
        self.layout: Layout = layout

    @property
    def n_in(self) -> int:
        """Elements of x."""
        return self.layout.x.size

    @property
    def n_out(self) -> int:
        """Elements of y."""
        return self.layout.y.size

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The tensors by their names in a native file."""
        return {
            name: array for part in self.parts if part.plan is not None for name, array in part.plan.tensors().items()
        }

    def run(self, X: Any, out: Rows | None = None) -> tuple[Rows, dict[str, Rows]]:
        """Run one sequence from its start.

        Parameters
        ----------
        X : array_like (n_steps, n_in)
        out : ndarray (n_steps_out, n_out), optional
            Is given a copy of y.

        Returns
        -------
        y : ndarray (n_steps_out, n_out)
        states : dict of str to ndarray (n_hid,)
            The final state of every GRU layer: that of a reverse one is what it knows at the first step.

        Raises
        ------
        ShapeError, NonFiniteError, TokenError
            If X does not fit, or a layer's answer would not be finite.
        """
        x = _checked(self.layout, X, self.dtype)
        values: dict[str, Rows] = {}
        states: dict[str, Rows] = {}
        offset = 0
        for item in self.program.inputs:
            values[item.name] = x[:, offset : offset + item.size]
            offset += item.size
        for part in self.parts:
            given = [values[name] for name in part.inputs]
            length = min(map(len, given))  # several are taken sample by sample, as far as the shortest goes
            try:
                values[part.layer.name] = _run(part, np.concatenate([rows[:length] for rows in given], axis=1), states)
            except InputError as error:
                raise type(error)(f"layer {part.layer.name!r}: {error}") from None
        y = values[self.parts[-1].layer.name]
        if out is not None:
            out[:] = y
        return y, states

    def n_steps_out(self, n_steps: int) -> int:
        """How many answers a sequence of *n_steps* has."""
        steps = dict.fromkeys((item.name for item in self.program.inputs), n_steps)
        for part in self.parts:
            steps[part.layer.name] = n_steps_out(part.layer, min(steps[name] for name in part.inputs))
        return steps[self.parts[-1].layer.name]


def n_steps_out(layer: s.AnyLayer, n_steps: int) -> int:
    """How many answers a layer gives for a sequence of *n_steps*."""
    if not isinstance(layer, Window):
        return n_steps
    shape = shape_of(layer)
    assert shape is not None
    free = shape.before + n_steps + layer.after - shape.reach - 1
    return free // shape.stride + 1 if n_steps and free >= 0 else 0


def windows(layer: Window, x: Rows, padding: float = 0.0) -> Rows:
    """What a layer sees of x (n_steps, n_in) at each of its steps: (n_steps_out, size, n_in), the oldest first."""
    shape = shape_of(layer)
    assert shape is not None
    padded = np.pad(x, ((shape.before, layer.after), (0, 0)), constant_values=padding)
    if not n_steps_out(layer, len(x)):
        return np.empty((0, shape.size, x.shape[1]), x.dtype)
    seen = np.lib.stride_tricks.sliding_window_view(padded, shape.reach + 1, axis=0)  # the window comes last
    return seen[:: shape.stride, :, :: shape.dilation].transpose(0, 2, 1)


def _parts(
    program: s.Program, layout: Layout, tensors: Mapping[str, NDArray[Any]], dtype: np.dtype[Any], kernel: Kernel
) -> Iterator[Part]:
    """Every layer with a plan of its own."""
    given = {item.name: item for item in program.inputs}
    before = tuple(given)
    for placed in layout.layers:
        layer, names = placed.layer, placed.layer.inputs or before
        if isinstance(layer, s.AveragePool1d | s.MaxPool1d) and layer.after >= layer.size:
            raise SpecError(
                f"layer {layer.name!r}: expected at most {layer.size - 1} rows of padding after, since its window of "
                f"{layer.size} then still holds one row of the input, got {layer.after}"
            )
        own = {name: tensor for name, tensor in tensors.items() if owner(name) == layer.name}
        plan = None
        if isinstance(layer, s.Conv1d):
            # A convolution is a dense layer over all that it sees at once.
            seen = s.Input(name="seen", size=layer.size * placed.inputs[0].size)
            dense = s.Dense(name=layer.name, n_out=layer.n_out, function=layer.function)
            plan = Plan(s.Program(inputs=(seen,), layers=(dense,)), own, dtype, kernel)
        elif not isinstance(layer, Window):
            # A layer that takes one input twice, as x * x does, is given it once.
            inputs = tuple(given[name] for name in dict.fromkeys(names))
            alone = msgspec.structs.replace(layer, inputs=names if layer.inputs else ())
            plan = Plan(s.Program(inputs=inputs, layers=(alone,)), own, dtype, kernel)
        yield Part(layer, tuple(dict.fromkeys(names)), plan)
        given[layer.name] = s.Input(name=layer.name, size=placed.output.size)
        before = (layer.name,)


def _run(part: Part, x: Rows, states: dict[str, Rows]) -> Rows:
    """The answers of one layer to x (n_steps, n_in), and its final state, if it is a GRU, into *states*."""
    layer = part.layer
    match layer:
        case s.Conv1d():
            x = windows(layer, x).reshape(-1, layer.size * x.shape[1])
        case s.AveragePool1d():
            counted = windows(layer, np.ones_like(x), float(layer.padding == "counted"))
            mean: Rows = (_sum(windows(layer, x)) / _sum(counted)).astype(x.dtype)
            return mean
        case s.MaxPool1d():
            largest: Rows = np.maximum.reduce(windows(layer, x, -np.inf), axis=1)
            return largest
    stream = Stream(part)  # type: ignore[arg-type]  # it asks its model for nothing but the plan
    if not isinstance(layer, s.Gru):
        return stream.run(x)
    back = -1 if layer.direction == "reverse" else 1
    y = stream.run(x[::back])[::back]
    states[layer.name] = stream.state[layer.name]
    if layer.returns == "last":
        y = np.broadcast_to(states[layer.name], y.shape)
    return y


def _sum(seen: Rows) -> NDArray[np.float64]:
    """Of every window of *seen* (n, size, n_in), the oldest first and in double precision, as a stream adds them up."""
    total = np.zeros((len(seen), seen.shape[2]))
    for j in range(seen.shape[1]):
        total += seen[:, j]
    return total


def _checked(layout: Layout, X: Any, dtype: np.dtype[Any]) -> Rows:
    """X (n_steps, n_in) in *dtype*; refused if a number is not finite, or no token where one belongs."""
    rows = np.asarray(X)
    if rows.ndim != 2 or rows.shape[1] != layout.x.size or rows.dtype.kind not in "fiub":
        raise ShapeError(f"X: expected numbers of shape (n_steps, {layout.x.size}), got {rows.dtype} {rows.shape}")
    with np.errstate(over="ignore"):
        x = rows.astype(dtype)
    for row, column in np.argwhere(~np.isfinite(x))[:1]:
        raise NonFiniteError(f"X[{row}, {column}]: expected a finite {dtype}, got {rows[row, column]}")
    for token in layout.tokens:
        values = x[:, token.index]
        for row in np.flatnonzero((values < 0) | (values >= token.vocab) | (values != np.floor(values)))[:1]:
            raise TokenError(
                f"X[{row}, {token.index}]: expected a token of {token.name!r}, an integer in [0, {token.vocab}), "
                f"got {values[row]}"
            )
    return x


def run_each(
    X: Any, lengths: Sequence[int] | None, whole: Plan | Layerwise, run: Callable[[Any, Rows], object],
    steps_out: Callable[[int], int],
) -> Rows:  # fmt: skip
    """Run whole sequences, each from the start; see :meth:`Model.run <streamgru.Model.run>`.

    *run* takes one sequence and an array for its answers, *steps_out* tells how many these are.
    """
    try:
        rows = np.asarray(X)
    except ValueError as error:  # sequences of different lengths
        raise ShapeError(f"X: expected shape (n_streams, n_steps, {whole.n_in}), got {error}") from None
    if rows.ndim != 3 or rows.shape[2] != whole.n_in:
        raise ShapeError(f"X: expected shape (n_streams, n_steps, {whole.n_in}), got {rows.shape}")
    n_streams, n_steps, _ = rows.shape
    steps = np.full(n_streams, n_steps) if lengths is None else np.asarray(lengths)
    integers = steps.dtype.kind in "iu" or steps.size == 0
    if steps.shape != (n_streams,) or not integers or not ((steps >= 0) & (steps <= n_steps)).all():
        raise ShapeError(f"lengths: expected {n_streams} integers from 0 to {n_steps}, got {lengths}")
    y = np.zeros((n_streams, steps_out(n_steps), whole.n_out), whole.dtype)
    for i, length in enumerate(steps.tolist()):
        try:
            run(rows[i, :length], y[i, : steps_out(length)])
        except InputError as error:
            raise type(error)(f"stream {i}: {error}") from None
    return y
