"""A network with small weights: matrices of int8 or float16, in place of floats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamgru.errors import InputError, SpecError
from streamgru.model import spec as s
from streamgru.model.placed import Layout
from streamgru.model.programs import divided, lay_out_all
from streamgru.model.quantise import F64, quantise
from streamgru.model.small import Q8, SCALE, WIDEST, Quantised, TensorInfo
from streamgru.stream.calibrate import Data, States, moments

Weights = Literal["int8", "f16"]
PLAIN = (s.Dense, s.Conv1d)  # one matrix, and nothing of the answer goes back into it


def shrink(
    spec: s.Spec, tensors: Mapping[str, NDArray[Any]], weights: Weights, data: Data = (), states: States = ()
) -> dict[str, NDArray[Any]]:
    """Make the weights of a network small; its biases, norms and learned states stay as they are.

    Parameters
    ----------
    spec : Spec
    tensors : mapping of str to ndarray
        Named ``<layer>.<tensor>``.
    weights : {"int8", "f16"}
        With ``f16`` all matrices become float16. With ``int8`` those of GRUs, convolutions and dense layers become int8
        with a scale for each row, but for three kinds that become float16: the tables of embeddings, which are not
        multiplied, the last matrix, unless it is of a GRU: it is small, and its errors go into the answer,
        and matrices of more than 133,000 columns, too many for int8.
    data : sequence of ndarray (n_steps, n_in)
        Typical inputs. With them int8 is rounded so that the products come out right, not only the weights.
    states : sequence of mapping of str to ndarray (n_hid,), optional
        What the GRU layers start each sequence of *data* from. A decoder that starts from what an encoder hands to it
        has to be given that: from the zero state, it would be rounded for states that it never is in.

    Returns
    -------
    dict of str to ndarray
        What :func:`streamgru.formats.native.write` writes. A matrix that is int8 already stays as it is
        under ``int8``.

    Raises
    ------
    SpecError
        If spec and tensors do not fit, or a weight is too large for float16.
    InputError
        If *data* does not fit the network, *states* does not fit *data*, or the network has several programs.
    """
    spec = s.checked(spec)
    layouts = lay_out_all(spec, tensors)
    parts = divided(spec, tensors)
    if len(parts) > 1 and len(data):
        raise InputError(
            f"calibration: expected a network of one program, got {', '.join(parts)}, and inputs of one do not tell "
            "what the others are given; leave the data out"
        )
    small: dict[str, NDArray[Any]] = {}
    for name, (program, own) in parts.items():
        alone = msgspec.structs.replace(spec, programs={"main": program}, handoffs=())
        found = moments(alone, own, data, states) if weights == "int8" and len(data) else {}
        small |= _shrunk(layouts[name], weights, found)
    return small


def _shrunk(layout: Layout, weights: Weights, found: Mapping[str, list[F64]]) -> dict[str, NDArray[Any]]:
    """The tensors of one program made small; *found* are the moments of its inputs, by the names of the weights."""
    multiplying = [placed.layer for placed in layout.layers if isinstance(placed.layer, (s.Gru, *PLAIN))]
    small: dict[str, NDArray[Any]] = {}
    for placed in layout.layers:
        to_int8 = placed.layer in multiplying and not (
            isinstance(placed.layer, PLAIN) and placed.layer is multiplying[-1]
        )
        for key, tensor in placed.tensors.items():
            assert not isinstance(tensor, TensorInfo)
            name = f"{placed.layer.name}.{key}"
            if not isinstance(tensor, Quantised) and tensor.ndim != 2:
                small[name] = tensor
            elif weights == "int8" and (isinstance(tensor, Quantised) or (to_int8 and tensor.shape[1] <= WIDEST)):
                q8 = tensor if isinstance(tensor, Quantised) else quantise(tensor, found.get(name))
                small[name + Q8], small[name + SCALE] = q8.q8, q8.scale
            else:
                small[name] = _half(name, tensor)
    return small


def _half(name: str, matrix: NDArray[Any] | Quantised) -> NDArray[np.float16]:
    plain = matrix.widened() if isinstance(matrix, Quantised) else matrix
    with np.errstate(over="ignore"):
        half = plain.astype(np.float16)
    if not np.isfinite(half).all():
        raise SpecError(
            f"tensor {name!r}: expected weights of at most 65504, got {np.abs(plain).max():g}, too large for float16; "
            "leave the weights as they are"
        )
    return half
