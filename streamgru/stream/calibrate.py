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

BLOCK = 4096  # steps at a time

Data = Sequence[NDArray[Any]]  # sequences (n_steps, n_in), each of which starts from the start


def moments(spec: s.Spec, tensors: Mapping[str, NDArray[Any]], data: Data) -> dict[str, list[F64]]:
    """Run a network and collect E[v v'] of all vectors v that its GRUs, convolutions and dense layers multiply.

    Returns
    -------
    dict of str to list of ndarray (n_cols, n_cols)
        By the name of the weight; several where equal shares of its rows meet vectors of their own.

    Raises
    ------
    InputError
        If there is no data, or it does not fit.
    """
    data = [x for x in data if len(x)]
    if not data:
        raise InputError("calibration: expected at least one step of data, got none")
    found: dict[str, list[F64]] = {}
    for i, layer in enumerate(spec.main.layers):
        if not isinstance(layer, (s.Gru, s.Dense, s.Conv1d)):
            continue
        given, needed = _given(layer, tensors)
        others = {key: tensor for key, tensor in tensors.items() if owner(key) != layer.name}
        model = _model(spec, others | needed, (*spec.main.layers[:i], given))
        of_input = [_mean((y,) for x in data for y in _answers(model, x))[0]]
        if isinstance(layer, (s.Dense, s.Conv1d)):
            found[f"{layer.name}.weight"] = of_input
        else:
            found[f"{layer.name}.weight_ih"] = of_input
            alone = _alone(layer, tensors, model.n_out)
            found[f"{layer.name}.weight_hh"] = _mean(
                block for x in data for block in _states(alone, layer, _answers(model, x))
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


def _answers(model: Model, x: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """What a network answers to one sequence, in blocks, where it can be stepped."""
    if not model.streams:
        yield model.run(x[None])[0]
        return
    stream = model.stream()
    for k in range(0, len(x), BLOCK):
        yield stream.run(x[k : k + BLOCK])


def _states(model: Model, layer: s.Gru, given: Iterable[NDArray[Any]]) -> Iterator[tuple[NDArray[Any], ...]]:
    """What the rows r, z and n of the recurrent weight meet: h, or h, h and r * h."""
    if layer.direction == "reverse":
        given = [np.concatenate(list(given))[::-1]]
    stream = model.stream()
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
