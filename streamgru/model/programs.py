"""The programs of a spec: which tensors are whose, what is handed on between them, what is fed back."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from streamgru.errors import SpecError, UnsupportedError
from streamgru.model import spec as s
from streamgru.model.layout import lay_out
from streamgru.model.placed import ALIGN, Layout
from streamgru.model.small import owner

Tensors = Mapping[str, np.ndarray]


def lay_out_all(spec: s.Spec, tensors: Tensors) -> dict[str, Layout]:
    """Hold a whole spec against its tensors, program by program.

    Raises
    ------
    SpecError
        If a program does not fit (see :func:`~streamgru.model.layout.lay_out`), a name is taken twice, or what is
        handed on or fed back does not fit where it goes.
    UnsupportedError
        If the spec asks for something that this version does not run.
    """
    layouts = {
        name: lay_out(program, dict(own), ALIGN)
        for name, (program, own) in divided(spec, tensors).items()
    }  # fmt: skip
    check_links(spec, {name: layout.y.size for name, layout in layouts.items()})
    return layouts


def check_links(spec: s.Spec, n_out: Mapping[str, int]) -> None:
    """Hold what is fed back and handed on against where it goes; *n_out* by the names of the programs.

    Raises
    ------
    SpecError, UnsupportedError
        As :func:`lay_out_all`.
    """
    for name, program in spec.programs.items():
        if program.feedback is not None:
            check_feedback(program, program.feedback, n_out[name])
    _check_handoffs(spec)


def divided(spec: s.Spec, tensors: Tensors) -> dict[str, tuple[s.Program, dict[str, np.ndarray]]]:
    """Every program with its own tensors.

    Raises
    ------
    SpecError
        If there is no program, or one layer's name stands for two.
    UnsupportedError
        If an input is given once per stream.
    """
    if not spec.programs:
        raise SpecError("the spec has no program; a plain network has one called main")
    if len(spec.programs) == 1 and "main" not in spec.programs:
        raise SpecError(f"a program that is the only one is called main, got {next(iter(spec.programs))!r}")
    home: dict[str, str] = {}
    for name, program in spec.programs.items():
        for item in program.inputs:
            if item.per == "stream":
                raise UnsupportedError(
                    f"input {item.name!r} is given once per stream; this version takes inputs at each step"
                )
        for layer in program.layers:
            if home.setdefault(layer.name, name) != name:
                both = " and ".join(sorted((home[layer.name], name)))
                raise SpecError(
                    f"layer {layer.name!r}: programs {both} have one of that name each; "
                    "tensors go by the names of layers, give every layer its own"
                )
    own: dict[str, dict[str, np.ndarray]] = {name: {} for name in spec.programs}
    first = next(iter(spec.programs))
    for key, tensor in tensors.items():
        own[home.get(owner(key), first)][key] = tensor  # what is nobody's is found when the first is laid out
    return {name: (program, own[name]) for name, program in spec.programs.items()}


def check_feedback(program: s.Program, feedback: s.Feedback, n_out: int) -> slice:
    """Hold what is fed back against where it goes; the part of y that it is.

    Raises
    ------
    SpecError
        If it does not fit.
    UnsupportedError
        If the program has other inputs as well.
    """
    inputs = {item.name: item for item in program.inputs}
    outputs = {item.name: slice(item.start, item.stop or n_out) for item in program.outputs}
    item = inputs.get(feedback.input)
    if item is None:
        raise SpecError(f"feedback: expected an input, {' or '.join(inputs)}, got {feedback.input!r}")
    if feedback.output is not None and feedback.output not in outputs:
        raise SpecError(f"feedback: expected an output, {' or '.join(outputs) or 'none'}, got {feedback.output!r}")
    if len(inputs) > 1:
        raise UnsupportedError(
            f"feedback: this version feeds back to programs with one input, got {', '.join(inputs)}"
        )  # fmt: skip
    part = outputs[feedback.output] if feedback.output is not None else slice(0, n_out)
    size = part.stop - part.start
    if feedback.choose == "value":
        _check_values(feedback, item, size)
    else:
        _check_tokens(feedback, item, size)
        last = program.layers[-1]
        if feedback.choose == "sample" and isinstance(last, s.Softmax) and not last.log:
            raise SpecError(f"feedback: sampling takes logits, but {last.name!r} is a softmax; leave it out")
    return part


def _check_values(feedback: s.Feedback, item: s.Input, size: int) -> None:
    if item.kind != "float" or item.size != size:
        what = "a token" if item.kind == "token" else f"{item.size} numbers"
        raise SpecError(f"feedback: {size} numbers are fed back, but input {item.name!r} takes {what}")
    start = feedback.start
    if start is not None and not (isinstance(start, tuple) and len(start) == size and all(map(math.isfinite, start))):
        raise SpecError(f"feedback: start: expected {size} finite numbers, got {start}")
    if feedback.stop is not None:
        raise SpecError(f"feedback: stop: only a token can end it, but numbers are fed back; got {feedback.stop}")


def _check_tokens(feedback: s.Feedback, item: s.Input, size: int) -> None:
    if item.kind != "token":
        raise SpecError(f"feedback: {feedback.choose!r} gives a token, but input {item.name!r} takes floats")
    vocab = item.vocab or 0
    if size > vocab:
        raise SpecError(
            f"feedback: the largest of {size} numbers is fed back, but input {item.name!r} has tokens below {vocab}"
        )
    if feedback.start is not None and not (isinstance(feedback.start, int) and 0 <= feedback.start < vocab):
        raise SpecError(f"feedback: start: expected a token, an integer in [0, {vocab}), got {feedback.start}")
    if feedback.stop is not None and not 0 <= feedback.stop < size:
        raise SpecError(f"feedback: stop: expected a token, an integer in [0, {size}), got {feedback.stop}")


def _check_handoffs(spec: s.Spec) -> None:
    taken: set[tuple[str, str]] = set()
    for handoff in spec.handoffs:
        sizes = [
            _n_hid(spec, handoff.source, handoff.source_layer),
            _n_hid(spec, handoff.target, handoff.target_layer),
        ]
        told = f"handoff from {handoff.source}:{handoff.source_layer} to {handoff.target}:{handoff.target_layer}"
        if sizes[0] != sizes[1]:
            raise SpecError(f"{told}: expected states of one size, got {sizes[0]} and {sizes[1]}")
        target = (handoff.target, handoff.target_layer)
        if target in taken:
            raise SpecError(f"{told}: another state is handed to the same layer")
        taken.add(target)
    edges = {(handoff.source, handoff.target) for handoff in spec.handoffs}
    while edges:
        # Programs that wait for nobody go first; when none is left to go, those that remain wait for each other.
        ready = {source for source, _ in edges} - {target for _, target in edges}
        if not ready:
            raise SpecError(f"handoffs: the programs {', '.join(sorted({a for a, _ in edges}))} wait for each other")
        edges = {edge for edge in edges if edge[0] not in ready}


def _n_hid(spec: s.Spec, program: str, layer: str) -> int:
    if program not in spec.programs:
        raise SpecError(f"handoff: expected a program, {' or '.join(sorted(spec.programs))}, got {program!r}")
    for found in spec.programs[program].layers:
        if found.name == layer and isinstance(found, s.Gru):
            return found.n_hid
    grus = [found.name for found in spec.programs[program].layers if isinstance(found, s.Gru)]
    raise SpecError(f"handoff: expected a GRU layer of {program!r}, {' or '.join(grus) or 'none'}, got {layer!r}")
