"""Operators that appear in the arithmetic of shapes alone: taken where all that they compute with is constant."""

from __future__ import annotations

import numpy as np

from streamgru.errors import FormatError, UnsupportedError
from streamgru.formats.onnx.op import Handler, Op, broadcast_shape
from streamgru.formats.onnx.values import Constant, Value, in_bounds


def _constants(op: Op) -> list[Constant]:
    values = [op.value(k) for k in range(op.count)]
    found = [value for value in values if isinstance(value, Constant)]
    if len(found) != len(values):
        raise UnsupportedError("this version has no layer for it")
    in_bounds(*broadcast_shape(*(value.array for value in found)))
    return found


def equal(op: Op) -> list[Value]:
    """Whether two constants are equal."""
    a, b, *_ = [*_constants(op), *[Constant(np.zeros(()))] * 2]
    return [op.constant(a.array == b.array, a, b)]


def where(op: Op) -> list[Value]:
    """One constant or another."""
    found = _constants(op)
    if len(found) != 3:
        raise FormatError(f"expected three inputs, got {len(found)}")
    return [op.constant(np.where(*(value.array for value in found)), *found)]


OPERATORS: dict[str, Handler] = {"Equal": equal, "Where": where}
