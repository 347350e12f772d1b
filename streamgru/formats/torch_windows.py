"""PyTorch modules that look at several steps at once: convolution and pooling over time, and the zeros around them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from streamgru.errors import UnsupportedError
from streamgru.model import spec as s


@dataclass(frozen=True)
class Padding:
    """Zeros around a sequence; the layer behind takes them, which knows where its window begins."""

    name: str
    before: int
    after: int


def conv1d(module: Any, path: str) -> s.Conv1d:
    """The layer of an nn.Conv1d."""
    (size,), (stride,), (dilation,) = module.kernel_size, module.stride, module.dilation
    before, after = _zeros(module, (size - 1) * dilation)
    if module.padding_mode != "zeros" and (before or after):
        raise UnsupportedError(f"from_torch: {path} has padding_mode={module.padding_mode!r}; expected 'zeros'")
    return s.Conv1d(
        name=path, n_out=module.out_channels, size=size, stride=stride, dilation=dilation, before=before, after=after
    )


def average_pool(module: Any, path: str) -> s.AveragePool1d:
    """The layer of an nn.AvgPool1d."""
    size, stride, padding = _pool(module, path)
    counted = padding > 0 and module.count_include_pad
    return s.AveragePool1d(
        name=path, size=size, stride=stride, before=padding, after=padding, padding="counted" if counted else "left_out"
    )


def max_pool(module: Any, path: str) -> s.MaxPool1d:
    """The layer of an nn.MaxPool1d."""
    size, stride, padding = _pool(module, path)
    if _one(module.dilation) != 1 or module.return_indices:
        raise UnsupportedError(f"from_torch: {path} has dilation or return_indices; expected an nn.MaxPool1d without")
    return s.MaxPool1d(name=path, size=size, stride=stride, before=padding, after=padding)


def padding(module: Any, path: str) -> Padding:
    """The zeros of an nn.ConstantPad1d or nn.ZeroPad1d."""
    before, after = module.padding
    if module.value != 0 or min(before, after) < 0:
        raise UnsupportedError(f"from_torch: {path} pads with {module.value}, {before} and {after}; expected zeros")
    return Padding(path, before, after)


def folded(layers: Iterable[s.AnyLayer | Padding]) -> Iterator[s.AnyLayer]:
    """The layers with the zeros before them in them.

    Raises
    ------
    UnsupportedError
        If the layer behind is none that can take them.
    """
    zeros: Padding | None = None
    for layer in layers:
        if isinstance(layer, Padding):
            _expect(zeros is None, layer)
            zeros = layer
            continue
        if zeros is not None:
            layer = _padded(layer, zeros)
            zeros = None
        yield layer
    if zeros is not None:
        _expect(False, zeros)


def _padded(layer: s.AnyLayer, zeros: Padding) -> s.AnyLayer:
    """*layer* with more zeros; those before a mean count, those before a maximum would be numbers like others."""
    if isinstance(layer, s.AveragePool1d):
        _expect(layer.padding == "counted" or not (layer.before or layer.after), zeros)
        layer = replace(layer, padding="counted")
    elif not isinstance(layer, s.Conv1d):
        _expect(False, zeros)
    assert isinstance(layer, s.Conv1d | s.AveragePool1d)
    return replace(layer, before=layer.before + zeros.before, after=layer.after + zeros.after)


def _expect(fits: bool, zeros: Padding) -> None:
    if not fits:
        raise UnsupportedError(
            f"from_torch: {zeros.name} pads with zeros; expected an nn.Conv1d or nn.AvgPool1d behind"
        )


def _zeros(module: Any, reach: int) -> tuple[int, int]:
    """The zeros before and after of a convolution; ``same`` has the odd one after."""
    if module.padding == "same":
        return reach // 2, reach - reach // 2
    if module.padding == "valid":
        return 0, 0
    return module.padding[0], module.padding[0]


def _pool(module: Any, path: str) -> tuple[int, int, int]:
    size, stride, zeros = (_one(value) for value in (module.kernel_size, module.stride, module.padding))
    if module.ceil_mode and stride > 1:
        raise UnsupportedError(
            f"from_torch: {path} has ceil_mode: its last window would depend on where the stream ends"
        )
    return size, stride, zeros


def _one(value: Any) -> int:
    """A number that PyTorch keeps as it was given, alone or in a tuple."""
    return int(value[0] if isinstance(value, tuple) else value)
