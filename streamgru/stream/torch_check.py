"""Does a Model answer as the PyTorch module does from which it was made? Run both and compare.

A ``forward`` may take its sequence batch first or time first, or one step at a time; it may answer
every step or only the last, alone or with its state. Which it is, only trying tells.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import SpecError
from streamgru.formats.template import toml
from streamgru.model.spec import Gru
from streamgru.stream.model import Model

N_STEPS = (40, 160, 640, 2560)  # of the input; more where long windows, or strides, leave too few answers of less
MIN_ANSWERS = 10
LAST = (1, 2, 3, 7, 20)  # where, beside the end, a module that answers only the last step is looked at
TOLERANCE = 1e-4  # relative to how far the outputs range: float32 against float32, however deep the network
ROUNDING = 1e-6  # relative to the largest output: what float32 cannot tell apart
BATCHED = ("forward(x), batch first", "forward(x), time first", "forward(x), features before time")


def check(module: Any, model: Model) -> None:
    """Compare *module* with *model* on random input.

    Raises
    ------
    SpecError
        If they differ, or if no way of calling the module was found.
    """
    torch = importlib.import_module("torch")
    x, y = _run(model)
    spread = float((y.max(0) - y.min(0)).max())
    limit = max(TOLERANCE * spread, ROUNDING * float(np.abs(y).max()))
    if spread <= 10 * limit:
        raise SpecError(
            f"from_torch: over {len(x)} random steps the outputs range over {spread:.3g} only, "
            "too little to tell whether module and model agree"
        )
    outcomes: list[str] = []
    failures: list[str] = []
    takes_batches = False
    # The copy keeps eval(), casts and whatever forward may store away from the user's module.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        twin = _twin(module)
        for how, call in _calls(twin, model, torch):
            # A forward that takes batches may do another thing without one: then it is not asked.
            if takes_batches and how not in BATCHED:
                break
            try:
                difference, step = _compare(call, model, x, y)
            except Exception as error:  # the module's own code: a wrong guess at how to call it may raise anything
                failures.append(f"{how}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
                continue
            if difference <= limit:
                return
            takes_batches = takes_batches or how in BATCHED
            outcomes.append(f"{difference:.3g} at step {step} ({how})")
    raise _refusal(model, outcomes, failures, limit, len(x))


def _run(model: Model) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """A random input that is long enough, and the model's answers."""
    for n_steps in N_STEPS:
        rng = np.random.default_rng(0)
        x = rng.standard_normal((n_steps, model.n_in)).astype(np.float32)
        for token in model.layout.tokens:
            x[:, token.index] = rng.integers(token.vocab, size=n_steps)
        y = _answers(model, x)
        if len(y) >= MIN_ANSWERS:
            return x, y
    raise SpecError(
        f"from_torch: expected at least {MIN_ANSWERS} answers over {n_steps} steps, got {len(y)}: too few to tell "
        "whether module and model agree"
    )


def _twin(module: Any) -> Any:
    try:
        return copy.deepcopy(module).cpu().float().eval()
    except Exception as error:  # any class may be in a module, and refuse to be copied in its own way
        reason = f"{type(error).__name__}: {error}"
        raise SpecError(f"from_torch: expected a module that can be copied, got {reason}") from None


def _calls(module: Any, model: Model, torch: Any) -> Iterator[tuple[str, Callable[[NDArray[Any]], NDArray[Any]]]]:
    """Ways to run the module over x (n_steps, n_in), for float64 rows (n_steps or 1, n_out)."""
    is_token = bool(model.layout.tokens)
    grus = [layer for layer in model.spec.main.layers if isinstance(layer, Gru)]

    def tensor(x: NDArray[Any]) -> Any:
        return torch.from_numpy(x[:, 0].astype(np.int64) if is_token else x)

    def rows(answer: Any) -> NDArray[Any]:
        while isinstance(answer, (tuple, list)):
            answer = answer[0]
        return np.asarray(answer.numpy(), np.float64).reshape(-1, model.n_out)

    def stepwise(x: NDArray[Any], h: Any) -> NDArray[Any]:
        answers = []
        for x_t in tensor(x):
            answer = module(x_t[None], h)
            h = answer[1] if isinstance(answer, (tuple, list)) else answer
            answers.append(rows(answer))
        return np.concatenate(answers)

    yield BATCHED[0], lambda x: rows(module(tensor(x)[None]))
    yield BATCHED[1], lambda x: rows(module(tensor(x)[:, None]))
    if not is_token:
        yield BATCHED[2], lambda x: rows(module(tensor(x).T[None]))
    yield "forward(x), no batch", lambda x: rows(module(tensor(x)))
    yield "forward(x_t, h), h from None", lambda x: stepwise(x, None)
    yield "forward(x_t, h), h from zeros", lambda x: stepwise(x, torch.zeros(1, grus[0].n_hid))


def _answers(model: Model, x: NDArray[Any]) -> NDArray[np.float64]:
    y: NDArray[np.float64] = model.run(x[None])[0].astype(np.float64)
    return y


def _compare(
    call: Callable[[NDArray[Any]], NDArray[Any]], model: Model, x: NDArray[Any], y: NDArray[Any]
) -> tuple[float, int]:
    """The worst difference, NaN if there is one, and its step."""
    theirs, steps = call(x), np.arange(len(y))
    if len(theirs) == 1:
        # What a network that reads from the end answers depends on where that is; one with windows needs some steps.
        ends = {step - 1: _answers(model, x[:step])[-1:] for step in (*LAST, len(x))}
        steps = np.array([step for step, answer in ends.items() if len(answer)])
        theirs = np.concatenate([call(x[: step + 1]) for step in steps])
        y = np.concatenate(list(ends.values()))
    if theirs.shape != y.shape:
        raise ValueError(f"expected an answer of {y.size} numbers, got {theirs.size}")
    difference = np.abs(theirs - y).max(axis=1)
    worst = int(difference.argmax())
    return float(difference[worst]), int(steps[worst])


def _refusal(model: Model, outcomes: list[str], failures: list[str], limit: float, n_steps: int) -> SpecError:
    if outcomes:
        why = (
            f"over {n_steps} steps, the module's answers differ from those of the layers found in it by "
            f"{', or by '.join(outcomes)}, where {limit:.3g} is allowed"
        )
    else:
        why = "no way was found to call the module: " + "; ".join(failures)
    program = model.spec.main
    return SpecError(
        f"from_torch: {why}. Its forward may use functions that are no modules, or modules in another order. "
        "Save the following as spec.toml, correct it, and pass spec='spec.toml'\n\n"
        + toml(program.inputs, program.layers)
    )
