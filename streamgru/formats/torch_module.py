"""A PyTorch module -> spec + tensors, from the module objects; torch is imported when it is called, not before.

Layers are taken in the order in which the modules were registered. What ``forward`` really does with
them only a run can tell: see ``streamgru.stream.torch_check``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import SpecError, UnsupportedError
from streamgru.formats.conventions import steps_oldest_first
from streamgru.formats.safetensors_file import Tensors
from streamgru.formats.torch_functions import FUNCTIONS
from streamgru.formats.torch_names import DIRECTIONS, UNNAMED, both_ways, chained
from streamgru.formats.torch_windows import Padding, average_pool, conv1d, folded, max_pool, padding
from streamgru.model import spec as s
from streamgru.model.functions import AnyFunction

GRU_KEYS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
IDLE = ("Identity", "Dropout", "Dropout1d", "AlphaDropout", "Flatten")  # without effect on one timestep
FOLDERS = ("Sequential", "ModuleList", "ModuleDict")

# The layer, its tensors without their prefix, what it takes: n_in or vocab
Layers = list[tuple[s.AnyLayer | Padding, Tensors, int]]


def describe(module: Any) -> tuple[s.Spec, Tensors]:
    """Derive the spec of *module* and copy its tensors.

    Raises
    ------
    UnsupportedError
        If it has a part that this version has no layer for.
    SpecError
        If it has no GRU.
    """
    torch = _torch(module)
    layers = list(_walk(module, "", torch))
    if not any(isinstance(layer, s.Gru) for layer, _, _ in layers):
        raise SpecError(f"from_torch: expected a module with an nn.GRU or nn.GRUCell, got {type(module).__name__}")
    first, _, size = next(item for item in layers if item[2])
    x = s.Input(name="x", size=size)
    if isinstance(first, s.Embedding):
        x = s.Input(name="token", kind="token", vocab=size)
    spec = s.sequential(*chained(folded(layer for layer, _, _ in layers), x.name), inputs=(x,))
    return spec, {f"{layer.name}.{key}": array for layer, own, _ in layers for key, array in own.items()}


def state_dict(module: Any) -> Tensors:
    """Copy all tensors of *module*, under the names that PyTorch gives them; groups of convolutions are undone."""
    torch = _torch(module)
    found = {name: _copy(tensor) for name, tensor in module.state_dict().items()}
    for path, part in module.named_modules():
        name = f"{path}.weight".lstrip(".")
        if isinstance(part, torch.nn.Conv1d) and part.groups > 1 and name in found:
            found[name] = steps_oldest_first(found[name], "oik", part.groups)
    return found


def _torch(module: Any) -> Any:
    """The torch package, once it is sure that *module* is one of its modules."""
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError as error:
        raise UnsupportedError(f"from_torch: expected torch to be installed: {error}") from None
    if not isinstance(module, torch.nn.Module):
        raise UnsupportedError(f"from_torch: expected a torch.nn.Module, got {type(module).__name__}")
    return torch


def _walk(module: Any, path: str, torch: Any) -> Iterator[tuple[s.AnyLayer | Padding, Tensors, int]]:
    """The layers of a module and all within it, in the order of registration."""
    kind = type(module).__name__
    known = _known(module, torch)
    if known:
        yield from known(module, path)
    elif kind in IDLE or isinstance(module, torch.nn.modules.loss._Loss):
        return
    elif type(module).__module__.startswith("torch.") and kind not in FOLDERS:
        raise UnsupportedError(f"from_torch: {path or 'the module'} is an nn.{kind}; this version has no layer for it")
    elif own := [name for name, _ in module.named_parameters(recurse=False)]:
        raise UnsupportedError(
            f"from_torch: {path or 'the module'} ({kind}) has the parameter {own[0]!r} of its own; what it is for "
            "cannot be told. Give a spec, with it as the tensor of some layer, or leave it out"
        )
    for name, child in module.named_children() if not known else ():
        yield from _walk(child, f"{path}.{name}" if path else name, torch)


def _known(module: Any, torch: Any) -> Callable[[Any, str], Layers] | None:
    """What turns a module of this class, or of one derived from it, into layers."""
    nn = torch.nn
    table: dict[Any, Callable[[Any, str], Layers]] = {
        nn.GRU: _gru, nn.GRUCell: _cell, nn.Linear: _linear, nn.Embedding: _embedding,
        nn.LayerNorm: _layernorm, nn.BatchNorm1d: _batchnorm, nn.Conv1d: _conv1d,
        nn.Softmax: partial(_softmax, False), nn.LogSoftmax: partial(_softmax, True),
        nn.AvgPool1d: partial(_without_tensors, average_pool), nn.MaxPool1d: partial(_without_tensors, max_pool),
        nn.ConstantPad1d: partial(_without_tensors, padding),
    }  # fmt: skip
    table |= {getattr(nn, theirs): partial(_activation, ours) for theirs, ours in FUNCTIONS.items()}
    return next((make for cls, make in table.items() if isinstance(module, cls)), None)


def _gru(module: Any, path: str) -> Layers:
    name, n_hid = path or UNNAMED, module.hidden_size
    n_in, found = module.input_size, Layers()
    for k in range(module.num_layers):
        own = f"{name}.{k}"
        if not module.bidirectional:
            found.append((s.Gru(name=own, n_hid=n_hid), _own(module, GRU_KEYS, f"_l{k}"), n_in))
            n_in = n_hid
            continue
        *ways, both = both_ways(own, n_hid)
        for layer, suffix in zip(ways, DIRECTIONS, strict=True):
            found.append((layer, _own(module, GRU_KEYS, f"_l{k}{suffix}"), n_in))
        found.append((both, {}, 0))
        n_in = 2 * n_hid
    return found


def _cell(module: Any, path: str) -> Layers:
    return [(s.Gru(name=path or UNNAMED, n_hid=module.hidden_size), _own(module, GRU_KEYS), module.input_size)]


def _linear(module: Any, path: str) -> Layers:
    return [(s.Dense(name=path, n_out=module.out_features), _own(module, ("weight", "bias")), module.in_features)]


def _embedding(module: Any, path: str) -> Layers:
    if module.max_norm is not None:
        raise UnsupportedError(f"from_torch: {path} is an nn.Embedding with max_norm: running changes its weights")
    return [(s.Embedding(name=path, n_out=module.embedding_dim), _own(module, ("weight",)), module.num_embeddings)]


def _layernorm(module: Any, path: str) -> Layers:
    if len(module.normalized_shape) != 1:
        raise UnsupportedError(f"from_torch: {path} normalises over {module.normalized_shape}; expected one dimension")
    return [(s.LayerNorm(name=path, eps=module.eps), _own(module, ("weight", "bias")), module.normalized_shape[0])]


def _batchnorm(module: Any, path: str) -> Layers:
    if module.running_mean is None:
        raise UnsupportedError(f"from_torch: {path} has no running statistics: it depends on the batch")
    own = _own(module, ("weight", "bias", "running_mean", "running_var"))
    own = {key.removeprefix("running_"): array for key, array in own.items()}
    return [(s.BatchNorm(name=path, eps=module.eps), own, module.num_features)]


def _conv1d(module: Any, path: str) -> Layers:
    own = _own(module, ("weight", "bias"))
    own["weight"] = steps_oldest_first(own["weight"], "oik", module.groups)
    return [(conv1d(module, path), own, module.in_channels)]


def _softmax(log: bool, module: Any, path: str) -> Layers:
    return [(s.Softmax(name=path, log=log), {}, 0)]


def _activation(function: Callable[[Any, str], AnyFunction], module: Any, path: str) -> Layers:
    return [(s.Activation(name=path, function=function(module, path)), {}, 0)]


def _without_tensors(make: Callable[[Any, str], s.AnyLayer | Padding], module: Any, path: str) -> Layers:
    return [(make(module, path), {}, 0)]


def _own(module: Any, keys: tuple[str, ...], suffix: str = "") -> Tensors:
    """The tensors of a module that it has."""
    found = {key: getattr(module, key + suffix, None) for key in keys}
    return {key: _copy(tensor) for key, tensor in found.items() if tensor is not None}


def _copy(tensor: Any) -> NDArray[Any]:
    """A copy, since a model must not change when training goes on; halves as float32, as numpy lacks bfloat16."""
    plain = tensor.detach().cpu()
    return np.array((plain.float() if plain.is_floating_point() and plain.element_size() < 4 else plain).numpy())
