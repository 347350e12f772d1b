"""How long a step takes, timed from C without the GIL, and how long it takes to read the weights."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamgru.model.plan import Plan
from streamgru.stream.stream import Stream

def step_ns(stream: Stream, x: NDArray[np.floating[Any]], n_steps: int) -> NDArray[np.int64]:
    """Advance a stream by *n_steps*, all from *x*, and time each step.

    Parameters
    ----------
    stream : Stream
    x : ndarray (n_in,)
        C-contiguous, of the model's dtype.
    n_steps : int

    Returns
    -------
    ndarray (n_steps,)
        Nanoseconds, without what reading the clock takes.

    Raises
    ------
    ShapeError, NonFiniteError, TokenError, StreamBusy
        As :meth:`Stream.step <streamgru.Stream.step>`; the steps before the one that failed are taken.
    """

def block_ns(stream: Stream, x: NDArray[np.floating[Any]], n_steps: int) -> int:
    """As :func:`step_ns`, but all steps together: the clock is read twice, and no step waits for it."""

def weights(plan: Plan) -> list[NDArray[Any]]:
    """The matrices that every step reads, as the kernels keep them."""

def readers() -> list[int]:
    """What :func:`read_ns` can read with: bytes of a vector, the widest first."""

def read_ns(arrays: list[NDArray[Any]], width: int, n_times: int) -> int:
    """Read every byte of C-contiguous *arrays* *n_times*, and nothing else: nanoseconds of all times together.

    Raises
    ------
    ValueError
        If *width* is none of :func:`readers`.
    """
