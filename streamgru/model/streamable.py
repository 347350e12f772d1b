"""Whether a network can answer while its sequence is still coming, and if not, why."""

from __future__ import annotations

from streamgru.model import spec as s

REMEMBERING = (s.Gru, s.Conv1d, s.AveragePool1d, s.MaxPool1d)


def obstacle(program: s.Program) -> str | None:
    """Why a program needs whole sequences, naming the layer; None if it can be stepped.

    A layer that reads from the end must have the end. What a GRU *returns* as its ``last`` state can be told at each
    step as far as it is known, but whoever remembers what was told would remember what turns out to be wrong.
    """
    unsettled: dict[str, str] = {}  # what follows from a last state -> whose it is
    before: tuple[str, ...] = ()
    for layer in program.layers:
        whose = next((unsettled[name] for name in layer.inputs or before if name in unsettled), None)
        if isinstance(layer, s.Gru) and layer.direction == "reverse":
            return f"layer {layer.name!r} reads the sequence from its end"
        if isinstance(layer, REMEMBERING) and whose is not None:
            return f"layer {layer.name!r} reads the last state of {whose!r}, known only at the end of the sequence"
        if isinstance(layer, s.Gru) and layer.returns == "last":
            unsettled[layer.name] = layer.name
        elif whose is not None:
            unsettled[layer.name] = whose
        before = (layer.name,)
    return None


def padded_after(program: s.Program) -> bool:
    """Whether a layer answers to padding behind the end of the sequence, which a stream never has."""
    windows = s.Conv1d | s.AveragePool1d | s.MaxPool1d
    return any(isinstance(layer, windows) and layer.after > 0 for layer in program.layers)
