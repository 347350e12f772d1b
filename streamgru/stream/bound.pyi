"""A stream with its input and output bound once."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamgru.stream.stream import Stream

class Bound:
    """A stream that reads *x* and writes *out* at every step. Made by :meth:`Stream.bind`.

    Thread-safety: as its stream; the arrays are read and written while a step is under way.
    """
    def __new__(cls, stream: Stream, x: NDArray[Any], out: NDArray[Any] | None) -> Self: ...
    @property
    def stream(self) -> Stream: ...
    @property
    def x(self) -> NDArray[np.floating[Any]]: ...
    @property
    def out(self) -> NDArray[np.floating[Any]]: ...
    def step(self) -> NDArray[np.floating[Any]] | Any:  # Any: None, of a network that does not answer at every step
        """Advance one timestep, from what is in *x* to *out*, which is returned; None if no answer is due.

        Raises
        ------
        NonFiniteError, TokenError, StreamBusy
            As :meth:`Stream.step`; state and *out* are as they were.
        ShapeError
            If one of the arrays was resized, or made into something else, since it was bound.
        """
