"""From a model and a prompt to a generator: what is run first, what is handed on, what is fed back."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamgru.errors import ShapeError, SpecError, UnsupportedError
from streamgru.model.programs import check_feedback
from streamgru.model.spec import Feedback, Input, Program
from streamgru.stream.generate import Generator
from streamgru.stream.vocabulary import Vocabulary, vocabulary_of

if TYPE_CHECKING:
    from streamgru.stream.model import Model

MAX_TEMPERATURE = 1e30  # the draws have long been even

Choose = Literal["argmax", "sample", "value"]


@dataclass(frozen=True)
class Generated:
    """What a network has written.

    ``tokens`` (n,) are what was chosen, a token that ended it included, or all 0 where numbers themselves were fed
    back; ``values`` (n, n_out) what they were chosen from, y of every step. ``ended`` tells what ended it, ``stop`` or
    ``limit``, and with ``seed`` the draws can be repeated.
    """

    tokens: NDArray[np.int64]
    values: NDArray[np.floating[Any]]
    ended: Literal["stop", "limit"]
    seed: int
    vocabulary: Vocabulary | None = None

    @property
    def text(self) -> str | None:
        """The labels of the tokens, without the one that ended it; None if the tokens have none."""
        if self.vocabulary is None:
            return None
        return self.vocabulary.decode(self.tokens[:-1] if self.ended == "stop" else self.tokens)


def make_generator(
    model: Model, X: Any, limit: int | None, temperature: float, seed: int | None, choose: Choose | None,
    start: Any, stop: int | None,
) -> Generator:  # fmt: skip
    """See :meth:`Model.generator <streamgru.Model.generator>`."""
    name, program, feedback = fed(model)
    item = program.inputs[0]
    changes = {"choose": choose, "start": start, "stop": stop, "limit": limit}
    try:
        feedback = msgspec.convert(
            msgspec.structs.asdict(feedback) | {key: value for key, value in changes.items() if value is not None},
            Feedback,
        )
        part = check_feedback(program, feedback, model.programs[name].n_out)
    except msgspec.ValidationError as error:
        raise SpecError(f"feedback: {error}") from None
    if not (isinstance(temperature, (int, float)) and 0 <= temperature <= MAX_TEMPERATURE):
        raise SpecError(f"temperature: expected a number from 0 to {MAX_TEMPERATURE:g}, got {str(temperature)[:40]}")
    if seed is None:
        seed = new_seed()
    elif not (isinstance(seed, (int, np.integer)) and 0 <= seed < 1 << 64):
        raise SpecError(f"seed: expected an integer in [0, 2**64), got {seed}")
    stream = model.programs[name].stream()
    states, prompt = _handed(model, name, X)
    stream.state = states
    rows = [] if feedback.start is None else [np.array(feedback.start, np.float64).reshape(1, -1)]
    if prompt is not None:
        rows.append(rows_of(prompt, item))
    if not sum(map(len, rows)):
        raise ShapeError(f"expected a prompt X or a first input, start=, for {item.name!r}, got neither")
    given = np.concatenate(rows)
    stream.run(given[:-1])
    return Generator(
        stream, given[-1], part, feedback.choose, stop=feedback.stop, limit=feedback.limit,
        temperature=float(temperature), seed=int(seed), vocabulary=vocabulary_of(item),
    )  # fmt: skip


def new_seed() -> int:
    """A seed that nobody has chosen; below 2**53, so that any reader of JSON takes it as it is."""
    return int.from_bytes(os.urandom(8), "little") >> 11


def finished(generator: Generator) -> Generated:
    """Let a generator go on until it ends."""
    tokens, values = generator.rest()
    assert generator.ended is not None
    return Generated(tokens, values, generator.ended, generator.seed, generator.vocabulary)


def prompt_input(model: Model) -> Input:
    """The input that a prompt is for."""
    name, program, _ = fed(model)
    sources = _sources(model, name)
    return model.spec.programs[sources[0]].inputs[0] if sources else program.inputs[0]


def needs_prompt(model: Model) -> bool:
    """Whether there is nothing to begin with but a prompt."""
    name, _, feedback = fed(model)
    return bool(_sources(model, name)) or feedback.start is None


def fed(model: Model) -> tuple[str, Program, Feedback]:
    """The program that is fed its own answers."""
    found = [(name, program) for name, program in model.spec.programs.items() if program.feedback is not None]
    if len(found) != 1:
        raise UnsupportedError(
            f"expected a network with one program that is fed its own answers, got {len(found)}; "
            "the spec tells it under programs.NAME.feedback"
        )
    name, program = found[0]
    writer = model.programs[name]
    if writer.streams and (writer.stride, writer.delay) != (1, 0):
        raise UnsupportedError(f"program {name!r} looks ahead, or does not answer every step; it cannot be fed back")
    assert program.feedback is not None
    return name, program, program.feedback


def _sources(model: Model, target: str) -> list[str]:
    """The programs whose states are handed to *target*."""
    found = {handoff.source: None for handoff in model.spec.handoffs if handoff.target == target}
    if len(found) > 1 or any(handoff.target in found for handoff in model.spec.handoffs):
        raise UnsupportedError(
            f"this version hands states from one program straight to {target!r}; "
            f"the spec has handoffs between {', '.join(model.spec.programs)}"
        )
    return list(found)


def _handed(model: Model, target: str, X: Any) -> tuple[dict[str, ArrayLike], Any]:
    """The initial states that another program leaves for *target*, and what is left of the prompt."""
    sources = _sources(model, target)
    if not sources:
        return {}, X
    encoder, item = model.programs[sources[0]], model.spec.programs[sources[0]].inputs[0]
    if X is None:
        raise ShapeError(f"expected a sequence X for the program {sources[0]!r}, got none")
    states = encoder.finals(rows_of(X, item) if encoder.n_in == item.size else X)
    handoffs = [handoff for handoff in model.spec.handoffs if handoff.target == target]
    return {handoff.target_layer: states[handoff.source_layer] for handoff in handoffs}, None


def rows_of(X: Any, item: Input) -> NDArray[Any]:
    """A prompt as (n_steps, n_in): text by its labels, and tokens also without the second axis."""
    if isinstance(X, str):
        vocabulary = vocabulary_of(item)
        if vocabulary is None:
            raise ShapeError(f"expected numbers for {item.name!r}, whose tokens have no labels in the spec, got text")
        X = vocabulary.encode(X)
    try:
        rows = np.asarray(X)
    except ValueError as error:
        raise ShapeError(f"X: expected shape (n_steps, {item.size}), got {error}") from None
    if rows.size == 0 or (rows.ndim == 1 and item.size == 1):
        rows = rows.reshape(-1, item.size)
    if rows.ndim != 2 or rows.shape[1] != item.size or rows.dtype.kind not in "fiub":
        raise ShapeError(f"X: expected numbers of shape (n_steps, {item.size}), got {rows.dtype} {rows.shape}")
    return rows
