"""Where and by how much the answers of two models differ: as plain data, and as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamgru.cli.data import outputs
from streamgru.cli.describe import runs_as
from streamgru.errors import InputError, ShapeError
from streamgru.stream.model import Model

TENTHS = 10
BARS = 40  # characters of the longest bar

Record = dict[str, Any]


class Choice(NamedTuple):
    """An output of several numbers; which is largest is a decision."""

    name: str
    part: slice
    labels: tuple[str, ...] | None

    def of(self, y: NDArray[Any]) -> NDArray[np.intp]:
        """The decision of every step."""
        found: NDArray[np.intp] = y[:, self.part].argmax(1)
        return found

    def told(self, index: int) -> str:
        """A decision for people."""
        return self.labels[index] if self.labels else str(index)


def between(a: Model, b: Model, sequences: Sequence[tuple[str, NDArray[Any]]]) -> Record:
    """Run two models over named sequences, each from the start, and compare; ready for JSON.

    Raises
    ------
    ShapeError
        If the models do not take and give as many numbers, or not at the same steps.
    InputError
        If a sequence is too short for an answer.
    """
    if (a.n_in, a.n_out) != (b.n_in, b.n_out):
        raise ShapeError(
            f"expected two models of one shape, got A {a.n_in} -> {a.n_out} and B {b.n_in} -> {b.n_out} numbers"
        )
    if (a.stride, a.delay) != (b.stride, b.delay):
        raise ShapeError(
            f"expected two models that answer at the same steps, got A at step {a.delay} and at every {a.stride}. from "
            f"there on, B at step {b.delay} and at every {b.stride}."
        )
    choices = choices_of(a)
    worst: Record = {"difference": -1.0}
    first_changed: Record | None = None
    total, n_changed, n_steps, n_answers = 0.0, 0, 0, 0
    tenths = np.zeros((3, TENTHS))  # steps, sum of their mean difference, worst
    for name, x in sequences:
        y_a, y_b = outputs(a, name, x), outputs(b, name, x)
        if not len(y_a):
            raise InputError(f"{name}: {len(x)} steps are too few, the first answer comes at step {a.delay}")
        apart = np.abs(y_a.astype(np.float64) - y_b)
        step, output = np.unravel_index(apart.argmax(), apart.shape)
        if apart[step, output] > worst["difference"]:
            worst = {
                "difference": float(apart[step, output]), "data": name, "step": _step(a, step), "output": int(output),
                "a": float(y_a[step, output]), "b": float(y_b[step, output]),
            }  # fmt: skip
        for choice in choices:
            chosen_a, chosen_b = choice.of(y_a), choice.of(y_b)
            changed = np.flatnonzero(chosen_a != chosen_b)
            n_changed += len(changed)
            if len(changed) and first_changed is None:
                i = int(changed[0])
                first_changed = {
                    "data": name, "step": _step(a, i), "output": choice.name,
                    "a": choice.told(chosen_a[i]), "b": choice.told(chosen_b[i]),
                }  # fmt: skip
        where = np.arange(len(y_a)) * TENTHS // len(y_a)
        tenths[0] += np.bincount(where, minlength=TENTHS)
        tenths[1] += np.bincount(where, apart.mean(1), TENTHS)
        np.maximum.at(tenths[2], where, apart.max(1))
        total += float(apart.sum())
        n_steps += len(x)
        n_answers += len(y_a)
    means = tenths[1] / np.maximum(tenths[0], 1)
    return {
        "data": [name for name, _ in sequences],
        "steps": n_steps,
        "worst": worst,
        "mean": total / (n_answers * a.n_out),
        "growth": [{"mean": float(mean), "worst": float(top)} for mean, top in zip(means, tenths[2], strict=True)],
        "decisions": n_answers * len(choices),
        "changed": n_changed,
        "first_changed": first_changed,
    }


def _step(model: Model, answer: int | np.intp) -> int:
    """The step of an answer."""
    return model.delay + model.stride * int(answer)


def choices_of(model: Model) -> list[Choice]:
    """The outputs that decide something; one number alone decides nothing."""
    outputs = model.spec.main.outputs
    if not outputs:
        return [Choice("y", slice(None), None)] if model.n_out > 1 else []
    found = [Choice(item.name, slice(item.start, item.stop or model.n_out), item.labels) for item in outputs]
    return [choice for choice in found if choice.part.stop - choice.part.start > 1]


def text(told: Record) -> Iterator[str]:
    """The lines for people."""
    for side in "ab":
        one = told[side]
        yield f"{side.upper()}  {one['model']}   {runs_as(one)}, {one['fingerprint'][:12]}"
    yield f"on {', '.join(told['data'])}: {told['steps']:,} steps"
    yield ""
    worst = told["worst"]
    yield (
        f"worst difference  {worst['difference']:.3g}   at step {worst['step']} of {worst['data']}, "
        f"y[{worst['output']}]: {worst['a']:.6g} and {worst['b']:.6g}"
    )
    yield f"mean difference   {told['mean']:.3g}"
    if told["decisions"]:
        yield (
            f"decisions         {told['changed']:,} of {told['decisions']:,} changed, "
            f"{told['changed'] / told['decisions']:.2%}{_first(told['first_changed'])}"
        )
    yield ""
    yield "over time, in tenths of each sequence: mean difference, worst"
    most = max(part["mean"] for part in told["growth"]) or 1.0
    for i, part in enumerate(told["growth"]):
        bar = "█" * round(BARS * part["mean"] / most)
        yield f"  {i + 1:2}  {part['mean']:8.2e}  {part['worst']:8.2e}  {bar}".rstrip()
    yield ""
    limits = [f"{limit:g} {of}" for limit, of in (
        (told["tolerance"], "of difference"), (told["max_changed"], "of all decisions")
    ) if limit is not None]  # fmt: skip
    yield f"{'the same' if told['same'] else 'NOT the same'} within {' and '.join(limits)}"


def _first(changed: Record | None) -> str:
    if changed is None:
        return ""
    return f"; the first at step {changed['step']} of {changed['data']}: {changed['a']} became {changed['b']}"
