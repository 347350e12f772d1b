"""A program compiled to a flat list of operations over one scratch block.

Compiling happens once; running touches no Python object. Every running party brings a state block
and a scratch block of its own, so one plan serves any number of threads.
"""

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from streamgru.model.placed import Layout
from streamgru.model.spec import Program

class Plan:
    """Compiled from a :class:`~streamgru.model.spec.Program` and its tensors.

    Parameters
    ----------
    program : Program
    tensors : dict of str to ndarray
        Named ``<layer>.<tensor>``. Views of read-only buffers are used where they lie.
    dtype : {"float32", "float64"}
    kernel : {"packed", "blas"}
        What multiplies matrices; ``packed`` takes float32 alone.

    Raises
    ------
    SpecError
        If they do not fit.

    Notes
    -----
    Thread-safety: immutable once made.
    """
    def __new__(
        cls,
        program: Program,
        tensors: dict[str, NDArray[Any]],
        dtype: np.dtype[Any] | Literal["float32", "float64"],
        kernel: Literal["packed", "blas"] = "blas",
    ) -> Self: ...
    @property
    def n_in(self) -> int:
        """Elements of x."""
    @property
    def n_out(self) -> int:
        """Elements of y."""
    @property
    def n_macs(self) -> int: ...
    @property
    def state_bytes(self) -> int:
        """Bytes of a state block."""
    @property
    def work_bytes(self) -> int:
        """Bytes of the scratch of one stream."""
    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def layout(self) -> Layout: ...
    @property
    def inputs(self) -> dict[str, int]: ...
    def tensors(self) -> dict[str, NDArray[Any]]:
        """The tensors by their names in a native file; those in panels are put together again."""
