"""What the weights of a network are multiplied with, on data: second moments, for whoever rounds the weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamgru.errors import InputError
from streamgru.model import spec as s
from streamgru.model.quantise import F64
from streamgru.model.small import Q8, owner
from streamgru.stream.model import Model
from streamgru.stream.stream import Stream

BLOCK = 4096  # steps at a time

Data = Sequence[NDArray[Any]]  # sequences (n_steps, n_in)
State = Mapping[str, NDArray[Any]]
States = Sequence[State]  # what each sequence starts from, as Stream.state has it


def moments(spec: s.Spec, tensors: Mapping[str, NDArray[Any]], data: Data, states: States = ()) -> dict[str, list[F64]]:
    """Run a network and collect E[v v'] of all vectors v that its GRUs, convolutions and dense layers multiply.

    Parameters
    ----------
    spec : Spec
    tensors : mapping of str to ndarray
    data : sequence of ndarray (n_steps, n_in)
    states : sequence of mapping of str to ndarray (n_hid,), optional
        What the GRU layers start each sequence of *data* from, such as what an encoder hands to its decoder;
        without it, and for layers that it leaves out, the state that any stream starts from.

    Returns
    -------
    dict of str to list of ndarray (n_cols, n_cols)
        By the name of the weight; several where equal shares of its rows meet vectors of their own.

    Raises
    ------
    InputError
        If there is no data, or it does not fit, or *states* is not one for each sequence or names no GRU layer.
    """
    if states and len(states) != len(data):
        raise InputError(f"calibration: expected a state for each of {len(data)} sequences, got {len(states)}")
    grus = [layer.name for layer in spec.main.layers if isinstance(layer, s.Gru)]
    for name in set().union(*states) - set(grus):
        raise InputError(f"calibration: expected states of {', '.join(grus) or 'no layer'}, got one of {name!r}")
    starts = [(x, state) for x, state in zip(data, states or [{}] * len(data), strict=True) if len(x)]
    if not starts:
        raise InputError("calibration: expected at least one step of data, got none")
    found: dict[str, list[F64]] = {}
    for i, layer in enumerate(spec.main.layers):
        if not isinstance(layer, (s.Gru, s.Dense, s.Conv1d)):
            continue
        given, needed = _given(layer, tensors)
        others = {key: tensor for key, tensor in tensors.items() if owner(key) != layer.name}
        model = _model(spec, others | needed, (*spec.main.layers[:i], given))
        of_input = [_mean((y,) for x, state in starts for y in _answers(model, x, state))[0]]
        if isinstance(layer, (s.Dense, s.Conv1d)):
            found[f"{layer.name}.weight"] = of_input
        else:
            found[f"{layer.name}.weight_ih"] = of_input
            alone = _alone(layer, tensors, model.n_out)
            found[f"{layer.name}.weight_hh"] = _mean(
                block for x, state in starts for block in _states(alone, layer, _answers(model, x, state), state)
            )
    return found


def _given(layer: s.AnyLayer, tensors: Mapping[str, NDArray[Any]]) -> tuple[s.AnyLayer, dict[str, NDArray[Any]]]:
    """A layer that answers what *layer* multiplies, and its tensors."""
    if not isinstance(layer, s.Conv1d):
        return s.Concat(name=layer.name, inputs=layer.inputs), {}
    weight = f"{layer.name}.weight"
    n_cols = tensors[weight if weight in tensors else weight + Q8].shape[1]
    whole = msgspec.structs.replace(layer, n_out=n_cols, function="linear")
    return whole, {weight: np.eye(n_cols, dtype=np.float32)}


def _model(spec: s.Spec, tensors: Mapping[str, NDArray[Any]], layers: tuple[s.AnyLayer, ...]) -> Model:
    """The network with these layers alone, in the kernel whose bits are the same everywhere."""
    program = msgspec.structs.replace(spec.main, layers=layers, outputs=())
    names = {layer.name for layer in layers}
    own = {key: tensor for key, tensor in tensors.items() if owner(key) in names}
    return Model(msgspec.structs.replace(spec, programs={"main": program}), own, kernel="packed")


def _alone(layer: s.Gru, tensors: Mapping[str, NDArray[Any]], n_in: int) -> Model:
    """One layer as a network, which reads forward what it is given."""
    forward = msgspec.structs.replace(layer, inputs=(), direction="forward")
    own = {key: tensor for key, tensor in tensors.items() if owner(key) == layer.name}
    return Model(s.sequential(forward, inputs=(s.Input(name="given", size=n_in),)), own, kernel="packed")


def _started(model: Model, state: State) -> Stream:
    """A stream in the state that a sequence starts from, as far as the model has the layers."""
    stream = model.stream()
    stream.state = {name: h for name, h in state.items() if name in stream.state}
    return stream


def _answers(model: Model, x: NDArray[Any], state: State) -> Iterator[NDArray[Any]]:
    """What a network answers to one sequence, in blocks, where it can be stepped."""
    if not model.streams:
        yield model.run(x[None])[0]
        return
    stream = _started(model, state)
    for k in range(0, len(x), BLOCK):
        yield stream.run(x[k : k + BLOCK])


def _states(
    model: Model, layer: s.Gru, given: Iterable[NDArray[Any]], state: State
) -> Iterator[tuple[NDArray[Any], ...]]:
    """What the rows r, z and n of the recurrent weight meet: h, or h, h and r * h."""
    if layer.direction == "reverse":
        given = [np.concatenate(list(given))[::-1]]
    stream = _started(model, state)
    for block in given:
        before = stream.state[layer.name][None]
        gates = stream.trace(block).gates[layer.name]
        h = np.concatenate([before, gates.h[:-1]])
        yield (h,) if layer.variant == "after" else (h, h, gates.r * h)


def _mean(blocks: Iterable[tuple[NDArray[Any], ...]]) -> list[F64]:
    """The second moments of each of some kinds of vectors, over all blocks of them."""
    sums: list[Any] = []
    n = 0
    for block in blocks:
        wide = [vectors.astype(np.float64) for vectors in block]
        products = [vectors.T @ vectors for vectors in wide]
        sums = [total + product for total, product in zip(sums, products, strict=True)] if sums else products
        n += len(wide[0])
    if not n:
        raise InputError("calibration: expected sequences that are long enough for an answer, got none")
    return [total / n for total in sums]
