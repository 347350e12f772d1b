"""The gates of a traced network: who keeps its memory, who renews it; as numbers and in characters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamgru.cli.data import Sequence, refused
from streamgru.errors import InputError, UnsupportedError
from streamgru.stream.model import Model
from streamgru.stream.trace import Gates

SHADES = " ░▒▓█"
ROWS = 8  # of one picture
LISTED = 5  # units at either end of the table
MEANING = {
    "r": "reset gate r: 0 hides the old state from the candidate",
    "z": "update gate z: 1 keeps the old state, 0 replaces it",
    "n": "candidate n: what the state would become",
    "h": "state h: what remains after the step",
}


class Traced(NamedTuple):
    """Some steps of a trace: *start* steps went before."""

    x: NDArray[Any]
    y: NDArray[np.floating]
    layers: dict[str, Gates]
    start: int


def traced(model: Model, sequence: Sequence, start: int, stop: int | None) -> Traced:
    """Trace a sequence from its beginning, and keep the steps from *start* to *stop*."""
    if not 0 <= start < min(stop or len(sequence.x), len(sequence.x)):
        raise InputError(f"steps: {start}:{stop or ''} is no part of a sequence of {len(sequence.x)} steps")
    if (model.stride, model.delay) != (1, 0):
        raise UnsupportedError(
            "the model does not answer at every step, so that its gates cannot be shown beside its input; "
            "Stream.trace has them"
        )
    x = sequence.x[:stop]
    try:
        trace = model.stream().trace(x)
    except InputError as error:
        raise refused(model.stream(), sequence.title, x, 0) or error from None
    if not trace.gates:
        raise InputError("the model has no GRU layer, so there are no gates to show")
    layers = {name: Gates(*(part[start:] for part in gates)) for name, gates in trace.gates.items()}
    return Traced(x[start:], trace.y[start:], layers, start)


def by_update(gates: Gates) -> NDArray[np.intp]:
    """The units of a layer, sorted by their mean update gate: those that are renewed most come first."""
    return np.argsort(gates.z.mean(axis=0), kind="stable")


def units(gates: Gates) -> list[dict[str, float]]:
    """What each unit does on average, sorted as :func:`by_update`.

    *memory_steps* is how long a unit would remember at its mean update gate, 1 / (1 - z).
    """
    z, r, h = gates.z.mean(axis=0), gates.r.mean(axis=0), np.abs(gates.h).mean(axis=0)
    return [
        {
            "unit": int(i),
            "mean_z": float(z[i]),
            "mean_r": float(r[i]),
            "mean_abs_h": float(h[i]),
            "memory_steps": float(1 / max(1 - float(z[i]), 1e-9)),
        }
        for i in by_update(gates)
    ]


def raw(found: Traced) -> dict[str, NDArray[Any]]:
    """All arrays by name, to be saved."""
    arrays = {f"{name}.{key}": part for name, gates in found.layers.items() for key, part in gates._asdict().items()}
    return {"x": found.x, "y": found.y, **arrays}


def picture(found: Traced, rate_hz: float | None, width: int) -> Iterator[str]:
    """Every layer in lines of text: its gates as shades, then the units at both ends."""
    for name, gates in found.layers.items():
        n_steps, n_hid = gates.z.shape
        seconds = f", {found.start / rate_hz:g} s to {(found.start + n_steps) / rate_hz:g} s" if rate_hz else ""
        yield f"{name}: {n_hid} units, steps {found.start} to {found.start + n_steps}{seconds}"
        yield "Time runs to the right; units are sorted by mean update gate, the most renewed on top."
        order = by_update(gates)
        for key, part in gates._asdict().items():
            # Averages of numbers of both signs would say nothing.
            shown, sign = (part, "") if key in "rz" else (np.abs(part), "; its size")
            high = limits(key, part)[1]
            yield ""
            yield f"{MEANING[key]}{sign}   0 '{SHADES}' {high:g}"
            yield from _shaded(shown[:, order], high, width)
        yield ""
        yield from _table(units(gates), rate_hz)


def limits(key: str, values: NDArray[np.floating]) -> tuple[float, float]:
    """The values at both ends of a scale: 0 to 1 for gates, -1 to 1 for the rest, more where they are larger."""
    largest = max(1.0, float(np.abs(values).max()))
    return (min(0.0, float(values.min())), largest) if key in "rz" else (-largest, largest)


def _shaded(values: NDArray[np.floating], high: float, width: int) -> Iterator[str]:
    """Values (n_steps, n_hid) as shades, averaged over the steps and the units that share a character."""
    columns = np.array_split(values, min(width, len(values)), axis=0)
    narrow = np.stack([column.mean(axis=0) for column in columns])
    for rows in np.array_split(narrow, min(ROWS, narrow.shape[1]), axis=1):
        level = rows.mean(axis=1) / high * len(SHADES)
        yield "".join(SHADES[i] for i in np.clip(level.astype(int), 0, len(SHADES) - 1))


def _table(rows: list[dict[str, float]], rate_hz: float | None) -> Iterator[str]:
    yield "unit   mean z   mean r   mean |h|   memory"
    cut = len(rows) > 2 * LISTED
    for i, row in enumerate(rows):
        if cut and LISTED <= i < len(rows) - LISTED:
            if i == LISTED:
                yield "   …"
            continue
        memory = f"{row['memory_steps']:.3g} steps" + (f" ({row['memory_steps'] / rate_hz:.2g} s)" if rate_hz else "")
        yield f"{row['unit']:4}   {row['mean_z']:6.3f}   {row['mean_r']:6.3f}   {row['mean_abs_h']:8.3f}   {memory}"
