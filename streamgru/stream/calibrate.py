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
from streamgru.model.small import Q8, SCALE
from streamgru.stream.model import Model
from streamgru.stream.stream import Stream

BLOCK = 4096  # steps at a time

Data = Sequence[NDArray[Any]]  # sequences (n_steps, n_in)
States = Sequence[Mapping[str, NDArray[Any]]]  # what each sequence starts from, as Stream.state has it


def moments(spec: s.Spec, tensors: Mapping[str, NDArray[Any]], data: Data, states: States = ()) -> dict[str, list[F64]]:
    """Run a network and collect E[v v'] of all vectors v that its GRU and dense layers multiply.

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
    if not sum(map(len, data)):
        raise InputError("calibration: expected at least one step of data, got none")
    found: dict[str, list[F64]] = {}
    for i, layer in enumerate(spec.main.layers):
        if not isinstance(layer, (s.Gru, s.Dense)):
            continue
        given = s.Concat(name=layer.name, inputs=layer.inputs)  # shows what the layer is given
        model = _model(spec, tensors, (*spec.main.layers[:i], given))
        of_input = [_mean((y,) for y in _outputs(model, data, states))[0]]
        if isinstance(layer, s.Dense):
            found[f"{layer.name}.weight"] = of_input
        else:
            found[f"{layer.name}.weight_ih"] = of_input
            model = _model(spec, tensors, spec.main.layers[: i + 1])
            found[f"{layer.name}.weight_hh"] = _mean(_states(model, layer, data, states))
    return found


def _model(spec: s.Spec, tensors: Mapping[str, NDArray[Any]], layers: tuple[s.AnyLayer, ...]) -> Model:
    """The network with these layers alone, in the kernel whose bits are the same everywhere."""
    program = msgspec.structs.replace(spec.main, layers=layers, outputs=())
    names = {layer.name for layer in layers if not isinstance(layer, s.Concat)}
    own = {
        key: tensor for key, tensor in tensors.items()
        if key.removesuffix(Q8).removesuffix(SCALE).rpartition(".")[0] in names
    }  # fmt: skip
    return Model(msgspec.structs.replace(spec, programs={"main": program}), own, kernel="packed")


def _streams(model: Model, data: Data, states: States) -> Iterator[tuple[Stream, NDArray[Any]]]:
    """A stream for each sequence, in the state that it starts from, as far as the model has the layers."""
    for x, state in zip(data, states or [{}] * len(data), strict=True):
        stream = model.stream()
        stream.state = {name: h for name, h in state.items() if name in stream.state}
        yield stream, x


def _outputs(model: Model, data: Data, states: States) -> Iterator[NDArray[Any]]:
    for stream, x in _streams(model, data, states):
        for k in range(0, len(x), BLOCK):
            yield stream.run(x[k : k + BLOCK])


def _states(model: Model, layer: s.Gru, data: Data, states: States) -> Iterator[tuple[NDArray[Any], ...]]:
    """What the rows r, z and n of the recurrent weight meet: h, or h, h and r * h."""
    for stream, x in _streams(model, data, states):
        for k in range(0, len(x), BLOCK):
            before = stream.state[layer.name][None]
            gates = stream.trace(x[k : k + BLOCK]).gates[layer.name]
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
    return [total / n for total in sums]
