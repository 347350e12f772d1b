"""From placed layers to operations: for every kind of layer, the function that fills its own."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.model.code import Code
from streamgru.model.placed import Layout
from streamgru.model.spec import BatchNorm

FUNCTIONS: dict[str, tuple[int, float, float]]
FILL: dict[type, Callable[[Code, Any], None]]

def compiled(layout: Layout, dtype: np.dtype[Any], use_packed: bool) -> Code:
    """The operations of a layout, as a Code.

    Raises
    ------
    SpecError
        If a tensor does not fit *dtype*.
    """

def fold_batchnorm(layer: BatchNorm, tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    """The scale and the bias, float64 (n_in,), that do what a batch normalisation does at inference.

    Raises
    ------
    SpecError
        If a variance is negative.
    """
