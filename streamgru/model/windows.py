"""Layers that look at several rows of their input, and inputs that wait for slower ones: what is kept for them."""

from __future__ import annotations

from dataclasses import dataclass

from streamgru.errors import SpecError
from streamgru.model import spec as s
from streamgru.model.clocks import Clock, common
from streamgru.model.placed import Layout, Value, Window


@dataclass(frozen=True)
class Shape:
    """*size* rows, *dilation* apart, moved on by *stride*; the first window begins with *before* rows of padding."""

    size: int
    stride: int
    dilation: int
    before: int
    marked: bool = False  # whether rows of padding must be told from others

    @property
    def reach(self) -> int:
        """How many rows its last row is behind its first."""
        return (self.size - 1) * self.dilation


def shape_of(layer: s.AnyLayer) -> Shape | None:
    """The window of a layer, None if it has none."""
    match layer:
        case s.Conv1d():
            return Shape(layer.size, layer.stride, layer.dilation, layer.before)
        case s.AveragePool1d():
            left_out = layer.padding == "left_out" and layer.before > 0
            return Shape(layer.size, layer.stride, 1, layer.before, left_out)
        case s.MaxPool1d():
            return Shape(layer.size, layer.stride, 1, layer.before)
    return None


def clock_of(layer: s.AnyLayer, inputs: tuple[Value, ...]) -> Clock:
    """When a layer answers.

    Raises
    ------
    SpecError
        If its inputs are not made equally often, or it has more padding than its window has room for.
    """
    clock = common(layer.name, tuple(value.clock for value in inputs))
    shape = shape_of(layer)
    if shape is None:
        return clock
    if shape.before > shape.reach:
        raise SpecError(
            f"layer {layer.name!r}: expected at most {shape.reach} rows of padding before, since its window of "
            f"{shape.size} then still holds one row of the input, got {shape.before}; give it a smaller 'before'"
        )
    return clock.after_window(shape.reach, shape.before, shape.stride)


def window(layout: Layout, layer: s.AnyLayer, source: Value, clock: Clock) -> Window | None:
    """Place what a layer keeps of *source* to answer by *clock*; None if it needs the newest row alone."""
    shape = shape_of(layer)
    if shape is None or shape.reach == 0:
        return None
    width = source.size + shape.marked
    kept = _keep(layout, layer.name, source, width, shape.reach)
    if shape.dilation == 1:
        taken = Value(kept.buffer.offset, kept.buffer.size, clock)
    else:
        taken = layout.reserve(shape.size * width, clock)
    return Window(source, kept.buffer, kept.state, taken, shape.dilation)


def delay(layout: Layout, name: str, source: Value, first: int) -> Window:
    """Place what is kept of *source*, known as *name*, to be had again from step *first* on."""
    clock = Clock(first, source.clock.stride)
    n_rows = -(-(first - source.clock.first) // clock.stride)
    kept = _keep(layout, f"{name}:{first}", source, source.size, n_rows)
    late = not source.clock.due(first)
    taken = layout.reserve(source.size, clock) if late else Value(kept.buffer.offset, source.size, clock)
    return Window(source, kept.buffer, kept.state, taken, late=late)


def _keep(layout: Layout, name: str, source: Value, width: int, n_rows: int) -> Window:
    buffer = layout.reserve((n_rows + 1) * width, source.clock)
    entry = layout.remember(name, n_rows * width, buffer.offset + width, source.clock, width)
    return Window(source, buffer, entry, buffer)
