"""The arrays of a file by name, whatever its format; which are asked for is remembered."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.errors import SpecError
from streamgru.formats.conventions import unflatten, widen
from streamgru.formats.map_schema import nearest

Shape = tuple[int, ...]
FLOAT_BYTES = (2, 4, 8)
MAX_BYTES = 1 << 30  # one array may be named by many layers, and is read for each


class Arrays:
    """What a map takes its arrays from; each is checked when it is asked for."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], where: str) -> None:
        self._arrays, self._where = arrays, where
        self._used: set[str] = set()
        self._n_bytes = 0

    def get(self, name: str, layer: str, scale: float | None = None) -> NDArray[Any]:
        """The array called *name*, in floats of this machine; integers are widened by *scale*.

        Raises
        ------
        SpecError
            If there is none of that name, or it holds something else.
        """
        if name not in self._arrays:
            close = nearest(name, self._arrays) or f"; the file has {_some(self._arrays)}"
            raise SpecError(f"layer {layer!r}: {self._where} has no array {name!r}{close}")
        array = self._arrays[name]
        self._used.add(name)
        self._n_bytes += array.nbytes
        if self._n_bytes > MAX_BYTES:
            raise SpecError(f"layer {layer!r}: expected arrays of at most {MAX_BYTES} bytes for all layers, got more")
        what = f"layer {layer!r}: array {name!r}"
        if array.dtype.kind in "iu":
            if scale is None:
                raise SpecError(
                    f"{what}: has integers ({array.dtype}); give scale = X, what one of them counts (1/256: "
                    "scale = 0.00390625), or input_scale and so on, with an array of scales"
                )
            return widen(array, scale)
        if array.dtype.kind != "f" or array.dtype.itemsize not in FLOAT_BYTES:
            raise SpecError(f"{what}: expected floats or integers, got {array.dtype}")
        if not np.isfinite(array).all():
            raise SpecError(f"{what}: holds NaN or infinity")
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def check_scale(self, scale: float | None, names: Iterable[str], layer: str) -> None:
        """Refuse a scale where nothing has integers: it was meant for something.

        Raises
        ------
        SpecError
            If none of *names* has.
        """
        listed = list(names)
        if scale in (None, 1.0) or any(name not in self._arrays for name in listed):  # get tells what is not there
            return
        if not any(self._arrays[name].dtype.kind in "iu" for name in listed):
            raise SpecError(
                f"layer {layer!r}: scale = {scale:g} is for integers, and its arrays have floats; leave it out, or "
                "give scale = 1.0 where it comes from the convention"
            )

    def check_all_used(self, ignore: Iterable[str]) -> None:
        """Refuse arrays that no layer has asked for, and that *ignore* has no pattern for.

        Raises
        ------
        SpecError
            If there is one: a bias that was forgotten would be a wrong network without an error.
        """
        ignore = tuple(ignore)
        rest = [name for name in self._arrays if name not in self._used]
        rest = [name for name in rest if not any(fnmatch.fnmatchcase(name, pattern) for pattern in ignore)]
        if rest:
            raise SpecError(
                f"map: no layer uses {_some(rest)} of {self._where}; name each in the arrays of a layer, or, where the "
                f"network does not need it, in ignore = [{rest[0]!r}] (patterns like 'optimizer/*' are fine)"
            )


def fitted(array: NDArray[Any], shape: Shape, flat: bool, what: str, others: Mapping[str, Shape]) -> NDArray[Any]:
    """*array* in *shape*, if it has it; *others* tell, for the error, which key of the map goes with which shape.

    A vector may have axes of one element, a *flat* array is laid out row by row.
    """
    if flat and array.ndim == 1 and array.size == math.prod(shape):
        return unflatten(array, shape)
    if array.shape == shape or (len(shape) == 1 and tuple(n for n in array.shape if n > 1) == shape):
        return array.reshape(shape)
    if not flat and array.shape == (math.prod(shape),):
        others = {**others, "flat = true": array.shape}
    fits = [text for text, other in others.items() if array.shape == other]
    hint = f", which fits {' or '.join(fits)}" if fits else ""
    wanted = f"{math.prod(shape)} elements in one row" if flat else f"shape {shape}"
    raise SpecError(f"{what}: expected {wanted}, got {array.shape}{hint}")


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - 6} more" if len(listed) > 6 else ""
    return ", ".join(repr(name[:80]) for name in listed[:6]) + more if listed else "no arrays"
